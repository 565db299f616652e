"""Letters that buyers are owed. Triggers of the database write them down; the worker makes mails of them."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct

from seatmap.ledger.mails import SEND_MAIL
from seatmap.ledger.orders import IN_ORDER
from seatmap.ledger.pool import connection


class Due(Struct, frozen=True):
    """A letter that nobody has made yet. `kind` is confirmed, changed or cancelled."""

    order_id: UUID
    kind: str


class LetterSeat(Struct, frozen=True):
    """A seat as a letter names it. `price` is in minor units."""

    label: str
    category: str
    price: int


class Matter(Struct, frozen=True, kw_only=True):
    """What a letter is about: an order as it is now.

    `seats` are those that it has; of a cancelled one, those that it had when it ended. `back` is what goes or went
    back of its money, in minor units of `back_currency`, which is another where other money came than was asked for;
    `at_door` says that the box office takes its money and hands it out.
    """

    order_id: UUID
    name: str
    email: str
    status: str
    cancel_reason: str
    payment_status: str
    currency: str
    event_name: str
    venue: str
    starts_at: datetime
    timezone: str
    at_door: bool
    back: int
    back_currency: str
    seats: tuple[LetterSeat, ...]


async def take(conn: Any, limit: int) -> list[Due]:
    """Takes letters, as many as mails may still wait below `limit`, in the transaction that is open on `conn`.

    Nobody else takes the same; they are back if the transaction fails.
    """
    rows = await conn.fetch(
        """
        DELETE FROM letters_due WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM letters_due LIMIT greatest(0, $1::bigint - (
                SELECT count(*) FROM jobs WHERE kind = $2 AND state IN ('queued', 'running')
            )) FOR UPDATE SKIP LOCKED
        )) RETURNING order_id, kind
        """,
        limit,
        SEND_MAIL,
    )
    return [Due(UUID(int=row["order_id"].int), row["kind"]) for row in rows]


async def matters(conn: Any, ids: Collection[UUID]) -> dict[UUID, Matter]:
    """What there is to say of orders, by their ids."""
    rows = await conn.fetch(
        f"""
        SELECT o.id AS order_id, o.name, o.email, o.status, o.cancel_reason, o.payment_status, o.currency,
            e.name AS event_name, e.venue, e.starts_at, e.timezone,
            coalesce(p.provider = 'door', false) AS at_door,
            (SELECT coalesce(sum(r.amount), 0)::bigint FROM refunds r WHERE r.payment_id = p.id) AS back,
            coalesce(p.currency, o.currency) AS back_currency,
            s.label, c.name AS category, b.price
        FROM orders o
        JOIN events e ON e.id = o.event_id
        LEFT JOIN LATERAL (SELECT * FROM payments WHERE order_id = o.id OFFSET 0) p ON true  -- see orders._SELECT
        JOIN LATERAL (SELECT * FROM bookings WHERE order_id = o.id OFFSET 0) b ON {IN_ORDER}
        JOIN LATERAL (SELECT * FROM seats WHERE event_id = b.event_id AND index = b.seat OFFSET 0) s ON true
        JOIN categories c ON c.id = s.category_id
        WHERE o.id = ANY ($1) ORDER BY o.id, b.seat
        """,
        list(ids),
    )
    seats: dict[UUID, list[LetterSeat]] = {}
    heads: dict[UUID, Any] = {}
    for row in rows:
        key = UUID(int=row["order_id"].int)
        heads.setdefault(key, row)
        seats.setdefault(key, []).append(LetterSeat(row["label"], row["category"], row["price"]))
    names = [name for name in Matter.__struct_fields__ if name not in ("order_id", "seats")]
    return {
        key: Matter(order_id=key, seats=tuple(seats[key]), **{name: head[name] for name in names})
        for key, head in heads.items()
    }


async def waiting(pool: asyncpg.Pool) -> tuple[int, float]:
    """How many letters nobody has made yet, and for how many seconds the oldest of them waits."""
    async with connection(pool) as conn:
        row = await conn.fetchrow(
            """
            SELECT count(*), coalesce(extract(epoch FROM now() - min(due_at)), 0)::float8 FROM letters_due
            """
        )
    return row[0], row[1]
