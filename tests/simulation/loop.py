"""An asyncio event loop without sockets, threads or time of its own: one seed, one run.

Simulated processes share the loop. A callback belongs to the process in whose context it was scheduled, so a
process can be stopped, or killed between any two of its steps: what it still had to do is then never done, not
even its `finally` blocks. Within a process callbacks keep asyncio's order, which code may rely on; between
processes, and in how long messages take, the seed decides.
"""

import asyncio
import contextvars
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

START_S = 1_000_000.0  # what every clock of a run begins with

_process: contextvars.ContextVar["Process"] = contextvars.ContextVar("process")


class Process:
    """What a computer would run as one. `steps_left`: after how many more of its steps it dies."""

    def __init__(self, loop: "SimLoop", name: str) -> None:
        self.loop = loop
        self.name = name
        self.alive = True
        self.paused = False
        self.steps_left: int | None = None
        self.ready: deque[asyncio.Handle] = deque()
        self.context = contextvars.copy_context()
        self.context.run(_process.set, self)
        self.tasks: list[asyncio.Task[Any]] = []
        self.on_death: list[Callable[[], None]] = []
        loop.processes.append(self)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something in this process."""
        return self.loop.create_task(work, context=self.context)

    def later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call back in this process, as a message that arrives there."""
        return self.loop.call_at(self.loop.time() + delay_s, callback, *args, context=self.context)

    def kill(self) -> None:
        """It ends here and now."""
        if self.alive:
            self.alive = False  # what it still had to do stays where it is, for `SimLoop.end`
            self.loop.processes.remove(self)
            self.loop.dead.append(self)
            for told in self.on_death:
                told()


class SimLoop(asyncio.BaseEventLoop):
    """Runs whatever is ready, then lets time pass until something is."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng
        self._now = START_S
        self._count = 0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self.processes: list[Process] = []
        self.dead: list[Process] = []  # their tasks are kept: collected, they would run on
        self.failures: list[str] = []
        self.steps = 0
        self.ending = False
        self.outside = Process(self, "outside")
        self.set_exception_handler(self._note)

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self.ending:
            self.failures.append(f"{context['message']}: {context.get('exception')!r}")

    def time(self) -> float:
        return self._now

    def create_task(self, work: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = super().create_task(work, **options)
        context = options.get("context")
        process = context.get(_process) if context is not None else _process.get(self.outside)
        process.tasks.append(task)
        if len(process.tasks) > 200:
            process.tasks[:] = [kept for kept in process.tasks if not kept.done()]
        return task

    def _call_soon(self, callback: Any, args: Any, context: contextvars.Context | None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        handle._context.get(_process, self.outside).ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def _run_once(self) -> None:
        while not self._stopping:
            runnable = [process for process in self.processes if process.ready and not process.paused]
            if not runnable:
                process = self._pass_time()
                if process is None:
                    self.stop()
                    return
            elif len(runnable) == 1:
                process = runnable[0]
            else:
                process = runnable[int(self._rng.random() * len(runnable))]
            self._run_process(process)

    def _run_process(self, process: Process) -> None:
        """Until it has nothing to do now, or for so many steps."""
        ready = process.ready
        for _ in range(100):
            if not ready or self._stopping or process.paused or not process.alive:
                return
            if process.steps_left is not None:
                process.steps_left -= 1
                if process.steps_left < 0:
                    process.kill()
                    return
            handle = ready.popleft()
            if not handle._cancelled:
                self.steps += 1
                handle._run()

    def _pass_time(self) -> Process | None:
        """The process that something happens to next; None at the end of all."""
        while self._timers and not self.ending:
            when, _, timer = heapq.heappop(self._timers)
            if timer._cancelled:
                continue
            process = timer._context.get(_process, self.outside)
            if not process.alive:
                continue
            self._now = max(self._now, when)
            process.ready.append(timer)
            if not process.paused:
                return process
        if not self.ending:
            raise RuntimeError("nothing will ever happen again")
        return None

    def end(self) -> None:
        """Ends every task that there still is, so that none runs on when it is collected. Nobody hears of it."""
        self.ending = True
        for process in self.dead:
            process.alive = True
            self.processes.append(process)
        for process in self.processes:
            process.paused, process.steps_left = False, None
        for _ in range(100):
            tasks = [task for process in self.processes for task in process.tasks if not task.done()]
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self.run_forever()  # until nothing is left to do now
        self.close()


async def until(happened: Callable[[], bool], pause_s: float, end: float = float("inf")) -> None:
    """Look again and again, until it has happened or the time is `end`."""
    loop = asyncio.get_running_loop()
    while True:
        if happened() or loop.time() >= end:
            return
        await asyncio.sleep(pause_s)


def current() -> Process:
    """The process that is running."""
    return _process.get()
