"""When a breaker opens and closes. The store is one that answers as it is told."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from seatmap import breaker
from seatmap.breaker import Breaker
from seatmap.tally import Histogram


class Store:
    """Answers, breaks its connection, or says nothing."""

    def __init__(self) -> None:
        self.clock_s = time.time()
        self.there, self.silent = True, False
        self.connected = False
        self.asked = self.connections = 0
        self.answered = asyncio.Event()

    async def ask(self) -> float:
        self.asked += 1
        if self.silent:
            await asyncio.Event().wait()
        if not self.connected:
            if not self.there:
                raise ConnectionRefusedError
            self.connected = True
            self.connections += 1
        elif not self.there:
            raise ConnectionResetError
        self.answered.set()
        return self.clock_s

    async def drop(self) -> None:
        self.connected = False


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASK_SECONDS", "ASK_AGAIN_SECONDS", "TICK_SECONDS"):
        monkeypatch.setattr(breaker, name, 0.001)


@asynccontextmanager
async def watched(store: Store) -> AsyncIterator[Breaker]:
    found = Breaker("The store", store)
    running = asyncio.ensure_future(found.run())
    try:
        await store.answered.wait()
        yield found
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert not store.connected, "its connection is given up with it"


async def becomes(found: Breaker, *, is_open: bool) -> None:
    async with asyncio.timeout(30):
        while found.is_open is not is_open:  # noqa: ASYNC110 - it is its own event
            await asyncio.sleep(0)


@pytest.mark.parametrize("how", ["there", "silent"])
async def test_it_opens_when_the_store_is_away_and_closes_when_it_is_back(how: str) -> None:
    store = Store()
    async with watched(store) as found:
        told: list[bool] = []
        found.on_open.append(lambda: told.append(found.is_open))
        for _ in range(2):
            setattr(store, how, how == "silent")
            await becomes(found, is_open=True)
            setattr(store, how, how != "silent")
            await becomes(found, is_open=False)
        assert (told, found.opened) == ([True, True], 2)


async def test_a_connection_that_broke_alone_opens_nothing() -> None:
    store = Store()
    async with watched(store) as found:
        before = store.connections
        await store.drop()
        store.answered.clear()
        store.ask = _resets_once(store)  # type: ignore[method-assign]
        await store.answered.wait()
        assert (found.opened, store.connections) == (0, before + 1)


def _resets_once(store: Store):  # type: ignore[no-untyped-def]
    whole, broke = store.ask, False

    async def ask() -> float:
        nonlocal broke
        if not broke:
            broke = True
            raise ConnectionResetError
        return await whole()

    return ask


async def test_a_loop_that_was_held_up_does_not_take_that_for_silence() -> None:
    store = Store()
    async with watched(store) as found:
        for _ in range(5):
            store.answered.clear()
            time.sleep(breaker.TICK_SECONDS * breaker.SILENT_TICKS * 2)  # noqa: ASYNC251 - that is the point
            await store.answered.wait()
        assert found.opened == 0


async def test_it_knows_the_clock_of_the_store() -> None:
    store = Store()
    store.clock_s += 3600
    async with watched(store) as found:
        store.answered.clear()
        await store.answered.wait()  # the second answer: the first has been counted
        assert found.clock_s is not None
        assert 3590 < found.clock_s < 3610


def test_a_histogram_counts_up_to_each_bound_and_beyond() -> None:
    counted = Histogram((1, 10))
    for value in (0.5, 1, 5, 10, 11):
        counted.observe(value)
    assert (counted.counts, counted.bounds, counted.total) == ([2, 2, 1], (1, 10), 27.5)
