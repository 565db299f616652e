"""The event of a cell: twelve seats in a row, at two prices."""

from datetime import UTC, datetime, timedelta
from typing import Any

from seatmap.ledger import events, seats
from seatmap.ledger.events import NewEvent, Price
from seatmap.model import Plan, Seat
from seatmap.plan.public import storable

SEATS = 12
FRONT, BACK = 2000, 1000  # in minor units; even seats are in front, odd ones at the back

PLAN = Plan(
    name="Hall",
    seats=tuple(
        Seat(section="Hall", row="A", number=str(i + 1), x=i, y=0, category=("front", "back")[i % 2])
        for i in range(SEATS)
    ),
    breaks=frozenset({0}),
    categories=("front", "back"),
)


def price_of(*seats: int) -> int:
    return sum((FRONT, BACK)[seat % 2] for seat in seats)


async def make_show(conn: Any, first_id: int) -> int:
    """A published event, in a database without any; its id, which is `first_id`."""
    new = NewEvent(
        name="Show",
        starts_at=datetime.now(UTC) + timedelta(days=30),
        currency="EUR",
        prices=(Price(name="front", price=FRONT), Price(name="back", price=BACK)),
        seats_per_visitor=6,
    )
    async with conn.transaction():
        await conn.execute(f"ALTER TABLE events ALTER COLUMN id RESTART WITH {first_id:d}")
        event_id = await events.create_from_plan(conn, new, PLAN.name, storable(PLAN), SEATS)
        await seats.generate(conn, event_id, PLAN.seats, await seats.categories(conn, event_id))
        await conn.execute("UPDATE events SET payment_methods = '{free,test_card,door}'")
        await events.publish_within(conn, event_id)
    return event_id
