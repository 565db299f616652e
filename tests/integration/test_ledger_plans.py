"""What a buyer reads costs what it is worth, also where Postgres has no statistics, as after a crash in a rush."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from ledger_world import make_event, purchase

from seatmap.config import Settings
from seatmap.ledger import letters, orders
from seatmap.ledger.group import GroupCommit
from seatmap.ledger.pool import connection, open_pool

pytestmark = pytest.mark.integration

MANY = 10_000


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(settings, size=1)
    yield pool
    await pool.close()


async def fill(pool: asyncpg.Pool, event_id: int, status: str = "cancelled") -> None:
    """Orders of other people, one seat each, by default all given back."""
    async with connection(pool) as conn:
        await conn.execute(
            """
            WITH made AS (SELECT gen_random_uuid() AS id, n FROM generate_series(1, $2::int) n),
            told AS (
                INSERT INTO verdicts (order_id, event_id, visitor, body_hash, outcome)
                SELECT id, $1, 'other ' || n, '', 'committed' FROM made
            ),
            ordered AS (
                INSERT INTO orders (id, event_id, visitor, name, email, status, total, currency)
                SELECT id, $1, 'other ' || n, 'Bob', 'bob@example.org', $3, 0, 'EUR' FROM made
            )
            INSERT INTO bookings (order_id, event_id, seat, status, price, currency, seq_on, seq_off)
            SELECT id, $1, CASE $3 WHEN 'cancelled' THEN n % 8 ELSE n + 7 END, $3, 0, 'EUR', 1,
                CASE $3 WHEN 'cancelled' THEN 2 END FROM made
            """,
            event_id,
            MANY,
            status,
        )


ROWS_SCANNED = (  # one after the other, so far, by the pool's connection
    "SELECT sum(seq_tup_read) FROM pg_stat_user_tables"
    " WHERE relname IN ('orders', 'bookings', 'seats', 'payments')"
)
ENTRIES_READ = "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'bookings'"


async def count(pool: asyncpg.Pool, what: str) -> int:
    async with connection(pool) as conn:
        await conn.execute("SELECT pg_stat_force_next_flush()")
        return int(await conn.fetchval(what))


async def test_an_order_is_read_by_its_indexes(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    await fill(pool, event_id)
    wanted = purchase(event_id, 3, 2)
    assert (await GroupCommit(pool).book(wanted)).outcome == "committed"
    before = await count(pool, ROWS_SCANNED)
    order = await orders.get(pool, wanted.order_id, wanted.visitor)
    assert [order] == await orders.of_visitor(pool, wanted.visitor)
    async with connection(pool) as conn:
        assert [order] == await orders.read_orders(conn, [wanted.order_id, uuid4()])
        assert [*await letters.matters(conn, [wanted.order_id, uuid4()])] == [wanted.order_id]
    assert await count(pool, ROWS_SCANNED) - before < MANY / 10


async def test_an_order_is_ended_without_a_look_at_those_of_others(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool, MANY + 8)
    await fill(pool, event_id, "confirmed")
    wanted = purchase(event_id, 3, 2)
    assert (await GroupCommit(pool).book(wanted)).outcome == "committed"
    before = await count(pool, ENTRIES_READ)
    assert (await orders.cancel(pool, wanted.order_id, wanted.visitor)).seats == (2, 3)
    assert await count(pool, ENTRIES_READ) - before < MANY / 10
