"""Events: what is sold, its status, its epoch, and which seats are gone."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct

from seatmap.errors import Refused
from seatmap.ledger import jobs, plans
from seatmap.ledger.advisory import locked
from seatmap.ledger.pool import connection
from seatmap.ledger.tasks import CANCEL_ORDERS, CancelOrders
from seatmap.model import Category, Event

_LOCKS = 0x5EA7 << 40  # keeps our advisory locks apart from those of other programs in the database


class Price(Struct, frozen=True, kw_only=True):
    """A category before it has an id. `price` is in minor units."""

    name: str
    price: int
    color: str = ""


class NewEvent(Struct, frozen=True, kw_only=True):
    """What an event is made of, apart from its plan. `prices` names every category of the plan.

    `rows` and `columns` describe a plan that is one plain grid.
    """

    name: str
    starts_at: datetime
    currency: str
    prices: tuple[Price, ...]
    description: str = ""
    venue: str = ""
    timezone: str = "UTC"
    seats_per_visitor: int = 10
    rows: int | None = None
    columns: int | None = None
    on_sale_from: datetime | None = None
    on_sale_until: datetime | None = None


class Occupied(Struct, frozen=True):
    """The seats of an event that nobody can buy, in one snapshot.

    `taken` holds (seat, order id as 32 hex digits, "confirmed" or "pending", the visitor of a pending one),
    `blocked` seats.
    """

    taken: tuple[tuple[int, str, str, str], ...]
    blocked: tuple[int, ...]


async def create(conn: Any, event: NewEvent, plan_id: int, seat_count: int) -> int:
    """Makes a draft event with its categories, on a plan that is saved; answers its id.

    The seats are another step (`seats.generate`), because there may be a hundred thousand.
    """
    event_id = await conn.fetchval(
        """
        INSERT INTO events (name, description, venue, starts_at, timezone, rows, columns, plan_id, seat_count,
            currency, seats_per_visitor, on_sale_from, on_sale_until)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id
        """,
        event.name,
        event.description,
        event.venue,
        event.starts_at,
        event.timezone,
        event.rows,
        event.columns,
        plan_id,
        seat_count,
        event.currency,
        event.seats_per_visitor,
        event.on_sale_from,
        event.on_sale_until,
    )
    await conn.execute(
        """
        INSERT INTO categories (event_id, name, price, color, position)
        SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::text[]) WITH ORDINALITY
        """,
        event_id,
        [price.name for price in event.prices],
        [price.price for price in event.prices],
        [price.color for price in event.prices],
    )
    return int(event_id)


async def create_from_plan(conn: Any, event: NewEvent, name: str, body: bytes, seat_count: int) -> int:
    """Saves a plan and makes a draft event on it, in one transaction; answers the event's id."""
    async with conn.transaction():
        plan_id = await plans.save(conn, name, body, seat_count)
        return await create(conn, event, plan_id, seat_count)


SELECT = """
    SELECT e.*, (
        SELECT coalesce(json_agg(json_build_object('id', c.id, 'name', c.name, 'price', c.price,
            'color', c.color) ORDER BY c.position, c.id), '[]')::text
        FROM categories c WHERE c.event_id = e.id AND c.deleted_at IS NULL
    ) AS categories
    FROM events e
"""
_categories = msgspec.json.Decoder(tuple[Category, ...])


def of_row(row: Any) -> Event:
    """A row of `SELECT` as an event."""
    named = {name: row[name] for name in Event.__struct_fields__ if name != "categories"}
    return Event(**named, categories=_categories.decode(row["categories"]))


async def get(pool: asyncpg.Pool, event_id: int) -> Event | None:
    """An event in any status; None if there is none or it was deleted."""
    async with connection(pool) as conn:
        row = await conn.fetchrow(f"{SELECT} WHERE e.deleted_at IS NULL AND e.id = $1", event_id)
    return None if row is None else of_row(row)


async def closed(pool: asyncpg.Pool) -> dict[int, int]:
    """Events that were cancelled within a day and have no orders any more → their epochs."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            """
            SELECT e.id, e.epoch FROM events e
            WHERE e.status = 'cancelled' AND e.deleted_at IS NULL AND e.updated_at > now() - interval '1 day'
                AND NOT EXISTS (
                    SELECT FROM orders o WHERE o.event_id = e.id AND o.status IN ('pending', 'confirmed'))
            ORDER BY e.id
            """
        )
    return {row["id"]: row["epoch"] for row in rows}


async def published(pool: asyncpg.Pool) -> list[Event]:
    """What everybody may see, the next first."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            f"{SELECT} WHERE e.deleted_at IS NULL AND e.status = 'published' ORDER BY e.starts_at, e.id"
        )
    return [of_row(row) for row in rows]


