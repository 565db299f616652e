"""Web and worker processes that a test starts, watches and kills."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


class Process:
    """One that was started; `ended` is its exit code, or minus the signal that ended it."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self.pid = 0
        self.started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def text(self) -> str:
        """What it has logged so far."""
        return self.log.read_text() if self.log.exists() else ""

    async def kill(self) -> None:
        if not self.ended.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        await self.ended


class Zygote:
    """Starts processes, each a fork of one that has imported everything."""

    def __init__(self, program: asyncio.subprocess.Process) -> None:
        self._program = program
        self._wanted: dict[int, Process] = {}
        self._running: dict[int, Process] = {}
        self._number = 0

    async def start(self, name: str, environment: Mapping[str, str], log: Path) -> Process:
        """`seatmap NAME`, logging to a file of its own."""
        self._number += 1
        process = self._wanted[self._number] = Process(name, log)
        order = {"number": self._number, "name": name, "environment": dict(environment), "log": str(log)}
        assert self._program.stdin is not None
        self._program.stdin.write(json.dumps(order).encode() + b"\n")
        await self._program.stdin.drain()
        process.pid = await process.started
        return process

    async def listen(self) -> None:
        """Until the zygote ends."""
        assert self._program.stdout is not None
        async for line in self._program.stdout:
            what, first, second = line.decode().split()
            if what == "started":
                process = self._wanted.pop(int(first))
                self._running[int(second)] = process
                process.started.set_result(int(second))
            else:
                self._running.pop(int(first)).ended.set_result(int(second))


@asynccontextmanager
async def open_zygote() -> AsyncIterator[Zygote]:
    """It and all that it started end with the block."""
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.chaos.crash.zygote",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    zygote = Zygote(program)
    listening = asyncio.create_task(zygote.listen())
    try:
        yield zygote
    finally:
        program.kill()  # its processes are told by the kernel
        await program.wait()
        await listening
