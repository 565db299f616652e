"""On what something was measured, and which process used how much of it."""

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil  # type: ignore[import-untyped]

LIBRARIES = ("uvicorn", "uvloop", "websockets", "starlette", "asyncpg", "redis", "hiredis", "msgspec")


def machine() -> dict[str, str | int]:
    """The processor, its cores, the kernel, Python."""
    found = re.search(r"^model name\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return {
        "cpu": found[1] if found else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def versions(programs: Iterable[list[str]]) -> dict[str, str]:
    """Of the libraries that matter, and what each of `programs` says with --version."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    for command in programs:
        said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout
        number = re.search(r"\d+(\.\d+)+", said)
        found[Path(command[0]).name] = number[0] if number else "unknown"
    return found


def family(pid: int) -> list[psutil.Process]:
    """A process and all that descend from it."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def pin(pid: int, core: int) -> None:
    """Keep a process, its threads and its descendants, those to come included, on one core."""
    for process in family(pid):
        for thread in process.threads():
            try:
                os.sched_setaffinity(thread.id, {core})
            except ProcessLookupError:
                continue


@contextmanager
def on_core(number: int) -> Iterator[None]:
    """Keep this process on a core for as long as the block lasts, where there is more than one."""
    before = os.sched_getaffinity(0)
    cores = range(os.cpu_count() or 1)
    os.sched_setaffinity(0, {cores[number % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """What a process and its living descendants have used so far."""
    total = 0.0
    for process in family(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def busy() -> float:
    """Seconds of processor that everything on this machine has used, or was kept from by its host."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
