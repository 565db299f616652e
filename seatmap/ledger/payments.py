"""Payments and refunds: what was promised, what came, what goes back. Money is in minor units.

Every change of state happens in a function of the database, under the event's lock; docs/payments.md draws them.
"""

from typing import Any, Literal
from uuid import UUID

import asyncpg
from msgspec import Struct

from seatmap.errors import Refused, Unavailable
from seatmap.ledger import orders
from seatmap.ledger.orders import Purchase
from seatmap.ledger.pool import connection

# What may become what: docs/payments.md draws these, the database holds every statement to them.
ORDER_TRANSITIONS = {
    "pending": ("confirmed", "cancelled"),
    "confirmed": ("cancelled",),
}
PAYMENT_TRANSITIONS = {
    "created": ("authorized", "captured", "failed", "expired", "stuck"),
    "authorized": ("captured", "failed", "expired", "stuck"),
    "failed": ("captured", "stuck"),
    "expired": ("captured", "stuck"),
    "captured": ("refund_due",),
    "refund_due": ("refunded", "stuck"),
    "stuck": ("refund_due",),
}

SENT_AGAIN_S = 30.0  # a refund that was sent without an answer is sent again, under the same id


class Payment(Struct, frozen=True, kw_only=True):
    """What is, or was, to be paid for an order. `pay_by_ms` is from now; `session` is the provider's."""

    id: int
    order_id: UUID
    event_name: str
    provider: str
    session: str
    amount: int
    currency: str
    status: str
    pay_by_ms: int


SessionState = Literal["authorized", "captured", "failed"]


class Message(Struct, frozen=True, kw_only=True):
    """What a provider says of a session."""

    id: str
    session: str
    outcome: SessionState
    amount: int
    currency: str


class Settled(Struct, frozen=True, kw_only=True):
    """What a message did (see settle_payment), and the order that it was about, with what that stands at."""

    result: str
    order_id: UUID
    event_id: int
    visitor: str
    seats: tuple[int, ...]
    standing: str


class Late(Struct, frozen=True, kw_only=True):
    """Money that came when its order had ended. `order_id` is that of the new try; `seats` are the old."""

    payment_id: int
    provider: str
    order_id: UUID
    event_id: int
    visitor: str
    name: str
    email: str
    amount: int
    seats: tuple[int, ...]
    age_s: float


class Refund(Struct, frozen=True, kw_only=True):
    """Money that goes back; its id is the same however often it is sent."""

    id: int
    provider: str
    session: str
    amount: int
    currency: str


_PAYMENT = """
    SELECT p.id, p.order_id, e.name AS event_name, p.provider, coalesce(p.session, '') AS session, p.amount,
        p.currency, p.status,
        greatest(0, 1000 * extract(epoch FROM coalesce(o.pay_by, now()) - now()))::bigint AS pay_by_ms
    FROM payments p JOIN orders o ON o.id = p.order_id JOIN events e ON e.id = o.event_id
"""


def _payment(row: Any) -> Payment:
    return Payment(**{**row, "order_id": UUID(int=row["order_id"].int)})


async def of_order(pool: asyncpg.Pool, order_id: UUID) -> Payment | None:
    """An order's payment; None where there is nothing to pay."""
    async with connection(pool) as conn:
        row = await conn.fetchrow(f"{_PAYMENT} WHERE p.order_id = $1", order_id)
    return None if row is None else _payment(row)


async def of_session(pool: asyncpg.Pool, provider: str, session: str) -> Payment:
    """The payment of a provider's session. Refuses with payment_not_found."""
    async with connection(pool) as conn:
        row = await conn.fetchrow(f"{_PAYMENT} WHERE p.provider = $1 AND p.session = $2", provider, session)
    if row is None:
        raise Refused("payment_not_found")
    return _payment(row)


async def opened(pool: asyncpg.Pool, payment_id: int, session: str, url: str) -> None:
    """Remembers the provider's session of a payment and where it is paid."""
    async with connection(pool) as conn:
        await conn.execute(
            "UPDATE payments SET session = $2, url = $3 WHERE id = $1 AND session IS NULL",
            payment_id,
            session,
            url,
        )


