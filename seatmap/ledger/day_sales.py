"""What a day's sales came to, as the box office closes it: by the seats of each event's categories, and by how it was
paid.

Money counts on the day on which it came or was owed back; `captured_seq` and `refunds.seq` say for which seats.
"""

from datetime import datetime

import asyncpg
from msgspec import Struct

from seatmap.ledger.pool import connection

PATIENCE_S = 20  # nobody waits for these statements but who asked


class SalesLine(Struct, frozen=True, kw_only=True):
    """Seats of a category: those sold and given back, in minor units. `category` is empty for money without seats,
    as that of a late payment, or of another sum than was asked for.
    """

    event_id: int
    event_name: str
    currency: str
    category: str
    sold: int
    gross: int
    returned: int
    refunds: int


class MethodLine(Struct, frozen=True, kw_only=True):
    """What came and goes back through a way to pay; `to_pay_out` of the refunds nobody has handed out yet."""

    method: str
    currency: str
    payments: int
    gross: int
    refunds: int
    to_pay_out: int


class Unpaid(Struct, frozen=True, kw_only=True):
    """Orders of that day that are to be paid at the door and are not yet; in no other sum."""

    currency: str
    orders: int
    amount: int


class DaySales(Struct, frozen=True, kw_only=True):
    """All of a day; `since` until before `until`."""

    since: datetime
    until: datetime
    lines: list[SalesLine]
    methods: list[MethodLine]
    unpaid: list[Unpaid]


_PAID = """
    SELECT p.id, p.order_id, p.provider, p.amount, p.currency, p.captured_seq, o.event_id
    FROM payments p JOIN orders o ON o.id = p.order_id WHERE p.captured_at >= $1 AND p.captured_at < $2
"""
_BACK = """
    SELECT r.id, p.order_id, p.provider, r.amount, p.currency, r.seq, r.status, p.captured_seq, o.event_id
    FROM refunds r JOIN payments p ON p.id = r.payment_id JOIN orders o ON o.id = p.order_id
    WHERE r.created_at >= $1 AND r.created_at < $2
"""
# Each in turn: the event, currency and category; seats sold, gross, seats given back, refunds.
_LINES = f"""
    WITH paid AS ({_PAID}), back AS ({_BACK}),
    paid_seats AS (
        SELECT paid.id, b.event_id, b.seat, b.price, paid.currency
        FROM paid JOIN bookings b ON b.order_id = paid.order_id AND b.seq_on <= paid.captured_seq
            AND (b.seq_off IS NULL OR b.seq_off > paid.captured_seq)
    ),
    back_seats AS (
        SELECT back.id, b.event_id, b.seat, b.price, back.currency
        FROM back JOIN bookings b ON b.order_id = back.order_id AND b.seq_off = back.seq
            AND back.seq > back.captured_seq
    ),
    free AS (SELECT o.id FROM orders o WHERE NOT EXISTS (SELECT FROM payments p WHERE p.order_id = o.id)
        AND o.payment_status = 'none' AND (o.payment_method = 'free' OR o.total = 0)),
    parts AS (
        SELECT event_id, currency, seat, 1 AS sold, price AS gross, 0 AS returned, 0 AS refunds FROM paid_seats
        UNION ALL
        SELECT event_id, currency, seat, 0, 0, 1, price FROM back_seats
        UNION ALL
        SELECT event_id, currency, NULL, 0, amount - coalesce(seats.worth, 0), 0, 0 FROM paid
        LEFT JOIN (SELECT id, sum(price) AS worth FROM paid_seats GROUP BY id) seats USING (id)
        UNION ALL
        SELECT event_id, currency, NULL, 0, 0, 0, amount - coalesce(seats.worth, 0) FROM back
        LEFT JOIN (SELECT id, sum(price) AS worth FROM back_seats GROUP BY id) seats USING (id)
        UNION ALL
        SELECT b.event_id, b.currency, b.seat, 1, 0, 0, 0 FROM free JOIN bookings b ON b.order_id = free.id
        WHERE b.created_at >= $1 AND b.created_at < $2
            AND NOT EXISTS (SELECT FROM bookings x WHERE x.order_id = b.order_id AND x.seq_off = b.seq_on)
        UNION ALL
        SELECT b.event_id, b.currency, b.seat, 0, 0, 1, 0 FROM free JOIN bookings b ON b.order_id = free.id
        WHERE b.status = 'cancelled' AND b.updated_at >= $1 AND b.updated_at < $2
            AND NOT EXISTS (SELECT FROM bookings x WHERE x.order_id = b.order_id AND x.seq_on = b.seq_off)
    )
    SELECT e.id AS event_id, e.name AS event_name, t.currency::text, coalesce(c.name, '') AS category,
        sum(t.sold)::bigint AS sold, sum(t.gross)::bigint AS gross, sum(t.returned)::bigint AS returned,
        sum(t.refunds)::bigint AS refunds
    FROM parts t JOIN events e ON e.id = t.event_id
    LEFT JOIN seats s ON s.event_id = t.event_id AND s.index = t.seat
    LEFT JOIN categories c ON c.id = s.category_id
    WHERE $3::bigint = 0 OR e.id = $3
    GROUP BY e.id, t.currency, c.id
    HAVING sum(t.sold) > 0 OR sum(t.returned) > 0 OR sum(t.gross) <> 0 OR sum(t.refunds) <> 0
    ORDER BY t.currency, e.starts_at, e.id, c.position NULLS LAST, c.id
"""
_METHODS = f"""
    WITH paid AS ({_PAID}), back AS ({_BACK}),
    parts AS (
        SELECT provider, currency, event_id, 1 AS payments, amount AS gross, 0 AS refunds, 0 AS to_pay_out FROM paid
        UNION ALL
        SELECT provider, currency, event_id, 0, 0, amount, CASE status WHEN 'by_hand' THEN amount ELSE 0 END FROM back
    )
    SELECT provider AS method, currency::text, sum(payments)::bigint AS payments, sum(gross)::bigint AS gross,
        sum(refunds)::bigint AS refunds, sum(to_pay_out)::bigint AS to_pay_out
    FROM parts WHERE $3::bigint = 0 OR event_id = $3 GROUP BY provider, currency ORDER BY currency, provider
"""
_UNPAID = """
    SELECT o.currency::text, count(DISTINCT o.id) AS orders, sum(b.price)::bigint AS amount
    FROM orders o JOIN bookings b ON b.order_id = o.id AND b.status = 'confirmed'
    WHERE o.created_at >= $1 AND o.created_at < $2 AND ($3::bigint = 0 OR o.event_id = $3)
        AND o.status = 'confirmed' AND o.payment_status = 'unpaid'
    GROUP BY o.currency ORDER BY o.currency
"""


async def of(pool: asyncpg.Pool, since: datetime, until: datetime, event_id: int = 0) -> DaySales:
    """The sales from `since` until before `until`, of one event or (0) of all, as of one instant."""
    async with connection(pool) as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        # A hundred thousand payments take a second, on a busy machine some.
        await conn.execute(f"SET LOCAL statement_timeout = {1000 * PATIENCE_S:d}")
        lines, methods, unpaid = [
            await conn.fetch(statement, since, until, event_id, timeout=PATIENCE_S)
            for statement in (_LINES, _METHODS, _UNPAID)
        ]
    return DaySales(
        since=since,
        until=until,
        lines=[SalesLine(**row) for row in lines],
        methods=[MethodLine(**row) for row in methods],
        unpaid=[Unpaid(**row) for row in unpaid],
    )
