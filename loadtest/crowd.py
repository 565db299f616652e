"""Thousands of viewers: a C program of ours (viewers.c), compiled when it is needed.

A Python client reads a few tens of thousands of frames a second, which is less than the server sends.
"""

import asyncio
import atexit
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import psutil  # type: ignore[import-untyped]

from loadtest.bench_site import free_port
from loadtest.machine import pin

ANSWER_SECONDS = 180.0


class Crowd:
    """A running viewers.c."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, word: str, *numbers: float) -> dict[str, Any]:
        """One line to it, its answer; viewers.c says which there are."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join([word, *map(str, numbers)]).encode() + b"\n")
        async with asyncio.timeout(ANSWER_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            raise SystemExit("The viewers ended early; what they said is above.")
        answer: dict[str, Any] = msgspec.json.decode(line)
        return answer


@asynccontextmanager
async def crowd(port: int, path: str, kind: str = "seatmap", publish: str = "") -> AsyncIterator[Crowd]:
    """Viewers of a path, none of whom is there yet; all are gone after the block."""
    process = await asyncio.create_subprocess_exec(
        compiled("viewers"),
        str(port),
        path,
        kind,
        publish,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        yield Crowd(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextmanager
def limit() -> Iterator[tuple[int, int]]:
    """(port, pid) of limit.c on core 0, until the block ends."""
    port = free_port()
    with subprocess.Popen([compiled("limit"), str(port)]) as process:
        pin(process.pid, 0)
        try:
            yield port, process.pid
        finally:
            process.kill()


@cache
def compiled(name: str) -> str:
    """The program of loadtest/NAME.c."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit(
            "This bench needs a C compiler, as `cc`, for its viewers: apt-get install gcc libc6-dev."
        )
    folder = tempfile.TemporaryDirectory(prefix="seatmap-viewers-")
    atexit.register(folder.cleanup)
    program = str(Path(folder.name) / name)
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run([compiler, "-O2", "-o", program, str(source)], check=True)
    return program


def private_kib(pid: int) -> float:
    """Memory that a process and its descendants have for themselves alone."""
    process = psutil.Process(pid)
    return sum(one.memory_full_info().uss for one in (process, *process.children(recursive=True))) / 1024
