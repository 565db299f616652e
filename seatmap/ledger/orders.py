"""Orders: their verdicts, what they stand at, and giving them back.

A verdict is for ever. What an order *stands at* may change after a committed verdict, by cancelling.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct

from seatmap.errors import Refused
from seatmap.failpoints import failpoint
from seatmap.ledger.claims import OF_ACCOUNT
from seatmap.ledger.pool import connection
from seatmap.model import BookedSeat, Order, PaymentPage

ORDERS_SHOWN_MAX = 500

# What an order stands at → the verdict that FINISH carries out.
FINISHED = {"free": "confirmed", "confirmed": "confirmed", "pending": "claimed", "cancelled": "cancelled"}

_BOOK = "SELECT * FROM book_orders($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"


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
    method: str = ""  # of payment; empty: the event's first
    paid_by: int | None = None  # the late payment that takes its seats again


class Verdict(Struct, frozen=True):
    """`outcome` is committed, refused or aborted; `reason` is a code of `errors.REFUSALS` or empty.

    `standing` is what an order that was made just now stands at: free (confirmed, and nothing to pay),
    confirmed or pending.
    """

    order_id: UUID
    outcome: str
    reason: str
    standing: str = ""


class Cancelled(Struct, frozen=True):
    """What an order that was given back had, and whose it was."""

    event_id: int
    visitor: str
    seats: tuple[int, ...]


async def book(conn: Any, event_id: int, batch: Sequence[Purchase], pay_s: int) -> dict[UUID, Verdict]:
    """Decides orders of one event, in one statement. Who has something to pay has `pay_s` seconds for it.

    An order is absent whose verdict was committed elsewhere meanwhile: read it again.
    """
    rows = await conn.fetch(
        _BOOK,
        event_id,
        [purchase.order_id for purchase in batch],
        [purchase.epoch for purchase in batch],
        [purchase.visitor for purchase in batch],
        [purchase.body_hash for purchase in batch],
        [purchase.total for purchase in batch],
        [purchase.name for purchase in batch],
        [purchase.email for purchase in batch],
        [place for place, purchase in enumerate(batch, 1) for _ in purchase.seats],
        [seat for purchase in batch for seat in purchase.seats],
        [purchase.method for purchase in batch],
        [purchase.paid_by for purchase in batch],
        pay_s,
    )
    return {row[0]: Verdict(row[0], row[1], row[2], row[3] or "") for row in rows}


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
    await failpoint("verdict.after_insert")
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


async def visitor_of(pool: asyncpg.Pool, order_id: UUID) -> str:
    """Whose an order is; empty if it never became one."""
    async with connection(pool) as conn:
        return str(await conn.fetchval("SELECT visitor FROM orders WHERE id = $1", order_id) or "")


async def seats_of(pool: asyncpg.Pool, order_id: UUID) -> dict[int, bool]:
    """Each seat that an order ever had → whether it has it now."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            "SELECT seat, bool_or(status <> 'cancelled') FROM bookings WHERE order_id = $1 GROUP BY seat",
            order_id,
        )
    return {row[0]: row[1] for row in rows}


# Whether a booking `b` is what its order `o` has; of a cancelled order, what it had last.
IN_ORDER = """
    (b.status <> 'cancelled' OR o.status = 'cancelled'
        AND b.seq_off = (SELECT max(k.seq_off) FROM bookings k WHERE k.order_id = o.id))
"""