async def settle(pool: asyncpg.Pool, provider: str, message: Message) -> Settled:
    """Carries out a message, once. Refuses with payment_not_found: the provider sends it again."""
    async with connection(pool) as conn:
        row = await conn.fetchrow(
            "SELECT * FROM settle_payment($1, $2, $3, $4, $5, $6)",
            provider,
            message.id,
            message.session,
            message.outcome,
            message.amount,
            message.currency,
        )
    if row["result"] == "unknown":
        raise Refused("payment_not_found")
    return Settled(
        result=row["result"],
        order_id=UUID(int=row["order_id"].int),
        event_id=row["event_id"],
        visitor=row["visitor"],
        seats=tuple(sorted(set(row["seats"] or ()))),
        standing=row["standing"],
    )


async def overdue(pool: asyncpg.Pool, order_id: UUID | None = None, limit: int = 100) -> list[Payment]:
    """Payments of pending orders whose time is over, the oldest first; of one order where given.

    One clock, Postgres', sets and reads it.
    """
    async with connection(pool) as conn:
        rows = await conn.fetch(
            f"""
            {_PAYMENT} WHERE o.status = 'pending' AND o.pay_by < now() AND ($1::uuid IS NULL OR o.id = $1)
            ORDER BY o.pay_by LIMIT {limit:d}
            """,
            order_id,
        )
    return [_payment(row) for row in rows]


async def expire(pool: asyncpg.Pool, order_id: UUID) -> orders.Cancelled | None:
    """Ends a pending order; None if it is not pending any more."""
    async with connection(pool) as conn:
        row = await conn.fetchrow("SELECT * FROM expire_order($1)", order_id)
    return None if row is None else orders.Cancelled(row["event_id"], row["visitor"], tuple(row["seats"]))


async def to_end(pool: asyncpg.Pool, limit: int = 100) -> list[Payment]:
    """Payments of orders that have ended, whose provider does not know that yet; the oldest first."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            f"""
            {_PAYMENT} WHERE p.status IN ('expired', 'failed') AND p.session IS NOT NULL AND NOT p.session_ended
            ORDER BY p.id LIMIT {limit:d}
            """
        )
    return [_payment(row) for row in rows]


async def session_ended(pool: asyncpg.Pool, payment_id: int) -> None:
    """Remembers that a payment's session cannot be paid any more."""
    async with connection(pool) as conn:
        await conn.execute("UPDATE payments SET session_ended = true WHERE id = $1", payment_id)


# ---- late payments ----


