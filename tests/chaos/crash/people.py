"""Buyers and staff: they ask over HTTP, and ask again until they have an answer that lasts."""

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx
import msgspec

from tests.chaos.crash.show import price_of

if TYPE_CHECKING:
    from tests.chaos.crash.cell import Cell

ANSWER_S = 60.0
PAUSE_S = 0.05


class Person:
    """Somebody with a cookie, or with an API key in `headers`."""

    def __init__(self, cell: "Cell", headers: dict[str, str] | None = None) -> None:
        self.cell = cell
        self.http = httpx.AsyncClient(base_url=cell.url, headers=headers, timeout=10.0)
        self.orders: dict[UUID, dict[str, Any]] = {}  # what was sent for each

    async def close(self) -> None:
        await self.http.aclose()

    async def get_name(self) -> None:
        """The cookie, by a question that changes nothing."""
        async with asyncio.timeout(ANSWER_S):
            while not self.http.cookies:
                with suppress(httpx.TransportError):
                    await self.http.get(f"/api/events/{self.cell.event_id}/mine")
                await asyncio.sleep(PAUSE_S)

    async def once(self, path: str, body: Any) -> tuple[str, dict[str, Any]]:
        """One try: the code of the refusal ('' for success, 'unknown' where it does not last), and the answer."""
        return await self.once_raw(path, msgspec.json.encode(body))

    async def once_raw(self, path: str, content: bytes) -> tuple[str, dict[str, Any]]:
        try:
            answer = await self.http.post(path, content=content)
        except httpx.TransportError:
            return "unknown", {}
        found = msgspec.json.decode(answer.content)
        if answer.status_code < 400:
            return "", found
        return ("unknown" if found.get("temporary") else str(found["code"])), found

    async def ask(self, path: str, body: Any) -> tuple[str, dict[str, Any]]:
        return await self.ask_raw(path, msgspec.json.encode(body))

    async def ask_raw(self, path: str, content: bytes) -> tuple[str, dict[str, Any]]:
        """Asks again, with the same words, until the answer is one that lasts."""
        deadline = time.monotonic() + ANSWER_S
        while True:
            code, answer = await self.once_raw(path, content)
            if code != "unknown":
                if self.cell.was_hit.is_set():
                    self.cell.seen.settled_s = max(
                        self.cell.seen.settled_s, time.monotonic() - self.cell.hit_at
                    )
                return code, answer
            self.cell.seen.unknown += 1
            assert time.monotonic() < deadline, f"no answer to {path}; {self.cell.logs()}"
            await asyncio.sleep(PAUSE_S)

    async def command(self, name: str, /, **fields: Any) -> tuple[str, dict[str, Any]]:
        return await self.ask(f"/api/events/{self.cell.event_id}/{name}", fields)

    async def hold(self, *seats: int) -> str:
        """The id of a hold of exactly these seats, as soon as it can be had."""
        deadline = time.monotonic() + ANSWER_S
        while True:
            code, mine = await self.command("hold", seats=seats)
            if not code:
                assert set(seats) <= set(mine["seats"]), mine
                return str(mine["hold_id"])
            assert code in ("seat_taken", "in_checkout", "wrong_epoch"), code
            assert time.monotonic() < deadline, f"{seats} are never free; {self.cell.logs()}"
            await asyncio.sleep(PAUSE_S)

    async def book(self, hold_id: str, *seats: int, **changes: Any) -> tuple[UUID, str]:
        """An order and what it came to: 'booked', or the code of its refusal."""
        order_id = uuid4()
        self.orders[order_id] = {
            "order_id": str(order_id),
            "hold_id": hold_id,
            "seats": seats,
            "total": price_of(*seats),
            "name": "Ada",
            "email": "ada@example.org",
            **changes,
        }
        self.cell.seen.orders += 1
        self.cell.told[order_id] = await self.say_again(order_id)
        return order_id, self.cell.told[order_id]

    async def say_again(self, order_id: UUID) -> str:
        """The same order once more."""
        code, answer = await self.command("book", **self.orders[order_id])
        if not code:
            assert answer["id"] == str(order_id)
            assert {seat["seat"] for seat in answer["seats"]} >= set(self.orders[order_id]["seats"])
        return code or "booked"

    async def buy(self, *seats: int, **changes: Any) -> UUID:
        """Hold and book until it is done; a hold or an order that was given up is made anew."""
        while True:
            order_id, told = await self.book(await self.hold(*seats), *seats, **changes)
            if told == "booked":
                return order_id
            assert told in ("order_aborted", "wrong_epoch", "hold_expired"), told

    async def cancel(self, order_id: UUID) -> str:
        """'cancelled', or the code of the refusal."""
        code, answer = await self.command("cancel", order_id=str(order_id))
        if not code:
            assert answer["status"] == "cancelled", answer
            self.cell.told[order_id] = "cancelled"
        return code or "cancelled"
