"""What a person does about money that waits for one: stuck payments tried again, refunds handed out at the door."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from seatmap.errors import Refused

# Money that is where it should not stay: nobody took it, nobody gave it back. Of the order `o`.
STUCK = """
    EXISTS (
        SELECT FROM payments p WHERE p.order_id = o.id AND (
            p.status = 'stuck'
            OR p.status = 'authorized' AND p.updated_at < now() - interval '1 hour'
            OR o.status = 'pending' AND o.pay_by < now() - interval '10 minutes'
            OR p.reseat_order_id IS NOT NULL AND p.updated_at < now() - interval '2 minutes'
            OR EXISTS (
                SELECT FROM refunds r WHERE r.payment_id = p.id AND (
                    r.status = 'failed'
                    OR r.status IN ('due', 'sent') AND r.created_at < now() - interval '10 minutes')
            )
        )
    )
"""
# Orders of which some are stuck or to be paid out, found without a look at each: nearly all are fine.
SUSPECTS = """
    SELECT order_id FROM payments WHERE status IN ('stuck', 'authorized') OR reseat_order_id IS NOT NULL
    UNION SELECT p.order_id FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.status <> 'done'
        AND (r.status IN ('failed', 'by_hand') OR r.created_at < now() - interval '10 minutes')
    UNION SELECT id FROM orders WHERE status = 'pending' AND pay_by < now() - interval '10 minutes'
"""
# What the box office still has to hand out for the order `o`.
TO_PAY_OUT = """
    (SELECT coalesce(sum(r.amount), 0)::bigint FROM refunds r JOIN payments p ON p.id = r.payment_id
        WHERE p.order_id = o.id AND r.status = 'by_hand')
"""


class RefundRecord(Struct, frozen=True, kw_only=True):
    """Money that goes or went back, in minor units.

    `status`: due, sent, by_hand (the box office has to hand it out), done or failed. `paid_out_by` is the name of who
    handed it out.
    """

    id: int
    amount: int
    reason: str
    status: str
    created_at: datetime
    updated_at: datetime
    paid_out_by: str
    paid_out_at: datetime | None


class Retried(Struct, frozen=True, kw_only=True):
    """What trying again did: refunds that are due again, what goes back of a wrong sum, the seats that are freed."""

    event_id: int
    visitor: str
    again: int
    back: int
    seats: tuple[int, ...]


class PaidOut(Struct, frozen=True):
    """What was handed out, in minor units."""

    event_id: int
    amount: int
    currency: str


async def of_payment(conn: Any, payment_id: int) -> list[RefundRecord]:
    """A payment's refunds, the oldest first."""
    rows = await conn.fetch(
        """
        SELECT r.id, r.amount, r.reason, r.status, r.created_at, r.updated_at, r.paid_out_at,
            coalesce(nullif(u.name, ''), u.email, '') AS paid_out_by
        FROM refunds r LEFT JOIN users u ON u.id = r.paid_out_by WHERE r.payment_id = $1 ORDER BY r.id
        """,
        payment_id,
    )
    return [RefundRecord(**row) for row in rows]


async def retry(conn: Any, order_id: UUID) -> Retried:
    """Tries again what is stuck of an order's money, in the caller's transaction.

    Repeating it moves nothing twice: a refund keeps its id. Refuses with order_not_found or not_stuck.
    """
    stuck = await conn.fetchval(f"SELECT {STUCK} FROM orders o WHERE o.id = $1", order_id)
    if stuck is None:
        raise Refused("order_not_found")
    if not stuck:
        raise Refused("not_stuck")
    row = await conn.fetchrow("SELECT * FROM retry_payment($1)", order_id)
    return Retried(**{**row, "seats": tuple(row["seats"])})


async def pay_out(conn: Any, order_id: UUID, refund_ids: tuple[int, ...], user_id: int) -> PaidOut:
    """Says that refunds were handed out by `user_id`: all of them or none, in the caller's transaction.

    Refuses with order_not_found, or refund_not_owed unless each of them waits for that.
    """
    row = await conn.fetchrow(
        "SELECT * FROM pay_out_refunds($1, $2, $3)", order_id, list(refund_ids), user_id
    )
    if row is None:
        raise Refused("order_not_found")
    if row["amount"] is None:
        raise Refused("refund_not_owed")
    return PaidOut(row["event_id"], row["amount"], row["currency"].strip())
