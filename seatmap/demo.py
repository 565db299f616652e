"""Two events to look at: a theatre of about 2,000 seats and a room of 60."""

from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any

from seatmap.config import Settings
from seatmap.ledger import events, seats
from seatmap.ledger.events import NewEvent, Price
from seatmap.ledger.pool import connection, open_pool
from seatmap.model import Plan
from seatmap.plan.demo import studio, theatre
from seatmap.plan.public import storable


async def make(settings: Settings) -> list[int]:
    """Makes and publishes the demo events; answers their ids. Does nothing where any event exists."""
    pool = await open_pool(settings, size=1)
    try:
        async with connection(pool) as conn, conn.transaction():
            if not await events.none_yet(conn):
                return []
            return [await _make(conn, plan, event) for plan, event in _shows(settings)]
    finally:
        await pool.close()


async def _make(conn: Any, plan: Plan, event: NewEvent) -> int:
    event_id = await events.create_from_plan(conn, event, plan.name, storable(plan), len(plan.seats))
    await seats.generate(conn, event_id, plan.seats, await seats.categories(conn, event_id))
    await events.publish_within(conn, event_id)
    return event_id


def _shows(settings: Settings) -> list[tuple[Plan, NewEvent]]:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    tempest, poetry = theatre(), studio()
    return [
        (
            tempest,
            NewEvent(
                name="The Tempest",
                description="Shipwrecked on an island of spirits. Two acts, one interval.",
                venue=tempest.name,
                starts_at=today + timedelta(days=30, hours=18, minutes=30),
                timezone="Europe/Paris",
                currency="EUR",
                seats_per_visitor=settings.seats_per_visitor,
                prices=_prices(tempest, 8900, 6900, 4900, 2900),
            ),
        ),
        (
            poetry,
            NewEvent(
                name="Poetry at Nine",
                description="Six poets, one microphone, sixty chairs.",
                venue=poetry.name,
                starts_at=today + timedelta(days=9, hours=19),
                timezone="Europe/Paris",
                currency="EUR",
                seats_per_visitor=min(4, settings.seats_per_visitor),
                prices=_prices(poetry, 1800, 1200),
                rows=6,
                columns=10,
            ),
        ),
    ]


def _prices(plan: Plan, *cents: int) -> tuple[Price, ...]:
    """A price for each category of the plan, in its order."""
    categories = zip_longest(plan.categories, plan.colors[: len(plan.categories)], fillvalue="")
    return tuple(
        Price(name=name, price=price, color=color)
        for (name, color), price in zip(categories, cents, strict=True)
    )
