"""What stands in Postgres, read for checking only: by `simulate`, and by the audit after a load test."""

from uuid import UUID

import asyncpg
from msgspec import Struct

from seatmap.ledger.pool import connection


class Claim(Struct, frozen=True):
    """One booking that ever was: its seat was taken during [seq_on, seq_off) of the event's history."""

    order_id: UUID
    seat: int
    status: str  # pending, confirmed or cancelled
    seq_on: int
    seq_off: int | None  # None: still active


class Decided(Struct, frozen=True):
    """What became of an order id. `status` is that of its order, empty where there is none."""

    order_id: UUID
    outcome: str  # committed, refused or aborted
    reason: str
    status: str


async def active_bookings(pool: asyncpg.Pool, event_id: int, seat: int) -> int:
    """How many pending or confirmed bookings a seat has; more than one is the failure of everything."""
    async with connection(pool) as conn:
        return int(
            await conn.fetchval(
                "SELECT count(*) FROM bookings"
                " WHERE event_id = $1 AND seat = $2 AND status IN ('pending', 'confirmed')",
                event_id,
                seat,
            )
        )


async def claims(pool: asyncpg.Pool, event_id: int) -> list[Claim]:
    """Every booking of an event, cancelled ones included, by seat and then by age."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            "SELECT order_id, seat, status, seq_on, seq_off FROM bookings WHERE event_id = $1"
            " ORDER BY seat, seq_on",
            event_id,
        )
    return [Claim(UUID(int=row[0].int), *row[1:]) for row in rows]


async def decided(pool: asyncpg.Pool, event_id: int) -> dict[UUID, Decided]:
    """Every verdict of an event, by order id."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            """
            SELECT v.order_id, v.outcome, v.reason, coalesce(o.status, '')
            FROM verdicts v LEFT JOIN orders o ON o.id = v.order_id WHERE v.event_id = $1
            """,
            event_id,
        )
    return {UUID(int=row[0].int): Decided(UUID(int=row[0].int), *row[1:]) for row in rows}
