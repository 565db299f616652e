"""What an event has sold, in one look: for the dashboard, which asks every few seconds."""

import asyncpg
from msgspec import Struct

from seatmap.ledger.pool import connection

STUCK_MINUTES = 30  # an order that waits longer for its money is looked at by a person


class Sales(Struct, frozen=True):
    """`revenue` is of confirmed bookings, in minor units; `stuck` counts orders whose payment got nowhere."""

    revenue: int
    stuck: int


async def of_event(pool: asyncpg.Pool, event_id: int) -> Sales:
    """What stands in the ledger now."""
    async with connection(pool) as conn:
        row = await conn.fetchrow(
            """
            SELECT
                (SELECT coalesce(sum(price), 0)::bigint FROM bookings
                 WHERE event_id = $1 AND status = 'confirmed'),
                (SELECT count(*) FROM orders
                 WHERE event_id = $1 AND payment_status IN ('unpaid', 'refund_due') AND payment_method <> 'door'
                   AND updated_at < now() - make_interval(mins => $2))
            """,
            event_id,
            STUCK_MINUTES,
        )
    return Sales(*row)


async def ping(pool: asyncpg.Pool) -> None:
    """An answer from Postgres, as a command would wait for one. Raises Unavailable."""
    async with connection(pool) as conn:
        await conn.fetchval("SELECT 1")
