"""Edits of seats while they are sold: off sale, back on sale, into another category, for wheelchairs.

They touch only seats that nobody holds or has booked. A seat is taken off in Redis first and put back in
Postgres first, so that Redis is never freer. One edit of an event goes on at a time.
"""

from collections.abc import Sequence

from msgspec import Struct

from seatmap.checkout.announce import announce
from seatmap.checkout.off_sale import Taken, put_back, take_off
from seatmap.checkout.stores import Stores
from seatmap.errors import Refused, Unavailable
from seatmap.failpoints import failpoint
from seatmap.ledger import audit_log, seats, staff_events
from seatmap.ledger.staff_events import StaffEvent

TRIES = 3  # when the event was rebuilt in between


class SeatEdit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What should become of some seats: one of the three. `status` is blocked or available."""

    status: str = ""
    category_id: int | None = None
    accessible: bool | None = None


class Edited(Struct, frozen=True, kw_only=True):
    """What became of the seats; those that somebody has were left alone."""

    changed: tuple[int, ...]
    held: tuple[int, ...] = ()
    booked: tuple[int, ...] = ()


async def edit_seats(
    stores: Stores, event_id: int, chosen: Sequence[int], edit: SeatEdit, *, user_id: int
) -> Edited:
    """Carry an edit out, and write it down. Refuses with event_not_found, wrong_state, seat_out_of_range…"""
    async with staff_events.alone(stores.pool, event_id):
        for _ in range(TRIES):
            staff = await staff_events.get(stores.pool, event_id)
            _check(staff, chosen, edit)
            taken = await _take_off(stores, staff, chosen, edit)
            await failpoint("edit_seats.after_take_off")
            edited = await _write(stores, staff, taken, edit, user_id)
            if edited is not None:
                return edited
    raise Unavailable("The seats of this event are being restored. Try again in a moment.")


def _check(staff: StaffEvent, chosen: Sequence[int], edit: SeatEdit) -> None:
    event = staff.event
    bad = [seat for seat in chosen if not 0 <= seat < event.seat_count]
    if bad:
        raise Refused("seat_out_of_range", f"seats: they are 0 to {event.seat_count - 1}.", seats=bad[:10])
    if edit.category_id is not None and edit.category_id not in {c.id for c in event.categories}:
        raise Refused("invalid", f"category_id: the event has no category {edit.category_id}.")


async def _take_off(stores: Stores, staff: StaffEvent, chosen: Sequence[int], edit: SeatEdit) -> Taken:
    """Block in Redis what is going to change; nothing where nobody can hold it, or where somebody may."""
    if staff.event.status == "draft" or edit.status == "available" or edit.accessible is not None:
        return Taken(0, tuple(chosen))
    return await take_off(stores, staff.event.id, chosen)


async def _write(
    stores: Stores, staff: StaffEvent, taken: Taken, edit: SeatEdit, user_id: int
) -> Edited | None:
    """Change Postgres, then free in Redis what is on offer; None where the event was rebuilt in between."""
    event_id = staff.event.id
    async with staff_events.changing(stores.pool, event_id, "edit_seats") as (conn, now):
        if now.event.status != staff.event.status or taken.epoch not in (0, now.event.epoch):
            return None
        if edit.category_id is not None:
            changed = await seats.set_category(conn, event_id, taken.seats, edit.category_id)
        elif edit.accessible is not None:
            changed = await seats.set_accessible(conn, event_id, taken.seats, edit.accessible)
        else:
            changed = await seats.set_status(conn, event_id, taken.seats, edit.status)
        if changed and not edit.status:
            await staff_events.change(conn, event_id, {}, replan=True)
        offered = await seats.on_offer(conn, event_id, taken.seats)
        await audit_log.record(
            conn,
            user_id=user_id,
            verb="edit_seats",
            object="event",
            event_id=event_id,
            details={"to": edit, "seats": sorted(changed)[:1000], "count": len(changed)},
        )
        await failpoint("edit_seats.before_commit")
    await failpoint("edit_seats.after_commit")
    if staff.event.status != "draft":
        if edit.accessible is None:
            await put_back(stores, event_id, sorted(offered))
        if not edit.status:
            await announce(stores, (await staff_events.get(stores.pool, event_id)).shown)
    return Edited(changed=tuple(sorted(changed)), held=taken.held, booked=taken.booked)
