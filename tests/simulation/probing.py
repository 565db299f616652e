"""What a breaker asks a store, over a connection of its own."""

import asyncio
from collections.abc import Callable

from tests.simulation.loop import Process, current
from tests.simulation.run_context import Run


class Prober:
    """Answers with the store's clock while the store is up and can be reached."""

    def __init__(
        self, run: Run, store: str, down: Callable[[], bool], process: Callable[[], Process]
    ) -> None:
        self._run = run
        self._store = store
        self._down = down
        self._process = process

    async def ask(self) -> float:
        owner, run = current(), self._run
        answer: asyncio.Future[float] = run.loop.create_future()

        def tell() -> None:
            if answer.done():
                return
            if self._down():
                answer.set_exception(ConnectionRefusedError(f"{self._store} is away"))
            else:
                answer.set_result(run.loop.time())

        def arrive() -> None:
            owner.later(run.travel_s(), tell)

        if (owner.name, self._store) not in run.weather.cut:
            self._process().later(run.travel_s(), arrive)
        return await answer

    async def drop(self) -> None:
        return
