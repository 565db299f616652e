"""Rebuilding an event's seats in Redis from Postgres. Opening an event for sale is the same thing."""

import logging
from collections import Counter
from typing import Any

from msgspec import Struct

from seatmap.booking.state import Limits
from seatmap.checkout.stores import Stores
from seatmap.config import Settings
from seatmap.errors import Recovering, Refused
from seatmap.failpoints import failpoint
from seatmap.ledger import events, seats
from seatmap.ledger.events import Occupied
from seatmap.model import Event, Status

log = logging.getLogger(__name__)

_CLAIMED = {"confirmed": ("b", Status.booked), "pending": ("c", Status.held)}


class Rebuilt(Struct, frozen=True):
    """What a rebuild did: the epoch it began, and what became of the holds that Redis still had."""

    epoch: int
    holds_kept: int
    holds_lost: int


async def open_event(stores: Stores, event_id: int) -> Rebuilt | None:
    """Make sure that Redis has this event's seats; None where it has, or where another process is at it."""
    async with events.try_lock(stores.pool, event_id) as alone:
        if not alone:
            return None
        try:
            await stores.state.snapshot(event_id)
        except Recovering:
            return await rebuild(stores, event_id)
    return None


async def catch_up(stores: Stores, event_id: int, epoch: int) -> None:
    """Rebuild an event of which Redis has an earlier epoch, unless another process is at it. Raises Recovering."""
    async with events.try_lock(stores.pool, event_id) as alone:
        if alone and (await stores.state.snapshot(event_id)).position.epoch < epoch:
            await rebuild(stores, event_id)


async def rebuild(stores: Stores, event_id: int) -> Rebuilt | None:
    """Replace Redis' seats of the event by what Postgres knows, keeping holds that clash with nothing.

    The epoch is raised in Postgres first: from then on no order that began before can commit, so what is
    read afterwards is complete. None where a later rebuild was faster.
    """
    await failpoint("rebuild.before_mark")
    await stores.state.mark_rebuilding(event_id)
    await failpoint("rebuild.after_mark")
    epoch = await events.raise_epoch(stores.pool, event_id)
    await failpoint("rebuild.after_epoch")
    event = await events.get(stores.pool, event_id)
    if event is None:
        raise Refused("event_not_found")
    occupied = await events.occupied(stores.pool, event_id)
    await failpoint("rebuild.after_read")
    statuses, owners = _layout(event.seat_count, occupied)
    run_id = await stores.state.stage(event_id, epoch, statuses, owners)
    await failpoint("rebuild.after_stage")
    swapped = await stores.state.swap(
        event_id,
        epoch,
        run_id,
        limits(event, stores.settings),
        _claims(occupied),
        await held_back(stores, event),
    )
    await failpoint("rebuild.after_swap")
    if swapped is None:
        return None
    stores.counts["rebuilds"] += 1
    stores.counts["holds_lost"] += swapped[1]
    log.info("event %s was rebuilt: epoch %s, holds kept %s, lost %s", event_id, epoch, *swapped)
    return Rebuilt(epoch, *swapped)


def _layout(seat_count: int, occupied: Occupied) -> tuple[bytearray, dict[int, str]]:
    statuses = bytearray(seat_count)
    owners: dict[int, str] = {}
    for seat in occupied.blocked:
        statuses[seat] = Status.blocked
    for seat, order_id, status, _ in occupied.taken:
        kind, shown = _CLAIMED[status]
        statuses[seat] = shown
        owners[seat] = f"{kind}|{order_id}"
    return statuses, owners


def _claims(occupied: Occupied) -> Counter[str]:
    """How many seats each visitor has claimed."""
    return Counter(visitor for *_, status, visitor in occupied.taken if status == "pending")


async def held_back(stores: Stores, event: Event) -> tuple[int, ...]:
    """The seats that are kept until the event's `accessible_until`; Redis' clock says whether that is over."""
    return await seats.accessible(stores.pool, event.id) if event.accessible_until is not None else ()


def limits(event: Event, settings: Settings) -> Limits:
    """What Redis needs to know to decide about the event's seats."""
    window: dict[str, Any] = {}
    if event.on_sale_from is not None:
        window["on_sale_from_ms"] = int(event.on_sale_from.timestamp() * 1000)
    if event.on_sale_until is not None:
        window["on_sale_until_ms"] = int(event.on_sale_until.timestamp() * 1000)
    if event.accessible_until is not None:
        window["accessible_until_ms"] = int(event.accessible_until.timestamp() * 1000)
    return Limits(
        status=event.status,
        status_version=event.status_version,
        plan_version=event.plan_version,
        seat_count=event.seat_count,
        hold_ms=settings.hold_seconds * 1000,
        extension_ms=settings.extend_seconds * 1000,
        grace_ms=settings.grace_ms,
        seats_per_visitor=event.seats_per_visitor,
        paused=event.paused,
        **window,
    )
