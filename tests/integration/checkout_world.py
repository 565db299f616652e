"""An event that is open in both stores, and small ways to break what joins them, for the tests of checkout."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from booking_world import World
from ledger_world import BACK, FRONT, active, make_event, run_sql

from seatmap.booking.commands import Command, Hold, ReadMine
from seatmap.checkout.book import Checkout
from seatmap.checkout.rebuild import open_event
from seatmap.checkout.resolve import resolve
from seatmap.checkout.stores import Stores, open_stores
from seatmap.config import Settings
from seatmap.embedded import Embedded
from seatmap.errors import Refused, Unavailable
from seatmap.ledger.group import GroupCommit
from seatmap.ledger.orders import Purchase, Verdict
from seatmap.model import Mine
from seatmap.protocol import Book

PATIENT_S = 15.0


class Shop:
    """One event, and a web process's checkout to buy in it."""

    def __init__(self, stores: Stores, event_id: int) -> None:
        self.stores = stores
        self.event_id = event_id
        self.checkout = Checkout(stores)
        self.world = World(stores.redis, event_id)

    async def hold(self, visitor: str, *seats: int) -> str:
        answer = await self.stores.desk.decide(self.event_id, Hold(visitor, "", seats))
        return answer.mine.hold_id

    async def mine(self, visitor: str) -> Mine:
        return (await self.stores.desk.decide(self.event_id, ReadMine(visitor))).mine

    async def book(self, visitor: str, order: Book, *, by: Checkout | None = None) -> bool:
        return await (by or self.checkout).book(self.event_id, visitor, order)

    async def sell(self, visitor: str, *seats: int) -> Book:
        """Hold and book, all the way to Redis."""
        order = an_order(await self.hold(visitor, *seats), *seats)
        assert await self.book(visitor, order)
        await self.checkout.close()
        return order

    async def owners(self) -> dict[int, str]:
        return await self.world.owners()

    async def bookings(self) -> dict[int, UUID]:
        return await active(self.stores.pool, self.event_id)

    async def verdict(self, order: Book) -> tuple[str, str] | None:
        rows = await run_sql(
            self.stores.pool, "SELECT outcome, reason FROM verdicts WHERE order_id = $1", order.order_id
        )
        return (rows[0][0], rows[0][1]) if rows else None

    async def sql(self, statement: str, *arguments: Any) -> Any:
        return await run_sql(self.stores.pool, statement, *arguments)

    async def settle(self, count: int = 1) -> None:
        """Run the resolver until it has settled `count` orders, which takes until they are old enough."""
        settled = 0

        async def enough() -> bool:
            nonlocal settled
            settled += await resolve(self.stores, self.event_id)
            return settled >= count

        await until(enough)

    async def healed(self) -> None:
        """Wait until it is noticed here that both stores are back."""

        async def closed() -> bool:
            return not (self.stores.redis.breaker.is_open or self.stores.pool.breaker.is_open)

        await until(closed)

    async def check(self) -> None:
        """The stores agree: nothing undecided, and Redis has booked what Postgres has."""
        await self.checkout.close()
        self.world.limits = msgspec.structs.replace(self.world.limits, grace_ms=self.stores.settings.grace_ms)
        await self.world.check()
        owners = await self.owners()
        booked = {seat: token[2:] for seat, token in owners.items() if token.startswith("b|")}
        assert booked == {seat: order_id.hex for seat, order_id in (await self.bookings()).items()}
        assert not [token for token in owners.values() if token.startswith("p|")]


def price_of(*seats: int) -> int:
    return sum((FRONT, BACK)[seat % 2] for seat in seats)


def an_order(hold_id: str, *seats: int, **changes: Any) -> Book:
    fields: dict[str, Any] = {
        "order_id": uuid4(),
        "hold_id": hold_id,
        "seats": seats,
        "total": price_of(*seats),
        "name": "Ada",
        "email": "ada@example.org",
    }
    return Book(**(fields | changes))


async def refused(call: Awaitable[object]) -> str:
    """The code with which a call is refused."""
    with pytest.raises(Refused) as refusal:
        await call
    return refusal.value.code


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + PATIENT_S
    while not await happened():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def open_shop(settings: Settings, count: int = 20, **changes: Any) -> AsyncIterator[Shop]:
    """A published event, open in Redis. `changes` are those of the settings."""
    fields: dict[str, Any] = {"resolve_after_ms": 50, "ledger_timeout_ms": 1000}
    settings = msgspec.structs.replace(settings, **(fields | changes))
    async with open_stores(settings) as stores:
        event_id = await make_event(stores.pool, count)
        assert await open_event(stores, event_id) is not None
        shop = Shop(stores, event_id)
        yield shop
        await shop.checkout.close()


class Forgetful(Checkout):
    """A process that dies after its acknowledgement: what it would have told Redis is kept here instead."""

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores)
        self.untold: list[Command] = []

    def _later(self, event_id: int, visitor: str, command: Command) -> None:
        self.untold.append(command)


class Interrupted(GroupCommit):
    """A way to Postgres that breaks: before the statement, or after it was committed."""

    def __init__(self, pool: asyncpg.Pool, *, committed: bool) -> None:
        super().__init__(pool)
        self.committed = committed

    async def book(self, purchase: Purchase) -> Verdict:
        if self.committed:
            await super().book(purchase)
        raise Unavailable("The connection broke.")


class Paused(GroupCommit):
    """A way to Postgres on which an order waits until it is let through."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool)
        self.reached, self.let_through = asyncio.Event(), asyncio.Event()

    async def book(self, purchase: Purchase) -> Verdict:
        self.reached.set()
        await self.let_through.wait()
        return await super().book(purchase)


def through(stores: Stores, ledger: GroupCommit) -> Checkout:
    """Another process, whose way to Postgres is `ledger`."""
    checkout = Checkout(stores)
    checkout._ledger = ledger
    return checkout


@contextmanager
def without_postgres(servers: Embedded) -> Iterator[None]:
    """Postgres is down for as long as the block lasts."""
    postgres = servers.servers["postgres"]
    postgres.ask_to_stop()
    postgres.wait_stopped()
    try:
        yield
    finally:
        servers.revive()


@contextmanager
def stopped(servers: Embedded) -> Iterator[None]:
    """Redis is there and answers nothing for as long as the block lasts."""
    pid = servers.pids["valkey"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def restart(servers: Embedded) -> None:
    """Redis ends and comes back with the data that it had, as another run."""
    valkey = servers.servers["valkey"]
    valkey.ask_to_stop()
    valkey.wait_stopped()
    servers.revive()


async def reopen(shop: Shop) -> None:
    """As the web processes do: until it worked."""

    async def opened() -> bool:
        try:
            return await open_event(shop.stores, shop.event_id) is not None
        except Unavailable:
            return False

    await until(opened)
