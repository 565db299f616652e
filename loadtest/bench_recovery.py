"""`recovery`: a fault's end → the first success, for everything that can die; with 50,000 seats sold."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import msgspec
import psutil  # type: ignore[import-untyped]
from redis.asyncio import Redis

from loadtest.bench_cancel import BOOKINGS, FREE, sell
from loadtest.bench_site import PRICE, Site, free_port, get, opened
from loadtest.client import Client, decode_reply
from loadtest.figures import Rounds
from seatmap.errors import Unavailable
from seatmap.ledger.pool import open_pool
from seatmap.plan.demo import arena
from seatmap.simulate import uuid7

ROUNDS = 5
ANSWER_SECONDS = 1.0  # that a visitor waits for an answer before asking again
AGAIN_SECONDS = 0.01
GIVE_UP_SECONDS = 60.0
FROZEN_SECONDS = 2.0
SETTLE_SECONDS = 1.0  # between two faults

Act = Callable[["Visitor"], Awaitable[bool]]


class Visitor:
    """Somebody who does not give up: asks again at once, over a new connection where the last one broke."""

    def __init__(self, urls: list[str], event_id: int) -> None:
        self.urls = urls
        self._event_id = event_id
        self._client: Client | None = None
        self._next = BOOKINGS
        self._order: bytes | None = None  # asked for and not answered yet

    async def connect(self) -> None:
        self._client = await Client.connect(self.urls[0], self._event_id)

    async def hold(self) -> bool:
        """Whether one more seat is held."""
        self._next += 1
        return (
            decode_reply(await self._ask(b'{"type":"hold","id":"h","seats":[%d]}' % self._next)).mine
            is not None
        )

    async def book(self) -> bool:
        """Whether a seat is bought. An order without an answer is asked for again, as a page does."""
        if self._order is None:
            self._order = await self._new_order()
        if self._order is None:
            return False
        error = decode_reply(await self._ask(self._order)).error
        if error is None or not error.temporary:
            self._order = None
        return error is None

    async def _new_order(self) -> bytes | None:
        self._next += 1
        reply = decode_reply(await self._ask(b'{"type":"hold","id":"h","seats":[%d]}' % self._next))
        if reply.mine is None:
            return None
        order = {
            "type": "book",
            "id": "b",
            "order_id": uuid7(),
            "hold_id": reply.mine.hold_id,
            "seats": reply.mine.seats,
            "total": PRICE * len(reply.mine.seats),
            "name": "Ada Lovelace",
            "email": "ada@example.org",
        }
        return msgspec.json.encode(order)

    async def _ask(self, command: bytes) -> bytes:
        if self._client is None or self._client.closed:
            await self.connect()
        assert self._client is not None
        return await self._client.ask(command)

    async def succeed(self, act: Act) -> float:
        """When the first try succeeded."""
        deadline = time.perf_counter() + GIVE_UP_SECONDS
        while time.perf_counter() < deadline:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    if await act(self):
                        return time.perf_counter()
            if self._client is None or self._client.closed:
                self.urls.append(self.urls.pop(0))
            await asyncio.sleep(AGAIN_SECONDS)
        raise SystemExit(f"Nothing succeeded within {GIVE_UP_SECONDS:g} s of a fault.")

    def close(self) -> None:
        """Leave."""
        if self._client is not None:
            self._client.close()


async def recovery(site: Site, rounds: Rounds) -> None:
    """Each fault several times, in turn."""
    pool = await open_pool(site.settings, size=2)
    faults: dict[str, tuple[Callable[[Site], Awaitable[float]], Act, str]] = {
        "redis_emptied": (_empty_redis, Visitor.hold, "≤ 3 s"),
        "redis_killed_and_empty": (_lose_redis, Visitor.hold, "≤ 3 s"),
        "redis_killed": (_kill("valkey"), Visitor.hold, "≤ 3 s"),
        "postgres_frozen": (_freeze_postgres, Visitor.book, "≤ 3 s"),
    }
    try:
        async with opened(site, arena(BOOKINGS + FREE)) as event_id, _second_web(site) as second:
            await sell(pool, event_id)
            for name, (fault, act, target) in faults.items():
                for _ in range(ROUNDS):
                    async with _visiting([site.url], event_id, act) as visitor:
                        ended = await fault(site)
                        rounds.add(name, await visitor.succeed(act) - ended, "s", target)
            for _ in range(ROUNDS):
                await _kill_postgres(site, event_id, rounds)
            for _ in range(ROUNDS):
                await _kill_web(site, second, event_id, rounds)
    finally:
        await pool.close()


@asynccontextmanager
async def _visiting(urls: list[str], event_id: int, act: Act) -> AsyncIterator[Visitor]:
    """Somebody for whom everything has just worked."""
    await asyncio.sleep(SETTLE_SECONDS)
    visitor = Visitor(urls, event_id)
    try:
        await visitor.succeed(act)
        yield visitor
    finally:
        visitor.close()


async def _kill_postgres(site: Site, event_id: int, rounds: Rounds) -> None:
    """What it takes Postgres to recover is told apart: on a busy disk that is most of it."""
    async with _visiting([site.url], event_id, Visitor.book) as visitor:
        killed = await _kill("postgres")(site)
        booked, back = await asyncio.gather(visitor.succeed(Visitor.book), _accepts(site))
        rounds.add("postgres_killed", booked - killed, "s")
        rounds.add("postgres_back_to_first_booking", max(0.0, booked - back), "s", "≤ 3 s")


async def _accepts(site: Site) -> float:
    """When Postgres takes connections again."""
    async with asyncio.timeout(GIVE_UP_SECONDS):
        while True:
            with suppress(Unavailable):
                await (await open_pool(site.settings, size=1)).close()
                return time.perf_counter()
            await asyncio.sleep(AGAIN_SECONDS)


async def _kill_web(site: Site, second: str, event_id: int, rounds: Rounds) -> None:
    """The one who was there goes to the other process; somebody else waits until the first is back."""
    async with (
        _visiting([site.url, second], event_id, Visitor.hold) as moving,
        _visiting([site.url], event_id, Visitor.hold) as waiting,
    ):
        ended = await _kill("web")(site)
        moved, back = await asyncio.gather(moving.succeed(Visitor.hold), waiting.succeed(Visitor.hold))
        rounds.add("web_killed_another_serves", moved - ended, "s", "≤ 1 s")
        rounds.add("web_killed_it_is_back", back - ended, "s")


@asynccontextmanager
async def _second_web(site: Site) -> AsyncIterator[str]:
    """Another web process beside that of `up`; its address."""
    port = free_port()
    environment = {"SEATMAP_DATA": str(site.settings.data), "PORT": str(port), "SEATMAP_LOG_LEVEL": "warning"}
    process = await asyncio.to_thread(
        subprocess.Popen,
        [sys.executable, "-m", "seatmap", "web"],
        env=os.environ | environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while await asyncio.to_thread(get, f"{url}/readyz") is None:  # noqa: ASYNC110 - only it knows
                await asyncio.sleep(AGAIN_SECONDS)
        yield url
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


# ---- faults; each answers when it was over ----


def _state(site: Site) -> dict[str, Any]:
    state: dict[str, Any] = msgspec.json.decode((site.settings.data / "up.json").read_bytes())
    return state


def _kill(name: str) -> Callable[[Site], Awaitable[float]]:
    """kill -9; `up` starts it again, which is part of the time."""

    async def fault(site: Site) -> float:
        os.kill(_state(site)["pids"][name], signal.SIGKILL)
        return time.perf_counter()

    return fault


async def _empty_redis(site: Site) -> float:
    async with Redis.from_url(site.settings.redis_url) as redis:
        await redis.flushall()
    return time.perf_counter()


async def _lose_redis(site: Site) -> float:
    """kill -9, and its files are gone before it starts again."""
    state = _state(site)
    with _stopped([state["pid"]]):
        os.kill(state["pids"]["valkey"], signal.SIGKILL)
        for path in (site.settings.data / "valkey").glob("appendonlydir*"):
            shutil.rmtree(path)
    return time.perf_counter()


async def _freeze_postgres(site: Site) -> float:
    parent = psutil.Process(_state(site)["pids"]["postgres"])
    with _stopped([parent.pid, *(child.pid for child in parent.children(recursive=True))]):
        await asyncio.sleep(FROZEN_SECONDS)
    return time.perf_counter()


@contextmanager
def _stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
