"""Orders as staff see them: all of them, searched, with their payments; and what staff do to them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import UNSET, Struct, UnsetType

from seatmap.errors import Refused
from seatmap.ledger import money_by_hand
from seatmap.ledger.money_by_hand import STUCK, SUSPECTS, TO_PAY_OUT, RefundRecord
from seatmap.ledger.orders import read_orders
from seatmap.ledger.pool import connection
from seatmap.model import Order


class PaymentRecord(Struct, frozen=True, kw_only=True):
    """A payment; `refunded` is what goes or went back of it, in minor units.

    `received` is what came, where that was another sum or currency than was asked for.
    """

    id: int
    provider: str
    status: str
    amount: int
    refunded: int
    currency: str
    received: int | None
    received_currency: str | None
    created_at: datetime
    updated_at: datetime
    refunds: list[RefundRecord]


class AdminOrder(Order, frozen=True, kw_only=True):
    """An order with what its buyer does not see. Lists have no payments.

    `stuck`: its money is where it should not stay, `retry-payment` tries again. `to_pay_out`: what the box office
    has to hand out, in minor units; `pay-out` says that it did.
    """

    stuck: bool
    to_pay_out: int
    cancel_reason: str
    payments: list[PaymentRecord] | UnsetType = UNSET
    history: list[Any] | UnsetType = UNSET


class Filter(Struct, frozen=True, kw_only=True):
    """Which orders; what is empty does not matter. `after` is the last order of the list before.

    `stuck`: those whose money needs a person, to try again or to hand it out.
    """

    q: str = ""
    event_id: int | None = None
    status: str = ""
    payment: str = ""
    stuck: bool = False
    after: UUID | None = None
    limit: int = 50


_COLUMNS = f"o.id, o.cancel_reason, {STUCK} AS stuck, {TO_PAY_OUT} AS to_pay_out"
_WANTED = """
    o.deleted_at IS NULL
        AND ($1 = '' OR strpos(lower(o.name), lower($1)) > 0 OR strpos(lower(o.email), lower($1)) > 0
            OR o.id::text = lower($1) OR right(o.id::text, 8) = lower($1)
            OR EXISTS (
                SELECT FROM bookings b JOIN seats s ON s.event_id = b.event_id AND s.index = b.seat
                WHERE b.order_id = o.id AND strpos(lower(s.label), lower($1)) > 0))
        AND ($2::bigint IS NULL OR o.event_id = $2)
        AND ($3 = '' OR o.status = $3) AND ($4 = '' OR o.payment_status = $4)
        AND ($5::uuid IS NULL OR (o.created_at, o.id) < (SELECT created_at, id FROM orders WHERE id = $5))
    ORDER BY o.created_at DESC, o.id DESC LIMIT $6
"""
_LISTED = f"SELECT {_COLUMNS} FROM orders o WHERE {_WANTED}"
_LISTED_STUCK = f"""
    SELECT {_COLUMNS} FROM ({SUSPECTS}) m JOIN orders o ON o.id = m.order_id
    WHERE ({STUCK} OR {TO_PAY_OUT} > 0) AND {_WANTED}
"""


async def listed(pool: asyncpg.Pool, wanted: Filter) -> list[AdminOrder]:
    """Orders, the newest first."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            _LISTED_STUCK if wanted.stuck else _LISTED,
            wanted.q,
            wanted.event_id,
            wanted.status,
            wanted.payment,
            wanted.after,
            wanted.limit,
        )
        found = {order.id: order for order in await read_orders(conn, [row["id"] for row in rows])}
    return [_admin_order(found[UUID(int=row["id"].int)], row) for row in rows]


async def get(pool: asyncpg.Pool, order_id: UUID) -> AdminOrder:
    """One order with its payments. Refuses with order_not_found."""
    async with connection(pool) as conn:
        row = await conn.fetchrow(
            f"""
            SELECT o.cancel_reason, {STUCK} AS stuck, {TO_PAY_OUT} AS to_pay_out
            FROM orders o WHERE o.id = $1 AND o.deleted_at IS NULL
            """,
            order_id,
        )
        if row is None:
            raise Refused("order_not_found")
        (order,) = await read_orders(conn, [order_id])
        paid = await conn.fetch(
            """
            SELECT id, provider, status, amount, currency, received, received_currency, created_at, updated_at,
                (SELECT coalesce(sum(r.amount), 0)::bigint FROM refunds r WHERE r.payment_id = p.id) AS refunded
            FROM payments p WHERE order_id = $1 ORDER BY id
            """,
            order_id,
        )
        records = [
            PaymentRecord(**payment, refunds=await money_by_hand.of_payment(conn, payment["id"]))
            for payment in paid
        ]
    return _admin_order(order, row, payments=records)


def _admin_order(order: Order, row: Mapping[str, Any], **more: Any) -> AdminOrder:
    fields = {name: getattr(order, name) for name in Order.__struct_fields__}
    told = {name: row[name] for name in ("stuck", "to_pay_out", "cancel_reason")}
    return AdminOrder(**fields, **told, **more)


async def mark_paid(conn: Any, order_id: UUID) -> int:
    """The money of an order was taken at the door; its event. Refuses with order_not_found or not_unpaid.

    A part of the caller's transaction.
    """
    event_id = await conn.fetchval("SELECT event_id FROM orders WHERE id = $1", order_id)
    if event_id is None:
        raise Refused("order_not_found")
    await conn.execute("UPDATE events SET seq = seq + 1 WHERE id = $1", event_id)
    # What was cancelled before it was paid is not to be paid any more.
    marked = await conn.fetchval(
        """
        WITH due AS (
            SELECT sum(price) AS amount FROM bookings WHERE order_id = $1 AND status = 'confirmed'
        ),
        paid AS (
            UPDATE payments p SET status = 'captured', amount = due.amount
            FROM orders o, due
            WHERE p.order_id = $1 AND o.id = $1 AND o.status = 'confirmed' AND p.provider = 'door'
                AND p.status = 'created' AND due.amount > 0
            RETURNING p.id
        )
        UPDATE orders SET payment_status = 'paid' WHERE id = $1 AND EXISTS (SELECT FROM paid) RETURNING id
        """,
        order_id,
    )
    if marked is None:
        raise Refused("not_unpaid")
    return int(event_id)


async def reseat(conn: Any, order_id: UUID, epoch: int, moves: Mapping[int, int]) -> None:
    """Moves an order's seats, all or none, once Redis has taken the new ones. Refuses; then nothing changed."""
    code = await conn.fetchval(
        "SELECT reseat_order($1, $2, $3, $4)", order_id, epoch, list(moves), list(moves.values())
    )
    if code:
        raise Refused(code)
