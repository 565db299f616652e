"""`seatmap web --processes N`: as many web processes as there are cores for, on one port.

The kernel shares the connections out among them (SO_REUSEPORT). One that dies is started again; so is one whose
event loop stands still, which its silence on a pipe tells.
"""

import asyncio
import contextlib
import os
import signal

import msgspec

from seatmap.children import Child, console
from seatmap.config import Settings
from seatmap.web.serve import bind

START_SECONDS = 60.0  # until a new process must have been heard of
SILENT_SECONDS = 15.0  # of a process that is heard of each second


def run(settings: Settings, processes: int) -> None:
    """Keep `processes` of them running until SIGINT or SIGTERM. Raises Unusable if the address cannot be had."""
    with bind(settings.host, settings.port, shared=True) as reserved:  # nobody listens on this one
        settings = msgspec.structs.replace(settings, port=reserved.getsockname()[1])
        asyncio.run(_keep_all(settings, processes))


async def _keep_all(settings: Settings, processes: int) -> None:
    stopping = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stopping.set)
    async with asyncio.TaskGroup() as group:
        for number in range(processes):
            group.create_task(Web(number, settings, stopping).keep())


class Web(Child):
    """The web process with a number."""

    def __init__(self, number: int, settings: Settings, stopping: asyncio.Event) -> None:
        super().__init__("web", settings, stopping, lambda: None)
        if settings.metrics_port and number:  # the next one is the worker's
            self.environment["SEATMAP_METRICS_PORT"] = str(settings.metrics_port + 1 + number)
        self._watching: asyncio.Task[None] | None = None

    async def _spawn(self) -> asyncio.subprocess.Process:
        reads, writes = os.pipe()
        try:
            process = await self._run([*self.command, "--beat", str(writes)], [writes])
        except BaseException:
            os.close(reads)
            raise
        finally:
            os.close(writes)
        self._watching = asyncio.get_running_loop().create_task(self._watch(process, reads))
        return process

    async def _watch(self, process: asyncio.subprocess.Process, reads: int) -> None:
        """Kill a process that is not heard of; its end closes the pipe."""
        loop = asyncio.get_running_loop()
        heard, patience = asyncio.Event(), START_SECONDS
        os.set_blocking(reads, False)
        loop.add_reader(reads, heard.set)
        try:
            while True:
                async with asyncio.timeout(patience):
                    await heard.wait()
                heard.clear()
                with contextlib.suppress(BlockingIOError):  # the loop may tell twice of one beat
                    if not os.read(reads, 4096):
                        return
                    patience = SILENT_SECONDS
        except TimeoutError:
            console.print(f"web process {process.pid} stands still and is killed.", style="red")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        finally:
            loop.remove_reader(reads)
            os.close(reads)
