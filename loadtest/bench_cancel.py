"""`cancel`: an event with 50,000 bookings, while people look at it and buy: when it is closed, told and owed back."""

import asyncio
import time
from collections.abc import Callable
from urllib.request import ProxyHandler, Request, build_opener
from uuid import UUID

import msgspec

from loadtest.bench_site import PRICE, Site, opened, staff_key
from loadtest.client import Client, decode_reply
from loadtest.figures import Rounds
from seatmap.ledger.pool import Pool, connection, open_pool
from seatmap.model import Role
from seatmap.plan.demo import arena
from seatmap.simulate import uuid7

BOOKINGS, SEATS_PER_ORDER, FREE = 50_000, 4, 10_000
VIEWERS, BUYERS, ROUNDS = 200, 8, 3
RUSH_SECONDS = 1.0  # of buying before and after
TOLD_SECONDS, OWED_SECONDS = 10.0, 120.0  # until the bench gives up
LOOK_SECONDS = 0.25

_open = build_opener(ProxyHandler({})).open


class Buyer:
    """Somebody who buys one seat after the other; remembers when each of their orders was asked for."""

    def __init__(self, client: Client, first: int) -> None:
        self._client = client
        self._next = first
        self.booked: dict[str, float] = {}

    async def buy(self) -> None:
        seat, self._next = self._next, self._next + 1
        mine = decode_reply(await self._client.ask(b'{"type":"hold","id":"h","seats":[%d]}' % seat)).mine
        if mine is None:
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
        asked = time.perf_counter()
        reply = decode_reply(await self._client.ask(msgspec.json.encode(order)))
        if reply.error is None:
            self.booked[str(order["order_id"])] = asked


async def cancel(site: Site, rounds: Rounds) -> None:
    """Several events, one after the other."""
    key = await staff_key(site, Role.admin)
    pool = await open_pool(site.settings, size=2)
    try:
        for _ in range(ROUNDS):
            async with opened(site, arena(BOOKINGS + FREE)) as event_id:
                await _round(site, rounds, pool, event_id, key)
    finally:
        await pool.close()