async def publish(pool: asyncpg.Pool, event_id: int) -> bool:
    """Puts a draft on sale; whether it is on sale now. One whose seats are not all there stays a draft."""
    async with connection(pool) as conn:
        return await publish_within(conn, event_id)


async def publish_within(conn: Any, event_id: int) -> bool:
    """`publish` as a part of the caller's transaction."""
    await conn.execute(
        """
        UPDATE events SET status = 'published', status_version = status_version + 1
        WHERE id = $1 AND status = 'draft' AND deleted_at IS NULL
            AND seat_count = (SELECT count(*) FROM seats WHERE event_id = $1)
        """,
        event_id,
    )
    status = await conn.fetchval("SELECT status FROM events WHERE id = $1", event_id)
    return bool(status == "published")


async def cancel(pool: asyncpg.Pool, event_id: int) -> int:
    """Closes an event for ever; answers its new epoch. Refuses with event_not_found.

    When this returns, no booking of the event commits any more: those in flight held the row before us, and
    later ones meet the status, and the epoch if they began earlier. Its orders are a job's.
    """
    async with connection(pool) as conn, conn.transaction():
        return await cancel_within(conn, event_id)


async def cancel_within(conn: Any, event_id: int) -> int:
    """`cancel` as a part of the caller's transaction: what it promises holds once that is committed."""
    epoch = await conn.fetchval(
        """
        UPDATE events SET status = 'cancelled', status_version = status_version + 1, epoch = epoch + 1
        WHERE id = $1 AND status <> 'cancelled' AND deleted_at IS NULL RETURNING epoch
        """,
        event_id,
    )
    if epoch is None:
        epoch = await conn.fetchval("SELECT epoch FROM events WHERE id = $1 AND deleted_at IS NULL", event_id)
    if epoch is None:
        raise Refused("event_not_found")
    await jobs.enqueue(conn, CANCEL_ORDERS, CancelOrders(event_id), event_id)
    return int(epoch)


async def none_yet(conn: Any) -> bool:
    """Whether there has never been an event; true for one open transaction at a time."""
    await conn.execute("SELECT pg_advisory_xact_lock($1)", _LOCKS)
    return not await conn.fetchval("SELECT EXISTS (SELECT FROM events)")


async def raise_epoch(pool: asyncpg.Pool, event_id: int) -> int:
    """Fences every order that began before: from now on it is refused. Committed when this returns.

    Answers the new epoch. Refuses with event_not_found.
    """
    async with connection(pool) as conn:
        epoch = await conn.fetchval(
            "UPDATE events SET epoch = epoch + 1 WHERE id = $1 AND deleted_at IS NULL RETURNING epoch",
            event_id,
        )
    if epoch is None:
        raise Refused("event_not_found")
    return int(epoch)


async def occupied(pool: asyncpg.Pool, event_id: int) -> Occupied:
    """The seats that are gone. For a rebuild, call it after `raise_epoch` has returned."""
    # One statement is one snapshot; two would need a transaction of their own isolation.
    async with connection(pool) as conn:
        rows = await conn.fetch(
            """
            SELECT seat, order_id, status, CASE status
                WHEN 'pending' THEN (SELECT visitor FROM orders WHERE id = order_id) ELSE '' END
            FROM bookings
            WHERE event_id = $1 AND status IN ('pending', 'confirmed')
            UNION ALL
            SELECT index, NULL, status, NULL FROM seats WHERE event_id = $1 AND status = 'blocked'
            ORDER BY 1
            """,
            event_id,
        )
    return Occupied(
        taken=tuple((row[0], row[1].hex, row[2], row[3]) for row in rows if row[1] is not None),
        blocked=tuple(row[0] for row in rows if row[1] is None),
    )


def try_lock(pool: asyncpg.Pool, event_id: int) -> AbstractAsyncContextManager[bool]:
    """Whether the caller is the one rebuilder of the event, for as long as the block lasts.

    Spares work only: two rebuilders are safe, since the higher epoch wins.
    """
    return locked(pool, _LOCKS + event_id, wait=False)
