"""A feed that runs on real stores, with everything that goes in and comes out of it counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import msgpack
from site_clients import until

from seatmap.booking.commands import Command, Expire, Hold
from seatmap.booking.scripts import BATCH
from seatmap.checkout.stores import Stores
from seatmap.connections import Redis, evaluate, run_id
from seatmap.errors import Unavailable
from seatmap.keys import keys
from seatmap.live.feed import Feed, Watch
from seatmap.model import Change, Position, Snapshot

CHECK_MS = 100
QUIET = BATCH.text.replace("redis.call('SPUBLISH', CHANNEL, entry)", "")
assert BATCH.text != QUIET, "batch.lua publishes in other words"


class Source:
    """As the web process reads, counted; `broken` names what fails with something nobody expects."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.calls = {"snapshot": 0, "replay": 0, "head": 0}
        self.broken: set[str] = set()
        self.slow: dict[int, float] = {}

    def _count(self, name: str) -> None:
        self.calls[name] += 1
        if name in self.broken:
            raise RuntimeError(f"{name} is broken")

    async def snapshot(self, event_id: int) -> Snapshot:
        self._count("snapshot")
        return await self.stores.state.snapshot(event_id)

    async def replay(self, event_id: int, since: Position) -> tuple[str, list[Change] | None]:
        self._count("replay")
        return await self.stores.state.replay(event_id, since)

    async def head(self, event_id: int) -> Position:
        self._count("head")
        if pause := self.slow.get(event_id):
            await asyncio.sleep(pause)
            raise Unavailable("It takes too long.")
        return (await self.stores.desk.decide(event_id, Expire(10))).position


class Watcher:
    """What one event's room would hear."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.catch_ups = 0
        self.checks = 0
        self.stale = False
        self.recoveries = 0
        self.broken = False

    def changed(self, change: Change) -> None:
        self.changes.append(change)

    def caught_up(self) -> None:
        self.catch_ups += 1

    def verified(self, *, stale: bool) -> None:
        self.checks += 1
        self.stale = stale
        if self.broken:
            raise RuntimeError("the room is broken")

    def recovering(self) -> None:
        self.recoveries += 1


class World:
    """Stores, a feed that runs, and commands to it."""

    def __init__(self, stores: Stores, redis: Redis | None = None) -> None:
        self.stores = stores
        self.source = Source(stores)
        self.feed = Feed(redis or stores.redis, self.source, head_check_ms=CHECK_MS)
        self.watchers: dict[int, Watcher] = {}

    async def watch(self, event_id: int) -> Watch:
        self.watchers[event_id] = Watcher()
        watch = Watch(event_id, self.watchers[event_id])
        await self.feed.watch(watch)
        await asyncio.wait_for(watch.live.wait(), 30)
        return watch

    async def hold(self, event_id: int, seat: int, visitor: str = "") -> None:
        await self.stores.desk.decide(event_id, Hold(visitor or f"v{seat}", "", (seat,)))

    async def hold_unheard(self, event_id: int, *seats: int) -> None:
        """Held and logged, but the message is lost on its way."""
        head = await self.source.stores.state.snapshot(event_id)
        for seat in seats:
            command: Command = Hold(f"v{seat}", "", (seat,))
            async with self.stores.redis.connection() as connection:
                args: list[Any] = [head.position.epoch, 1 << 52, run_id(connection), msgpack.encode(command)]
                replies = await evaluate(connection, QUIET, "0" * 40, keys(event_id), args)
            assert replies[0].startswith(b"OK"), replies

    async def truth(self, event_id: int) -> tuple[Position, bytes]:
        snapshot = await self.stores.state.snapshot(event_id)
        return snapshot.position, snapshot.statuses

    async def becomes_true(self, watch: Watch, seconds: float = 10) -> None:
        position, statuses = await self.truth(watch.event_id)
        await until(lambda: watch.replica.position >= position, seconds)
        assert bytes(watch.replica.statuses) == statuses


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    task = asyncio.create_task(world.feed.run())
    try:
        yield world
    finally:
        assert not task.done(), task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
