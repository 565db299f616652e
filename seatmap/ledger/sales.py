"""What an event has sold, in one look: for the dashboard, which asks every few seconds."""

import asyncpg
from msgspec import Struct

from seatmap.ledger.money_by_hand import STUCK, SUSPECTS
from seatmap.ledger.pool import connection

STUCK_MAX = 1000  # counted: of a cancelled event's 100,000 refunds it is enough to know that they wait


class Sales(Struct, frozen=True):
    """`revenue` is of confirmed bookings, fees included, in minor units; `stuck` counts orders, up to STUCK_MAX."""

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
                (SELECT count(*) FROM (
                    SELECT FROM ({SUSPECTS}) m JOIN orders o ON o.id = m.order_id
                    WHERE o.event_id = $1 AND {STUCK} LIMIT {STUCK_MAX:d}) found)
            """,
            event_id,
        )
    return Sales(*row)


async def ping(pool: asyncpg.Pool) -> None:
    """An answer from Postgres, as a command would wait for one. Raises Unavailable."""
    async with connection(pool) as conn:
        await conn.fetchval("SELECT 1")
