"""The audit log: written with what it is about, told latest first, by event, order and account."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from ledger_world import run_sql

from seatmap.config import Settings
from seatmap.ledger import audit_log
from seatmap.ledger.pool import connection, open_pool

pytestmark = pytest.mark.integration


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(settings)
    yield pool
    await pool.close()


async def test_acts_are_listed_latest_first_and_by_what_they_are_about(pool: asyncpg.Pool) -> None:
    (row,) = await run_sql(
        pool, "INSERT INTO users (email, name) VALUES ('a@example.org', 'Ada') RETURNING id"
    )
    order_id = uuid4()
    async with connection(pool) as conn, conn.transaction():
        await audit_log.record(
            conn, user_id=row["id"], verb="pause", object="event", event_id=7, details={"why": "queue"}
        )
        await audit_log.record(
            conn, user_id=None, verb="refund", object="order", event_id=8, order_id=order_id, details={}
        )
    refund, pause = await audit_log.entries(pool)
    assert (pause.user, pause.verb, pause.event_id) == ("Ada", "pause", 7)
    assert msgspec.json.decode(pause.details) == {"why": "queue"}
    assert (refund.user, refund.order_id) == ("", order_id)
    assert msgspec.json.encode([refund, pause])
    assert await audit_log.entries(pool, event_id=7) == [pause]
    assert await audit_log.entries(pool, order_id=order_id) == [refund]
    assert await audit_log.entries(pool, user_id=row["id"]) == [pause]
    assert await audit_log.entries(pool, before=refund.id, limit=1) == [pause]


async def test_what_is_undone_is_not_in_the_log(pool: asyncpg.Pool) -> None:
    async with connection(pool) as conn:
        undone = conn.transaction()
        await undone.start()
        await audit_log.record(conn, user_id=None, verb="pause", object="event", details={})
        await undone.rollback()
    assert await audit_log.entries(pool) == []
