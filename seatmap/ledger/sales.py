"""What an event has sold, in one look: for the dashboard, which asks every few seconds."""

import asyncpg
from msgspec import Struct

from seatmap.ledger.money_by_hand import STUCK, SUSPECTS
from seatmap.ledger.pool import connection


class Sales(Struct, frozen=True):
    """`revenue` is of confirmed bookings, fees included, in minor units; `stuck` orders need a person."""

    revenue: int
    stuck: int


async def of_event(pool: asyncpg.Pool, event_id: int) -> Sales:
    """What stands in the ledger now."""
    async with connection(pool) as conn:
        row = await conn.fetchrow(
            f"""
            SELECT
                (SELECT coalesce(sum(price), 0)::bigint FROM bookings
                 WHERE event_id = $1 AND status = 'confirmed'),
                (SELECT count(*) FROM ({SUSPECTS}) m JOIN orders o ON o.id = m.order_id
                 WHERE o.event_id = $1 AND {STUCK})
            """,
            event_id,
        )
    return Sales(*row)


async def ping(pool: asyncpg.Pool) -> None:
    """An answer from Postgres, as a command would wait for one. Raises Unavailable."""
    async with connection(pool) as conn:
        await conn.fetchval("SELECT 1")
