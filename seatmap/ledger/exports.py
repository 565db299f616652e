"""Long lists for people who work with them elsewhere: orders, seats and attendees, page by page.

Each page is a short statement of its own that begins after the last one's key. A cursor would hold a connection,
and Postgres a snapshot, for as long as the slowest reader takes; in return a list is not of one instant.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
from msgspec import Struct

from seatmap.ledger.orders import IN_ORDER
from seatmap.ledger.pool import connection

ROWS_AT_ONCE = 1000


class Export(Struct, frozen=True):
    """A list: its columns, and a statement for a page of them, whose first `key` columns are the list's order.

    The statement's parameters are the event (0: all), the page's length, and the last page's last key.
    """

    name: str
    columns: tuple[str, ...]
    key: int
    start: tuple[Any, ...]
    statement: str


ORDERS = Export(
    "orders",
    (
        "order_id",
        "event_id",
        "event",
        "status",
        "payment_status",
        "payment_method",
        "name",
        "email",
        "seat_count",
        "seats",
        "total_minor",
        "currency",
        "created_at",
        "cancelled_at",
    ),
    1,
    ("00000000-0000-0000-0000-000000000000",),
    f"""
    SELECT o.id, o.event_id, e.name, o.status, o.payment_status, o.payment_method, o.name, o.email,
        b.seat_count, b.labels, o.total, o.currency, o.created_at, o.cancelled_at
    FROM orders o JOIN events e ON e.id = o.event_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS seat_count, string_agg(s.label, '; ' ORDER BY s.index) AS labels
        FROM bookings b JOIN seats s ON s.event_id = b.event_id AND s.index = b.seat
        WHERE b.order_id = o.id AND {IN_ORDER}
    ) b
    WHERE o.id > $3::uuid AND ($1::bigint = 0 OR o.event_id = $1) AND o.deleted_at IS NULL
    ORDER BY o.id LIMIT $2
    """,
)
SEATS = Export(
    "seats",
    (
        "event_id",
        "seat",
        "label",
        "section",
        "row",
        "number",
        "category",
        "price_minor",
        "currency",
        "status",
        "order_id",
        "name",
    ),
    2,
    (0, -1),
    """
    SELECT s.event_id, s.index, s.label, s.section, s."row", s.number, c.name, coalesce(b.price, c.price),
        e.currency, CASE WHEN b.id IS NOT NULL THEN 'booked' ELSE s.status END, b.order_id, o.name
    FROM seats s JOIN events e ON e.id = s.event_id JOIN categories c ON c.id = s.category_id
    LEFT JOIN bookings b
        ON b.event_id = s.event_id AND b.seat = s.index AND b.status IN ('pending', 'confirmed')
    LEFT JOIN orders o ON o.id = b.order_id
    WHERE (s.event_id, s.index) > ($3::bigint, $4::int) AND ($1::bigint = 0 OR s.event_id = $1)
        AND s.deleted_at IS NULL
    ORDER BY s.event_id, s.index LIMIT $2
    """,
)
ATTENDEES = Export(
    "attendees",
    (
        "event_id",
        "seat",
        "event",
        "label",
        "section",
        "row",
        "number",
        "category",
        "price_minor",
        "currency",
        "name",
        "email",
        "status",
        "order_id",
    ),
    2,
    (0, -1),
    """
    SELECT b.event_id, b.seat, e.name, s.label, s.section, s."row", s.number, c.name, b.price, b.currency,
        o.name, o.email, b.status, b.order_id
    FROM bookings b JOIN orders o ON o.id = b.order_id JOIN events e ON e.id = b.event_id
    JOIN seats s ON s.event_id = b.event_id AND s.index = b.seat JOIN categories c ON c.id = s.category_id
    WHERE b.status IN ('pending', 'confirmed')
        AND (b.event_id, b.seat) > ($3::bigint, $4::int) AND ($1::bigint = 0 OR b.event_id = $1)
    ORDER BY b.event_id, b.seat LIMIT $2
    """,
)


async def pages(pool: asyncpg.Pool, export: Export, event_id: int = 0) -> AsyncIterator[Sequence[Any]]:
    """The rows in pages, at least one; each row has the order of the columns. No connection is held between two."""
    last = export.start
    if event_id and export.key == 2:
        last = (event_id, -1)  # the index leads to the event's first row
    while True:
        async with connection(pool) as conn:
            rows = await conn.fetch(export.statement, event_id, ROWS_AT_ONCE, *last)
        yield rows
        if len(rows) < ROWS_AT_ONCE:
            return
        last = tuple(rows[-1])[: export.key]
