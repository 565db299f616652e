"""kill -9 of every process that can hold something, in the middle of sales: it heals, and no booking is lost."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from running_site import clean_environment, running_up, state_of
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from seatmap import config
from seatmap.embedded import attach
from seatmap.ledger import audit
from seatmap.ledger.pool import open_pool
from seatmap.simulate import uuid7

THEATRE, SEATS = 1, 2010
BUYERS = 24
KEPT_MAX = 5  # orders that one buyer does not give back; a visitor may have ten seats
HEAL_SECONDS = 60.0
ANSWER_SECONDS = 10.0


class Buyer:
    """Holds a seat, books it, later cancels most; asks again until an order has an answer."""

    def __init__(self, url: str, told: dict[UUID, str], prices: list[int]) -> None:
        self._kept: list[UUID] = []
        self._address = url.replace("http", "ws") + f"/ws/events/{THEATRE}"
        self._told = told  # order id → booked, cancelled or a code
        self._prices = prices
        self._cookie = ""
        self._socket: ClientConnection | None = None

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            seat = random.randrange(SEATS)
            mine = (await self.ask({"type": "hold", "seats": [seat]})).get("mine")
            await asyncio.sleep(0.02)  # as many as one core can serve without being late
            if mine is None:
                continue
            seats = mine["seats"]
            order_id = uuid7()
            order = {"type": "book", "order_id": str(order_id), "hold_id": mine["hold_id"], "seats": seats}
            order |= {"total": sum(self._prices[i] for i in seats), "name": "Ada", "email": "ada@example.org"}
            await self.settle(order_id, order, "booked")
            if self._told[order_id] == "booked":
                self._kept.append(order_id)
            else:
                await self.ask({"type": "release", "hold_id": mine["hold_id"]})
            if len(self._kept) > KEPT_MAX:
                gone = self._kept.pop(random.randrange(KEPT_MAX))
                await self.settle(gone, {"type": "cancel", "order_id": str(gone)}, "cancelled")
        if self._socket is not None:
            await self._socket.close()

    async def settle(self, order_id: UUID, command: dict[str, Any], good: str) -> None:
        """Ask until the answer is one that stays."""
        self._told[order_id] = "unknown"
        while True:
            error = (await self.ask(command)).get("error")
            if error is None or not error["temporary"]:
                self._told[order_id] = str(error["code"]) if error else good
                return
            await asyncio.sleep(0.1)

    async def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """The reply, or a temporary error where there is none."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._socket is None:
                    await self._connect()
                assert self._socket is not None
                await self._socket.send(msgspec.json.encode({**command, "id": "c"}).decode())
                while True:
                    message = await self._socket.recv()
                    if isinstance(message, str) and (found := msgspec.json.decode(message)).get("id") == "c":
                        return dict(found)
        except (OSError, WebSocketException):
            self._socket = None
            await asyncio.sleep(0.1)
            return {"error": {"temporary": True, "code": "unavailable"}}

    async def _connect(self) -> None:
        headers = {"cookie": self._cookie} if self._cookie else None
        self._socket = await connect(
            self._address, additional_headers=headers, compression=None, ping_interval=None, close_timeout=0.2
        )
        assert self._socket.response is not None
        if not self._cookie:
            self._cookie = self._socket.response.headers["set-cookie"].partition(";")[0]


@pytest.fixture
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="seatmap-kill-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "data"


def seatmap(data: Path, *words: str) -> Any:
    """What a command prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "seatmap", *words, "--json"],
        env=clean_environment() | {"SEATMAP_DATA": str(data)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr.decode()
    return msgspec.json.decode(done.stdout)


async def eventually(what: Callable[[], Awaitable[Any]], why: str) -> Any:
    deadline = time.monotonic() + HEAL_SECONDS
    while not (found := await what()):
        assert time.monotonic() < deadline, why
        await asyncio.sleep(0.2)
    return found


async def kill(data: Path, *names: str) -> None:
    """kill -9, and wait until there are others in their place."""
    state = state_of(data)
    assert state is not None
    old = {name: state["pids"][name] for name in names}
    for pid in old.values():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    async def replaced() -> bool:
        new = (state_of(data) or {"pids": {}})["pids"]
        return all(new.get(name, pid) != pid for name, pid in old.items())

    await eventually(replaced, f"{', '.join(names)} did not come back")


async def sell_on(told: dict[UUID, str]) -> None:
    """Wait until bookings are acknowledged again."""
    before = len(told)

    async def more() -> bool:
        return sum(word in ("booked", "cancelled") for word in list(told.values())[before:]) >= BUYERS

    await eventually(more, "nobody could book any more")


async def check_ledger(data: Path, told: dict[UUID, str]) -> None:
    settings = attach(config.load(clean_environment() | {"SEATMAP_DATA": str(data)}))
    pool = await open_pool(settings, size=1)
    decided, claims = await audit.decided(pool, THEATRE), await audit.claims(pool, THEATRE)
    await pool.close()
    active = [claim.seat for claim in claims if claim.status in ("pending", "confirmed")]
    assert len(active) == len(set(active))
    confirmed = {order_id for order_id, word in told.items() if word == "booked"}
    cancelled = {order_id for order_id, word in told.items() if word == "cancelled"}
    assert confirmed
    assert {one: decided[one].status for one in confirmed} == dict.fromkeys(confirmed, "confirmed")
    assert {one: decided[one].status for one in cancelled} == dict.fromkeys(cancelled, "cancelled")
    others = set(told) - confirmed - cancelled
    assert not [one for one in others if one in decided and decided[one].status == "confirmed"]
    assert confirmed == {order.order_id for order in decided.values() if order.status == "confirmed"}


async def test_nothing_that_was_acknowledged_is_lost(data: Path) -> None:
    with running_up(data, SEATMAP_RESOLVE_AFTER_MS="1000", SEATMAP_RECONCILE_MS="1000") as state:
        first = await asyncio.to_thread(seatmap, data, "simulate", "2", "5", "--users", "20")
        assert (first["winners"], first["booked"]) == (1, 1)
        prices = await asyncio.to_thread(theatre_prices, state["url"])
        told: dict[UUID, str] = {}
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(BUYERS):
                tasks.create_task(Buyer(state["url"], told, prices).run(stop))
            for names in (
                ["web"],
                ["worker"],
                ["valkey"],
                ["postgres"],
                ["web", "worker", "valkey", "postgres"],
            ):
                await sell_on(told)
                await kill(data, *names)
            await sell_on(told)
            stop.set()

        async def agreed() -> bool:
            return bool((await asyncio.to_thread(seatmap, data, "verify", "--all")) == {"differences": []})

        await eventually(agreed, "Redis and Postgres do not agree")
        await check_ledger(data, told)
        again = await asyncio.to_thread(seatmap, data, "simulate", "2", "5", "--users", "20")
        assert (again["winners"], again["refused"], again["active_bookings"]) == (0, {"seat_taken": 20}, 1)


def theatre_prices(url: str) -> list[int]:
    from urllib.request import urlopen

    with urlopen(f"{url}/api/events/{THEATRE}/seats") as response:
        return [seat["price"] for seat in msgspec.json.decode(response.read())["seats"]]
