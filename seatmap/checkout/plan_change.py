"""Giving an event another plan: a draft is made anew; one that is sold keeps every seat that somebody has.

Rule 22 of docs/rules.md: removed seats are blocked in Redis, then Postgres changes and its epoch with it, then Redis
is rebuilt. A crash in between leaves a Redis that is behind, which any web process notices and rebuilds.
"""

import asyncio
import logging
from collections.abc import Sequence

from msgspec import Struct

from seatmap.checkout.off_sale import Taken, in_use, put_back_on_offer, take_all_off
from seatmap.checkout.rebuild import rebuild
from seatmap.checkout.stores import Stores
from seatmap.errors import Refused, SeatmapError, Unavailable
from seatmap.ledger import audit_log, categories, jobs, plans, seats, staff_events
from seatmap.ledger.staff_events import StaffEvent
from seatmap.ledger.tasks import GENERATE_SEATS, GenerateSeats
from seatmap.model import Plan
from seatmap.plan.public import restore, storable
from seatmap.plan.revision import Revision, revise

TRIES = 3  # when the event was rebuilt in between
CODE, WHY = "plan_in_use", "The new plan does not have seats that somebody has"

log = logging.getLogger(__name__)


class Wanted(Struct, frozen=True):
    """The plan that an event should have; `plan_id` where it is kept already."""

    plan: Plan
    plan_id: int | None


async def change_plan(stores: Stores, event_id: int, wanted: Wanted, *, user_id: int) -> None:
    """Do it, and write it down. Refuses with event_not_found, wrong_state, plan_in_use or invalid."""
    async with staff_events.alone(stores.pool, event_id):
        for _ in range(TRIES):
            staff = await staff_events.get(stores.pool, event_id)
            if staff.event.status == "draft":
                done = await _begin_anew(stores, staff, wanted, user_id)
            else:
                done = await _revise(stores, staff, wanted, user_id)
            if done:
                return
    raise Unavailable("The seats of this event are being restored. Try again in a moment.")


async def _begin_anew(stores: Stores, staff: StaffEvent, wanted: Wanted, user_id: int) -> bool:
    """Other seats for an event that nobody has seen; a job makes them. False where it was published meanwhile."""
    event_id, plan = staff.event.id, wanted.plan
    async with staff_events.changing(stores.pool, event_id, "change_plan") as (conn, now):
        if now.event.status != "draft":
            return False
        await staff_events.check_all_seats(conn, event_id)
        await seats.remove_all(conn, event_id)
        await categories.add_missing(conn, event_id, plan.categories)
        plan_id = wanted.plan_id or await plans.save(conn, plan.name, storable(plan), len(plan.seats))
        columns = {"plan_id": plan_id, "seat_count": len(plan.seats)}
        await staff_events.change(conn, event_id, columns, replan=True)
        await jobs.enqueue(conn, GENERATE_SEATS, GenerateSeats(event_id, publish=False), event_id)
        await _record(conn, user_id, event_id, {"plan": plan.name, "seats": len(plan.seats)})
    return True


async def _revise(stores: Stores, staff: StaffEvent, wanted: Wanted, user_id: int) -> bool:
    event = staff.event
    body = await plans.body(stores.pool, event.plan_id)
    revision, merged = await asyncio.to_thread(_merge, body, wanted.plan)
    _check_prices(staff, revision)
    taken = await take_all_off(stores, staff, revision.removed, CODE, WHY)
    try:
        done = await _write(stores, staff, revision, merged, taken, user_id)
    except BaseException:
        await put_back_on_offer(stores, event.id, taken.seats)
        raise
    if done:
        try:
            await rebuild(stores, event.id)
            # The map is drawn from the plan: where its seats are in the table can wait until nobody else does.
            await seats.move(stores.pool, event.id, [(i, revision.plan.seats[i]) for i in revision.moved])
        except SeatmapError as error:
            log.warning("event %s: its pages follow when Redis can be rebuilt: %s", event.id, error)
    return done


def _merge(body: bytes, new: Plan) -> tuple[Revision, bytes]:
    revision = revise(restore(body), new)
    return revision, storable(revision.plan)


def _check_prices(staff: StaffEvent, revision: Revision) -> None:
    """No seat goes on sale at a price that nobody has set."""
    known = {category.name for category in staff.event.categories}
    for name in dict.fromkeys(seat.category for seat in revision.plan.seats[revision.added :]):
        if name not in known:
            raise Refused(
                "invalid",
                f"The new plan has seats of the category {name!r}, which has no price here; add it to the prices, "
                "then change the plan.",
            )


async def _write(
    stores: Stores, staff: StaffEvent, revision: Revision, merged: bytes, taken: Taken, user_id: int
) -> bool:
    """Change Postgres, which fences what began before; False where the event was rebuilt in between."""
    event_id, plan = staff.event.id, revision.plan
    async with staff_events.changing(stores.pool, event_id, "change_plan") as (conn, now):
        if now.event.status != staff.event.status or taken.epoch not in (0, now.event.epoch):
            return False
        removed = await seats.remove(conn, event_id, revision.removed)
        left: Sequence[int] = sorted(set(revision.removed) - removed)
        if left:  # sold, and Redis does not know it
            raise await in_use(stores, event_id, (), left, CODE, WHY)
        ids = await seats.categories(conn, event_id)
        await seats.append(conn, event_id, plan.seats[revision.added :], revision.added, ids)
        plan_id = await plans.save(conn, plan.name, merged, len(plan.seats), of_event=event_id)
        columns = {"plan_id": plan_id, "seat_count": len(plan.seats), "epoch": now.event.epoch + 1}
        await staff_events.change(conn, event_id, columns, replan=True)
        details = {
            "plan": plan.name,
            "added": len(plan.seats) - revision.added,
            "removed": len(revision.removed),
            "moved": len(revision.moved),
        }
        await _record(conn, user_id, event_id, details)
    return True


async def _record(conn: object, user_id: int, event_id: int, details: dict[str, object]) -> None:
    await audit_log.record(
        conn, user_id=user_id, verb="change_plan", object="event", event_id=event_id, details=details
    )
