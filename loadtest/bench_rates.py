"""`holds` and `books`: how many a second through 64 and 128 websockets and one web process."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

import msgspec

from loadtest.bench_site import PRICE, Site, opened
from loadtest.client import Client, decode_reply
from loadtest.figures import Rounds
from loadtest.machine import busy
from seatmap.plan.demo import arena
from seatmap.simulate import uuid7

HOLDERS, BUYERS = 64, 128  # connections: an order waits for a commit, so it takes more to keep one core busy
SEATS = 100_000
BASKET = 4  # seats that a visitor holds before giving them back
ORDERS_PER_VISITOR = 50  # then somebody else comes: nobody's history grows without end
WARM_SECONDS, ROUND_SECONDS, ROUNDS = 2.0, 3.0, 5


class Tally:
    """What came of the commands of a round; `waits` are in ms, of the command that the bench is about."""

    def __init__(self) -> None:
        self.done = 0
        self.commands = 0
        self.waits: list[float] = []
        self.refused: dict[str, int] = {}

    def refuse(self, reply: bytes) -> None:
        error = decode_reply(reply).error
        code = error.code if error else "?"
        self.refused[code] = self.refused.get(code, 0) + 1


class Worker:
    """One of the connections, with seats of its own, so that nobody is refused for another's sake."""

    def __init__(self, site: Site, event_id: int, seats: range, tally: Tally) -> None:
        self.tally = tally
        self._url, self._event_id = site.url, event_id
        self._seats = itertools.cycle(seats)
        self._orders = 0
        self._client: Client

    def _seat(self) -> int:
        return next(self._seats)

    async def connect(self) -> None:
        self._client = await Client.connect(self._url, self._event_id)

    def close(self) -> None:
        self._client.close()

    async def _ask(self, command: bytes) -> bytes:
        self.tally.commands += 1
        return await self._client.ask(command)

    async def _timed(self, command: bytes) -> bytes | None:
        """The reply to the command that the bench counts; None where it is an error."""
        began = time.perf_counter()
        reply = await self._ask(command)
        if b'"error"' in reply:
            self.tally.refuse(reply)
            return None
        self.tally.waits.append((time.perf_counter() - began) * 1000)
        self.tally.done += 1
        return reply

    async def hold(self) -> None:
        """A basket of seats, one hold each, then all given back."""
        reply: bytes | None = None
        for _ in range(BASKET):
            reply = await self._timed(b'{"type":"hold","id":"h","seats":[%d]}' % self._seat())
        mine = decode_reply(reply).mine if reply else None
        if mine is not None:
            await self._ask(b'{"type":"release","id":"r","hold_id":"%s"}' % mine.hold_id.encode())

    async def book(self) -> None:
        """A seat, and the order for it."""
        if self._orders == ORDERS_PER_VISITOR:
            self._client.close()
            await self.connect()
            self._orders = 0
        self._orders += 1
        reply = await self._ask(b'{"type":"hold","id":"h","seats":[%d]}' % self._seat())
        mine = decode_reply(reply).mine
        if mine is None:
            self.tally.refuse(reply)
            return
        order = {
            "type": "book",
            "id": "b",
            "order_id": uuid7(),
            "hold_id": mine.hold_id,
            "seats": mine.seats,
            "total": PRICE * len(mine.seats),
            "name": "Ada Lovelace",
            "email": "ada@example.org",
        }
        await self._timed(msgspec.json.encode(order))


async def holds(site: Site, rounds: Rounds) -> None:
    """Holds of one seat each, in a hall of 100,000 seats."""
    await _measure(site, rounds, "holds", Worker.hold, HOLDERS, "≥ 10,000/s")


async def books(site: Site, rounds: Rounds) -> None:
    """Orders of one seat each, its hold included, in a hall of 100,000 seats."""
    await _measure(site, rounds, "books", Worker.book, BUYERS, "≥ 4,000/s")


async def _measure(
    site: Site,
    rounds: Rounds,
    name: str,
    act: Callable[[Worker], Awaitable[None]],
    connections: int,
    target: str,
) -> None:
    async with opened(site, arena(SEATS)) as event_id:
        tally = Tally()
        share = SEATS // connections
        shares = [range(number * share, (number + 1) * share) for number in range(connections)]
        workers = [Worker(site, event_id, seats, tally) for seats in shares]
        await asyncio.gather(*(worker.connect() for worker in workers))
        stop = False

        async def go_on(worker: Worker) -> None:
            while not stop:
                await act(worker)

        tasks = [asyncio.create_task(go_on(worker)) for worker in workers]
        await asyncio.sleep(WARM_SECONDS)
        for _ in range(ROUNDS):
            tally = Tally()
            for worker in workers:
                worker.tally = tally
            before, began, own, all_before = site.cpu(), time.perf_counter(), time.process_time(), busy()
            await asyncio.sleep(ROUND_SECONDS)
            seconds, after = time.perf_counter() - began, site.cpu()
            ours = sum(after.values()) - sum(before.values()) + time.process_time() - own
            rounds.add("others_busy", (busy() - all_before - ours) / seconds * 100, "% of a core", "0")
            rounds.add(f"{name}_per_s", tally.done / seconds, "1/s", target)
            rounds.add("commands_per_s", tally.commands / seconds, "1/s")
            rounds.spread(name, tally.waits, "ms")
            for part, used in after.items():
                rounds.add(f"{part}_busy", (used - before[part]) / seconds * 100, "% of a core")
            rounds.add("client_busy", (time.process_time() - own) / seconds * 100, "% of a core")
            rounds.add("web_per_command", (after["web"] - before["web"]) / tally.commands * 1e6, "µs")
            rounds.add("refused", sum(tally.refused.values()), "commands")
            for code, count in tally.refused.items():
                rounds.add(f"refused_{code}", count, "commands")
        stop = True
        await asyncio.gather(*tasks)
        for worker in workers:
            worker.close()
