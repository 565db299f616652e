"""`seatmap verify`: whether the two stores agree."""

import asyncio

from msgspec import Struct

from seatmap.checkout import reconcile
from seatmap.checkout.reconcile import lasting_differences
from seatmap.checkout.stores import Stores, open_stores
from seatmap.config import Settings
from seatmap.errors import Recovering, Refused
from seatmap.ledger import events

RESTORED_SECONDS = 10.0  # that an event which was just published, or lost by Redis, is given to come back


class Difference(Struct, frozen=True):
    """One seat about which they do not, twice in a row."""

    event_id: int
    seat: int
    redis: str
    postgres: str


async def verify(settings: Settings, event_id: int | None) -> list[Difference]:
    """Each difference of one event, or of all published ones."""
    async with open_stores(settings, connections=2) as stores:
        if event_id is None:
            chosen = [event.id for event in await events.published(stores.pool)]
        elif await events.get(stores.pool, event_id) is None:
            raise Refused("event_not_found", f"There is no event {event_id}.")
        else:
            chosen = [event_id]
        return [
            Difference(event, found.seat, found.redis, f"{found.postgres} {found.order_id}".strip())
            for event in chosen
            for found in await _differences(stores, event)
        ]


async def _differences(stores: Stores, event_id: int) -> list[reconcile.Difference]:
    deadline = asyncio.get_running_loop().time() + RESTORED_SECONDS
    while True:
        try:
            return await lasting_differences(stores, event_id)
        except Recovering:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.2)
