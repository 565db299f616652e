"""`export`: 100,000 orders as CSV, and what the web process needs for it."""

import asyncio
import threading
import time
from urllib.request import ProxyHandler, Request, build_opener

import psutil

from loadtest.bench_site import PRICE, Site, opened, viewers_key
from loadtest.figures import Rounds
from seatmap.ledger.pool import connection, open_pool
from seatmap.plan.demo import arena

ORDERS, ROUNDS = 100_000, 3
CHUNK = 1 << 16
LISTS = ("orders", "attendees", "seats")

_open = build_opener(ProxyHandler({})).open


async def export(site: Site, rounds: Rounds) -> None:
    """One order per seat of a hall, then each list several times."""
    async with opened(site, arena(ORDERS)) as event_id:
        await _sell_out(site, event_id)
        key = await viewers_key(site)
        for _ in range(ROUNDS):
            for name in LISTS:
                await asyncio.to_thread(_download, site, name, event_id, key, rounds)


async def _sell_out(site: Site, event_id: int) -> None:
    pool = await open_pool(site.settings, size=1)
    async with connection(pool) as conn, conn.transaction():
        await conn.execute("SET LOCAL statement_timeout = 0")
        await conn.execute(
            """
            WITH v AS (
                INSERT INTO verdicts (order_id, event_id, visitor, body_hash, outcome)
                SELECT gen_random_uuid(), $1, 'bench', '', 'committed' FROM generate_series(1, $2)
                RETURNING order_id
            ), o AS (
                INSERT INTO orders (id, event_id, visitor, name, email, status, total, currency)
                SELECT order_id, $1, 'bench', 'Ada Lovelace', 'ada@example.org', 'confirmed', $3, 'EUR' FROM v
                RETURNING id
            )
            INSERT INTO bookings (order_id, event_id, seat, status, price, currency, seq_on)
            SELECT id, $1, row_number() OVER () - 1, 'confirmed', $3, 'EUR', 1 FROM o
            """,
            event_id,
            ORDERS,
            PRICE,
            timeout=120,
        )
        await conn.execute("ANALYZE")
    await pool.close()


def _download(site: Site, name: str, event_id: int, key: str, rounds: Rounds) -> None:
    web = psutil.Process(site.pids["web"])
    before = most = web.memory_info().rss
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.02):
            most = max(most, web.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    began, lines, first = time.perf_counter(), 0, 0.0
    address = f"{site.url}/api/admin/exports/{name}.csv?event={event_id}"
    with _open(Request(address, headers={"Authorization": f"Bearer {key}"}), timeout=60) as answer:
        while chunk := answer.read(CHUNK):
            first = first or time.perf_counter() - began
            lines += chunk.count(b"\n")
    took = time.perf_counter() - began
    done.set()
    watching.join()
    if lines != ORDERS + 1:
        raise SystemExit(f"{name} has {lines} lines.")
    rounds.add(f"{name}_first_bytes", first * 1000, "ms")
    rounds.add(f"{name}_whole", took, "s", "≤ 20 s")
    rounds.add(f"{name}_memory_grown", (most - before) / 1e6, "MB", "flat")
