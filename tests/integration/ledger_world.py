"""A small event to book in, for the tests of the ledger."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from seatmap.ledger import events, seats
from seatmap.ledger.events import NewEvent, Price
from seatmap.ledger.orders import Purchase
from seatmap.ledger.pool import connection
from seatmap.model import Seat

FRONT, BACK = 2000, 1000  # prices: even seats are in front, odd ones at the back


def plan_seats(count: int) -> list[Seat]:
    return [
        Seat(section="Hall", row="A", number=str(i + 1), x=i, y=0, category=("front", "back")[i % 2])
        for i in range(count)
    ]


async def make_event(
    pool: asyncpg.Pool, count: int = 20, *, per_visitor: int = 4, publish: bool = True
) -> int:
    """A published event of `count` seats at epoch 0; answers its id."""
    new = NewEvent(
        name="Show",
        starts_at=datetime(2030, 5, 1, 19, tzinfo=UTC),
        currency="EUR",
        prices=(Price(name="front", price=FRONT, color="#112233"), Price(name="back", price=BACK)),
        seats_per_visitor=per_visitor,
    )
    async with connection(pool) as conn:
        event_id = await events.create_from_plan(conn, new, "Hall", b"{}", count)
        await seats.generate(conn, event_id, plan_seats(count), await seats.categories(conn, event_id))
    if publish:
        assert await events.publish(pool, event_id)
    return event_id


def purchase(event_id: int, *chosen: int, **changes: Any) -> Purchase:
    """An order of `chosen` seats by a new visitor at their right price, unless `changes` say otherwise."""
    fields: dict[str, Any] = {
        "order_id": uuid4(),
        "event_id": event_id,
        "epoch": 0,
        "visitor": f"visitor-{uuid4().hex}",
        "seats": chosen,
        "total": sum((FRONT, BACK)[seat % 2] for seat in chosen),
        "name": "Ada",
        "email": "ada@example.org",
        "body_hash": repr(chosen).encode(),
    }
    return Purchase(**(fields | changes))


async def run_sql(pool: asyncpg.Pool, statement: str, *arguments: Any) -> Any:
    async with connection(pool) as conn:
        return await conn.fetch(statement, *arguments)


async def active(pool: asyncpg.Pool, event_id: int) -> dict[int, UUID]:
    """Seat → order of the event's active bookings; fails if a seat has two."""
    rows = await run_sql(
        pool,
        "SELECT seat, order_id FROM bookings WHERE event_id = $1 AND status IN ('pending', 'confirmed')",
        event_id,
    )
    assert len({row["seat"] for row in rows}) == len(rows)
    return {row["seat"]: row["order_id"] for row in rows}
