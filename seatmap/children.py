"""Child processes of ours: started, started again when they end, ended in order."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

from rich.console import Console

from seatmap.config import Settings
from seatmap.embedded.privileges import child_setup

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
WELL_AFTER = 10.0  # a child that lived this long was well: the next pause is the first again
STOP_SECONDS = 15.0

console = Console(stderr=True, highlight=False)


class Child:
    """`python -m seatmap NAME`, started again whenever it ends."""

    def __init__(
        self, name: str, settings: Settings, stopping: asyncio.Event, changed: Callable[[], None]
    ) -> None:
        """It ends when `stopping` is set; `changed` is called whenever another process is running."""
        self.name = name
        self.command = [sys.executable, "-m", "seatmap", name]
        self.environment = os.environ | {
            "REDIS_URL": settings.redis_url,
            "DATABASE_URL": settings.database_url,
            "SEATMAP_DATA": str(settings.data),
            "HOST": settings.host,
            "PORT": str(settings.port),
        }
        if settings.metrics_port and name == "worker":
            self.environment["SEATMAP_METRICS_PORT"] = str(settings.metrics_port + 1)
        self._stopping = stopping
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def keep(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            started = time.monotonic()
            self._process = await self._spawn()
            self._changed()
            await self._first(self._process.wait())
            if self._stopping.is_set():
                break
            if time.monotonic() - started > WELL_AFTER:
                pause = FIRST_PAUSE
            code = self._process.returncode
            console.print(f"{self.name} ended with {code}; starting it again in {pause:g} s.", style="yellow")
            await self._first(asyncio.sleep(pause))
            pause = min(pause * 2, LONGEST_PAUSE)
        await self._end()

    async def _spawn(self) -> asyncio.subprocess.Process:
        return await self._run(self.command)

    async def _run(self, command: Sequence[str], keep_open: Sequence[int] = ()) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *command,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=child_setup(signal.SIGTERM),
            pass_fds=keep_open,
        )

    async def _first(self, event: Awaitable[object]) -> None:
        """Wait for `event`, or until everything stops."""
        waits = {asyncio.ensure_future(event), asyncio.ensure_future(self._stopping.wait())}
        _, others = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()

    async def _end(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
            except TimeoutError:
                console.print(f"{self.name} did not stop in {STOP_SECONDS:g} s and was killed.", style="red")
                self._process.kill()
                await self._process.wait()
