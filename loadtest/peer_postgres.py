"""What people build first for bookings: one serializable transaction each, with SELECT … FOR UPDATE, tried again.

Nothing stands in front of it: the buyers are coroutines with a connection each, on a core of their own. The seats
are sold in their order, as a hall fills, so that neighbours lie on one page; `scattered` sells them anywhere.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator

import asyncpg

from loadtest.bench_site import Site
from loadtest.figures import Rounds
from loadtest.machine import on_core

CONNECTIONS = 64
SEATS = 100_000
WARM_SECONDS, ROUND_SECONDS, ROUNDS = 1.0, 3.0, 5

TABLES = """
    DROP TABLE IF EXISTS peer_bookings, peer_seats;
    CREATE TABLE peer_seats (
        event_id int, seat int, status text NOT NULL DEFAULT 'free', PRIMARY KEY (event_id, seat)
    );
    CREATE TABLE peer_bookings (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), event_id int NOT NULL, seat int NOT NULL, buyer text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(), FOREIGN KEY (event_id, seat) REFERENCES peer_seats
    );
"""
SELECT = "SELECT status FROM peer_seats WHERE event_id = 1 AND seat = $1 FOR UPDATE"
UPDATE = "UPDATE peer_seats SET status = 'booked' WHERE event_id = 1 AND seat = $1"
INSERT = "INSERT INTO peer_bookings (event_id, seat, buyer) VALUES (1, $1, 'Ada Lovelace')"
# The last: SERIALIZABLE has run out of room to note who read what.
AGAIN = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.OutOfMemoryError)


class Tally:
    def __init__(self) -> None:
        self.booked = self.again = 0
        self.waits: list[float] = []


async def books(site: Site, rounds: Rounds) -> None:
    """Bookings of one seat each through the same Postgres."""
    with on_core(0):
        for name, scattered in (("for_update", False), ("for_update_scattered", True)):
            await _measure(site, rounds, name, scattered)


async def _measure(site: Site, rounds: Rounds, name: str, scattered: bool) -> None:
    buyers = [await asyncpg.connect(site.settings.database_url) for _ in range(CONNECTIONS)]
    try:
        await buyers[0].execute(TABLES)
        await buyers[0].execute(f"INSERT INTO peer_seats SELECT 1, generate_series(0, {SEATS - 1})")
        order = random.sample(range(SEATS), SEATS) if scattered else range(SEATS)
        seats, tally, stop = iter(order), Tally(), asyncio.Event()
        tasks = [asyncio.create_task(_buy(buyer, seats, lambda: tally, stop)) for buyer in buyers]
        await asyncio.sleep(WARM_SECONDS)
        for _ in range(ROUNDS):
            tally, began = Tally(), time.perf_counter()
            await asyncio.sleep(ROUND_SECONDS)
            rounds.add(f"{name}_per_s", tally.booked / (time.perf_counter() - began), "1/s", "a peer")
            rounds.add(f"{name}_tries", 1 + tally.again / max(tally.booked, 1), "per booking")
            rounds.spread(name, tally.waits, "ms")
        stop.set()
        await asyncio.gather(*tasks)
        await buyers[0].execute("DROP TABLE peer_bookings, peer_seats")
    finally:
        for buyer in buyers:
            buyer.terminate()


async def _buy(
    buyer: asyncpg.Connection, seats: Iterator[int], tally: Callable[[], Tally], stop: asyncio.Event
) -> None:
    for seat in seats:
        if stop.is_set():
            return
        began = time.perf_counter()
        while not await _book(buyer, seat):
            tally().again += 1
        tally().booked += 1
        tally().waits.append((time.perf_counter() - began) * 1000)


async def _book(buyer: asyncpg.Connection, seat: int) -> bool:
    try:
        async with buyer.transaction(isolation="serializable"):
            if await buyer.fetchval(SELECT, seat) == "free":
                await buyer.execute(UPDATE, seat)
                await buyer.execute(INSERT, seat)
    except AGAIN:
        return False
    return True