async def _round(site: Site, rounds: Rounds, pool: Pool, event_id: int, key: str) -> None:
    await sell(pool, event_id)
    told: list[float] = []
    viewers = [await Client.connect(site.url, event_id) for _ in range(VIEWERS)]

    def hear(hello: bytes) -> None:
        if b'"sale":"closed"' in hello:
            told.append(time.perf_counter())

    for viewer in viewers:
        viewer.on_hello = hear
    clients = [await Client.connect(site.url, event_id) for _ in range(BUYERS)]
    buyers = [Buyer(client, BOOKINGS + i * (FREE // BUYERS)) for i, client in enumerate(clients)]
    ended = False

    async def go_on(buyer: Buyer) -> None:
        while not ended:
            await buyer.buy()

    buying = [asyncio.create_task(go_on(buyer)) for buyer in buyers]
    await asyncio.sleep(RUSH_SECONDS)
    asked = time.perf_counter()
    await asyncio.to_thread(_cancel, site, event_id, key)
    acknowledged = time.perf_counter()
    rounds.add("acknowledged", (acknowledged - asked) * 1000, "ms")
    await _until(lambda: len(told) >= VIEWERS, TOLD_SECONDS, "a page was never told")
    rounds.add("first_page_told", told[0] - acknowledged, "s after it", "≤ 2 s")
    rounds.add("last_page_told", told[-1] - acknowledged, "s after it", "≤ 2 s")
    await asyncio.sleep(RUSH_SECONDS)
    ended = True
    await asyncio.gather(*buying)
    rounds.add("refunds_owed", await _owed(pool, event_id) - acknowledged, "s after it", "≤ 60 s")
    late = [name for buyer in buyers for name, when in buyer.booked.items() if when > acknowledged]
    rounds.add("bought_before", sum(len(buyer.booked) for buyer in buyers) - len(late), "orders")
    rounds.add("bought_after", len(late), "orders", "0")
    await _audit(pool, event_id, [UUID(name) for buyer in buyers for name in buyer.booked])
    for client in (*viewers, *clients):
        client.close()


async def sell(pool: Pool, event_id: int) -> None:
    """Orders of four seats each, paid for."""
    async with connection(pool) as conn, conn.transaction():
        await conn.execute("SET LOCAL statement_timeout = 0")
        await conn.execute(
            """
            WITH made AS (
                INSERT INTO verdicts (order_id, event_id, visitor, body_hash, outcome)
                SELECT gen_random_uuid(), $1, concat('bench-', $1::bigint, '-', n), '', 'committed'
                FROM generate_series(0, $2::int - 1) n
                RETURNING order_id, visitor, split_part(visitor, '-', 3)::int AS n
            ), ordered AS (
                INSERT INTO orders (id, event_id, visitor, name, email, status, total, currency, payment_status,
                    payment_method)
                SELECT order_id, $1, visitor, 'Ada Lovelace', 'ada@example.org', 'confirmed', $3::int * $4::bigint,
                    'EUR', 'paid', 'test_card'
                FROM made
            ), paid AS (
                INSERT INTO payments (order_id, provider, session, amount, currency, status)
                SELECT order_id, 'test_card', visitor, $3::int * $4::bigint, 'EUR', 'captured' FROM made
            )
            INSERT INTO bookings (order_id, event_id, seat, status, price, currency, seq_on)
            SELECT order_id, $1, $3::int * n + k, 'confirmed', $4::bigint, 'EUR', 1
            FROM made, generate_series(0, $3::int - 1) k
            """,
            event_id,
            BOOKINGS // SEATS_PER_ORDER,
            SEATS_PER_ORDER,
            PRICE,
            timeout=120,
        )
    async with connection(pool) as conn:
        await conn.execute("SET statement_timeout = 0")
        await conn.execute("ANALYZE", timeout=60)


def _cancel(site: Site, event_id: int, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    address = f"{site.url}/api/admin/events/{event_id}/cancel"
    with _open(Request(address, b'{"reason": "bench"}', headers), timeout=60) as answer:
        answer.read()


async def _owed(pool: Pool, event_id: int) -> float:
    """When what was paid for every order was owed back."""
    found = 0
    deadline = time.perf_counter() + OWED_SECONDS
    while found < BOOKINGS // SEATS_PER_ORDER:
        if time.perf_counter() > deadline:
            raise SystemExit(f"Only {found} refunds are owed after {OWED_SECONDS:g} s.")
        await asyncio.sleep(LOOK_SECONDS)
        async with connection(pool) as conn:
            found = await conn.fetchval(
                """
                SELECT count(*) FROM refunds r JOIN payments p ON p.id = r.payment_id
                JOIN orders o ON o.id = p.order_id WHERE o.event_id = $1
                """,
                event_id,
            )
    return time.perf_counter()


async def _audit(pool: Pool, event_id: int, booked: list[UUID]) -> None:
    """Whoever was told booked has an order, and it is cancelled like all of them."""
    async with asyncio.timeout(OWED_SECONDS):
        while True:
            async with connection(pool) as conn:
                active = await conn.fetchval(
                    "SELECT count(*) FROM orders WHERE event_id = $1 AND status <> 'cancelled'", event_id
                )
                known = await conn.fetchval("SELECT count(*) FROM orders WHERE id = ANY ($1)", booked)
            if known != len(booked):
                raise SystemExit(f"{len(booked) - known} orders that were told booked are not there.")
            if not active:
                return
            await asyncio.sleep(LOOK_SECONDS)


async def _until(true: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.perf_counter() + seconds
    while not true():
        if time.perf_counter() > deadline:
            raise SystemExit(f"After {seconds:g} s: {otherwise}.")
        await asyncio.sleep(0.002)
