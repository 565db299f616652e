"""Orders: their verdicts, what they stand at, and giving them back.

A verdict is for ever. What an order *stands at* may change after a committed verdict, by cancelling.
"""

from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct

from seatmap.errors import Refused
from seatmap.ledger.pool import connection
from seatmap.model import BookedSeat, Order

ORDERS_SHOWN_MAX = 500


class Purchase(Struct, frozen=True, kw_only=True):
    """An order to be decided. `epoch` is that of BEGIN's reply; `total` is in minor units."""

    order_id: UUID
    event_id: int
    epoch: int
    visitor: str
    seats: tuple[int, ...]
    total: int
    name: str
    email: str
    body_hash: bytes


class Verdict(Struct, frozen=True):
    """`outcome` is committed, refused or aborted; `reason` is a code of `errors.REFUSALS` or empty."""

    order_id: UUID
    outcome: str
    reason: str


class Cancelled(Struct, frozen=True):
    """What an order that was given back had."""

    event_id: int
    seats: tuple[int, ...]


async def verdict(pool: asyncpg.Pool, order_id: UUID, visitor: str, body_hash: bytes) -> Verdict | None:
    """The verdict of an order, if there is one; refused as order_reused if it is somebody else's."""
    async with connection(pool) as conn:
        row = await conn.fetchrow(
            "SELECT visitor, body_hash, outcome, reason FROM verdicts WHERE order_id = $1", order_id
        )
    if row is None:
        return None
    if row["outcome"] != "aborted" and (row["visitor"], row["body_hash"]) != (visitor, body_hash):
        return Verdict(order_id, "refused", "order_reused")
    return Verdict(order_id, row["outcome"], row["reason"])


async def decide(pool: asyncpg.Pool, purchase: Purchase, outcome: str, reason: str) -> Verdict:
    """Gives an order the verdict refused or aborted unless it has one; answers what it has now."""
    return await _decide(
        pool, purchase.order_id, purchase.event_id, purchase.visitor, purchase.body_hash, outcome, reason
    )


async def abort(pool: asyncpg.Pool, order_id: UUID, event_id: int, visitor: str, body_hash: bytes) -> Verdict:
    """Plants the tombstone of an order that took too long, unless it was decided after all."""
    return await _decide(pool, order_id, event_id, visitor, body_hash, "aborted", "order_aborted")


async def _decide(
    pool: asyncpg.Pool,
    order_id: UUID,
    event_id: int,
    visitor: str,
    body_hash: bytes,
    outcome: str,
    reason: str,
) -> Verdict:
    async with connection(pool) as conn:
        await conn.execute(
            "SELECT decide_abort($1, $2, $3, $4, $5, $6)",
            order_id,
            event_id,
            visitor,
            body_hash,
            outcome,
            reason,
        )
    # A second statement, after the first was committed: the first may have waited for a booking in flight,
    # which its own snapshot cannot see.
    decided = await verdict(pool, order_id, visitor, body_hash)
    assert decided is not None, "a verdict is never deleted"
    return decided


async def standing(pool: asyncpg.Pool, order_id: UUID) -> str | None:
    """What the bookings say now: confirmed, pending, cancelled, or None if it never became an order."""
    async with connection(pool) as conn:
        status = await conn.fetchval("SELECT status FROM orders WHERE id = $1", order_id)
    return None if status is None else str(status)


_SELECT = """
    SELECT o.id, o.event_id, e.name AS event_name, o.status, o.total, o.currency, o.payment_status,
        o.payment_method, o.name, o.email, o.created_at,
        b.seat, s.label, c.name AS category, b.price, b.status AS seat_status
    FROM orders o
    JOIN events e ON e.id = o.event_id
    JOIN bookings b ON b.order_id = o.id
    JOIN seats s ON s.event_id = b.event_id AND s.index = b.seat
    JOIN categories c ON c.id = s.category_id
"""


def _orders(rows: list[Any]) -> list[Order]:
    """Rows of `_SELECT`, one per seat, those of an order together."""
    seats: dict[UUID, list[BookedSeat]] = {}
    heads: dict[UUID, Any] = {}
    for row in rows:
        heads.setdefault(row["id"], row)
        seats.setdefault(row["id"], []).append(
            BookedSeat(
                seat=row["seat"],
                label=row["label"],
                category=row["category"],
                price=row["price"],
                status=row["seat_status"],
            )
        )
    names = [name for name in Order.__struct_fields__ if name not in ("id", "seats")]
    return [
        # asyncpg's own UUID is a subclass that msgspec does not encode
        Order(id=UUID(int=key.int), seats=tuple(seats[key]), **{name: head[name] for name in names})
        for key, head in heads.items()
    ]


async def of_visitor(pool: asyncpg.Pool, visitor: str) -> list[Order]:
    """A visitor's orders, the newest first, cancelled ones included."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            f"""
            {_SELECT} WHERE o.id IN (
                SELECT id FROM orders WHERE visitor = $1 AND deleted_at IS NULL
                ORDER BY created_at DESC LIMIT {ORDERS_SHOWN_MAX}
            )
            ORDER BY o.created_at DESC, o.id, b.seat
            """,
            visitor,
        )
    return _orders(rows)


async def get(pool: asyncpg.Pool, order_id: UUID, visitor: str) -> Order | None:
    """One order of a visitor; None if it is not theirs."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            f"{_SELECT} WHERE o.id = $1 AND o.visitor = $2 AND o.deleted_at IS NULL ORDER BY b.seat",
            order_id,
            visitor,
        )
    return next(iter(_orders(rows)), None)


async def cancel(pool: asyncpg.Pool, order_id: UUID, visitor: str) -> Cancelled:
    """Gives a whole order back; once it returns, Redis may free its seats. Repeating it answers the same.

    Refuses with order_not_found, or order_not_active if it never became an order.
    """
    async with connection(pool) as conn:
        row = await conn.fetchrow("SELECT * FROM cancel_order($1, $2)", order_id, visitor)
    if row["result"] != "cancelled":
        raise Refused(row["result"])
    return Cancelled(row["event_id"], tuple(row["seats"]))