# Each order by its indexes, which OFFSET 0 insists on: Postgres without statistics, as after a crash in the middle of
# a rush, took an order for a large part of all bookings and read them all.
_SELECT = """
    SELECT o.id, o.event_id, e.name AS event_name, o.status, o.total, o.currency, o.payment_status,
        o.payment_method, o.name, o.email, o.created_at,
        greatest(0, 1000 * extract(epoch FROM o.pay_by - now()))::bigint AS pay_by_ms, p.provider, p.url,
        b.seat, s.label, c.name AS category, b.price, b.status AS seat_status
    FROM orders o
    JOIN events e ON e.id = o.event_id
    JOIN LATERAL (
        SELECT DISTINCT ON (seat) * FROM bookings WHERE order_id = o.id ORDER BY seat, seq_on DESC
    ) b ON true
    JOIN LATERAL (SELECT * FROM seats WHERE event_id = b.event_id AND index = b.seat OFFSET 0) s ON true
    JOIN categories c ON c.id = s.category_id
    LEFT JOIN LATERAL (SELECT * FROM payments WHERE order_id = o.id OFFSET 0) p ON true
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
    named = ("id", "seats", "pay_by_ms", "checkout")
    names = [name for name in Order.__struct_fields__ if name not in named]
    return [
        Order(
            # asyncpg's own UUID is a subclass that msgspec does not encode
            id=UUID(int=key.int),
            seats=tuple(seats[key]),
            pay_by_ms=head["pay_by_ms"] if head["status"] == "pending" else None,
            checkout=PaymentPage(head["provider"], head["url"]) if head["status"] == "pending" else None,
            **{name: head[name] for name in names},
        )
        for key, head in heads.items()
    ]


async def of_visitor(pool: asyncpg.Pool, visitor: str, user_id: int | None = None) -> list[Order]:
    """The orders of a visitor and, where given, of an account, the newest first, cancelled ones included."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            f"""
            {_SELECT} WHERE o.id IN (
                SELECT id FROM orders WHERE (visitor = $1 OR {OF_ACCOUNT}) AND deleted_at IS NULL
                ORDER BY created_at DESC LIMIT {ORDERS_SHOWN_MAX}
            )
            ORDER BY o.created_at DESC, o.id, b.seat
            """,
            visitor,
            user_id,
        )
    return _orders(rows)


async def read_orders(conn: Any, ids: Sequence[UUID]) -> list[Order]:
    """Orders by their ids, whoever's they are, in no order."""
    return _orders(await conn.fetch(f"{_SELECT} WHERE o.id = ANY ($1) ORDER BY o.id, b.seat", ids))


async def get(pool: asyncpg.Pool, order_id: UUID, visitor: str) -> Order | None:
    """One order of a visitor; None if it is not theirs."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            f"{_SELECT} WHERE o.id = $1 AND o.visitor = $2 AND o.deleted_at IS NULL ORDER BY b.seat",
            order_id,
            visitor,
        )
    return next(iter(_orders(rows)), None)


async def cancel(
    pool: asyncpg.Pool, order_id: UUID, visitor: str | None, seats: Sequence[int] | None = None
) -> Cancelled:
    """Gives an order back, or some of its seats; once it returns, Redis may free them.

    What was paid for them is owed back. No visitor: whoever's it is. Repeating it answers the same. Refuses
    with order_not_found, or order_not_active if it never became an order.
    """
    async with connection(pool) as conn:
        return await cancel_within(conn, order_id, visitor, seats, "buyer")


async def cancel_within(
    conn: Any, order_id: UUID, visitor: str | None, seats: Sequence[int] | None, reason: str
) -> Cancelled:
    """`cancel` as a part of the caller's transaction; `reason` is buyer, staff or event."""
    row = await conn.fetchrow("SELECT * FROM cancel_order($1, $2, $3, $4)", order_id, visitor, seats, reason)
    if row["result"] != "cancelled":
        raise Refused(row["result"])
    return Cancelled(row["event_id"], row["visitor"], tuple(row["seats"] or ()))


async def count_active(pool: asyncpg.Pool, event_id: int) -> int:
    """How many orders of an event are pending or confirmed."""
    async with connection(pool) as conn:
        return int(
            await conn.fetchval(
                "SELECT count(*) FROM orders WHERE event_id = $1 AND status IN ('pending', 'confirmed')",
                event_id,
            )
        )


async def cancel_some_of_event(pool: asyncpg.Pool, event_id: int, limit: int) -> int:
    """Cancels up to `limit` orders of a cancelled event and owes back what was paid; how many that were."""
    async with connection(pool) as conn:
        return int(await conn.fetchval("SELECT cancel_orders_of_event($1, $2)", event_id, limit))
