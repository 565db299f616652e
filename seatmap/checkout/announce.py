"""Telling Redis what an event is by Postgres: its state, its sale window, its limit, its plan's version."""

import logging

from seatmap.booking.commands import Status
from seatmap.checkout.rebuild import held_back, limits
from seatmap.checkout.stores import Stores
from seatmap.errors import Recovering, SeatmapError
from seatmap.failpoints import failpoint
from seatmap.model import Event

log = logging.getLogger(__name__)


async def announce(stores: Stores, event: Event) -> bool:
    """Say it, once it is committed in Postgres; False where it has to be said again.

    Redis takes only what is newer than what it knows, so any process may say it at any time.
    """
    if event.status == "draft":
        return True
    known = limits(event, stores.settings)
    try:
        command = Status(
            known.status_version,
            known.status,
            int(known.paused),
            known.plan_version,
            known.seats_per_visitor,
            known.on_sale_from_ms,
            known.on_sale_until_ms,
            known.accessible_until_ms,
            await held_back(stores, event),
        )
        await failpoint("announce.before_redis")
        await stores.desk.decide(event.id, command)
        await failpoint("announce.after_redis")
    except Recovering:
        return False  # the rebuild may have read Postgres before
    except SeatmapError as error:
        log.warning("event %s: its new state is not in Redis yet: %s", event.id, error)
        return False
    return True