async def late(pool: asyncpg.Pool, order_id: UUID | None = None, limit: int = 100) -> list[Late]:
    """Late payments whose seats may be tried again, the oldest first; of one order where given."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            f"""
            SELECT p.id AS payment_id, p.provider, p.reseat_order_id AS order_id, o.event_id, o.visitor,
                o.name, o.email, p.amount, extract(epoch FROM now() - p.updated_at)::float8 AS age_s,
                (SELECT array_agg(b.seat ORDER BY b.seat) FROM bookings b WHERE b.order_id = o.id) AS seats
            FROM payments p JOIN orders o ON o.id = p.order_id
            WHERE p.status = 'captured' AND p.reseat_order_id IS NOT NULL AND ($1::uuid IS NULL OR o.id = $1)
            ORDER BY p.id LIMIT {limit:d}
            """,
            order_id,
        )
    return [
        Late(**{**row, "order_id": UUID(int=row["order_id"].int), "seats": tuple(row["seats"])})
        for row in rows
    ]


async def reseat_late(pool: asyncpg.Pool, late: Late, purchase: Purchase) -> str:
    """Books the seats of a late payment again and moves it there, or owes it back: all in one transaction.

    Answers the outcome: committed, refused or aborted. Raises Unavailable if another try is under way.
    """
    async with connection(pool) as conn, conn.transaction():
        verdict = (await orders.book(conn, late.event_id, [purchase], 0)).get(late.order_id)
        if verdict is None:
            raise Unavailable("The late payment is being decided by somebody else.")
        if verdict.standing:
            await conn.execute("UPDATE orders SET visitor = $2 WHERE id = $1", late.order_id, late.visitor)
            await conn.execute(
                """
                WITH moved AS (SELECT id, order_id FROM payments WHERE id = $1),
                unpaid AS (UPDATE orders SET payment_status = 'none' WHERE id = (SELECT order_id FROM moved))
                UPDATE payments SET order_id = $2, reseat_order_id = NULL WHERE id = $1
                """,
                late.payment_id,
                late.order_id,
            )
        elif verdict.outcome != "committed":
            await _give_back(conn, late)
        return verdict.outcome


async def give_back(pool: asyncpg.Pool, late: Late) -> None:
    """Owes a late payment back, whose new order has a verdict that is not committed."""
    async with connection(pool) as conn, conn.transaction():
        await conn.execute("UPDATE events SET seq = seq + 1 WHERE id = $1", late.event_id)
        await _give_back(conn, late)


async def _give_back(conn: Any, late: Late) -> None:
    mine = await conn.fetchval(
        "UPDATE payments SET reseat_order_id = NULL WHERE id = $1 AND reseat_order_id = $2 RETURNING id",
        late.payment_id,
        late.order_id,
    )
    if mine is not None:
        await conn.execute("SELECT owe_refund($1, $2, 'late')", late.payment_id, late.amount)


# ---- refunds ----


async def refunds_to_send(pool: asyncpg.Pool, limit: int = 100) -> list[Refund]:
    """Takes refunds to send; nobody else gets the same within SENT_AGAIN_S."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            f"""
            WITH taken AS (
                SELECT id FROM refunds WHERE status = 'due'
                    OR status = 'sent' AND updated_at < now() - {SENT_AGAIN_S} * interval '1 second'
                ORDER BY id LIMIT {limit:d} FOR UPDATE SKIP LOCKED
            )
            UPDATE refunds r SET status = 'sent' FROM taken t, payments p
            WHERE r.id = t.id AND p.id = r.payment_id
            RETURNING r.id, p.provider, coalesce(p.session, '') AS session, r.amount, p.currency
            """
        )
    return [Refund(**row) for row in rows]


async def refund_ended(pool: asyncpg.Pool, refund_id: int, *, done: bool) -> None:
    """Writes down that a refund was paid out, or that the provider will not do it, in whatever order it says so."""
    async with connection(pool) as conn, conn.transaction():
        payment_id = await conn.fetchval("SELECT payment_id FROM refunds WHERE id = $1", refund_id)
        await conn.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", payment_id)
        await conn.execute(
            "UPDATE refunds SET status = $2 WHERE id = $1 AND status <> 'done'",
            refund_id,
            "done" if done else "failed",
        )
        if done:  # of a refund that two sent, one may have heard that it is refused
            await conn.execute(
                """
                UPDATE payments SET status = 'refund_due' WHERE id = $1 AND status = 'stuck'
                    AND NOT EXISTS (SELECT FROM refunds WHERE payment_id = $1 AND status <> 'done')
                """,
                payment_id,
            )
        becomes = "refunded" if done else "stuck"
        order_id = await conn.fetchval(
            """
            UPDATE payments SET status = $2 WHERE id = $1 AND status = 'refund_due'
                AND CASE $2 WHEN 'stuck' THEN EXISTS (
                    SELECT FROM refunds WHERE payment_id = $1 AND status = 'failed')
                ELSE NOT EXISTS (
                    SELECT FROM refunds WHERE payment_id = $1 AND status <> 'done') END
            RETURNING order_id
            """,
            payment_id,
            becomes,
        )
        if order_id is not None and done:
            await conn.execute("UPDATE orders SET payment_status = 'refunded' WHERE id = $1", order_id)
