"""`seatmap rebuild`: an event's seats in Redis made anew from Postgres, because somebody wants it."""

import asyncio
import logging

from msgspec import Struct

from seatmap.checkout.rebuild import Rebuilt, rebuild
from seatmap.checkout.stores import Stores, open_stores
from seatmap.config import Settings
from seatmap.errors import SeatmapError
from seatmap.ledger import events

PATIENT_SECONDS = 10.0  # with another process that is at it
LOOK_SECONDS = 0.1

log = logging.getLogger(__name__)


class Done(Struct, frozen=True):
    """One event that was rebuilt: its new epoch, and what became of the holds that Redis had."""

    event_id: int
    epoch: int
    holds_kept: int
    holds_lost: int


class Failed(Struct, frozen=True):
    """One that was not, and why."""

    event_id: int
    reason: str


class Report(Struct, frozen=True):
    """What became of all of them."""

    rebuilt: list[Done]
    failed: list[Failed]


async def restore(settings: Settings, event_id: int | None) -> Report:
    """Rebuild one event, or all published ones, one after the other. Raises Unavailable without Postgres."""
    report = Report([], [])
    async with open_stores(settings, connections=2) as stores:
        if event_id is not None and await events.get(stores.pool, event_id) is None:
            return Report([], [Failed(event_id, "There is no such event.")])
        every = await events.published(stores.pool) if event_id is None else []
        chosen = [event.id for event in every] if event_id is None else [event_id]
        for event in chosen:
            try:
                done = await _alone(stores, event)
            except SeatmapError as error:
                report.failed.append(Failed(event, error.detail))
                continue
            except asyncio.CancelledError:
                # Marked as being rebuilt it serves nothing; the worker and every web take it up from there.
                log.warning("event %s is left to be rebuilt by another process", event)
                raise
            if done is None:
                report.failed.append(Failed(event, "Another process is rebuilding it; look again."))
            else:
                report.rebuilt.append(Done(event, done.epoch, done.holds_kept, done.holds_lost))
    return report


async def _alone(stores: Stores, event_id: int) -> Rebuilt | None:
    """Rebuild as the only one who does: whoever meets the event meanwhile would begin another rebuild."""
    deadline = asyncio.get_running_loop().time() + PATIENT_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        async with events.try_lock(stores.pool, event_id) as alone:
            if alone:
                return await rebuild(stores, event_id)
        await asyncio.sleep(LOOK_SECONDS)
    return None
