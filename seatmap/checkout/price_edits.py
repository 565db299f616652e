"""Edits of what an event costs that must surprise nobody who is buying: a category less, another currency."""

from seatmap.checkout.announce import announce
from seatmap.checkout.off_sale import put_back_on_offer, take_all_off
from seatmap.checkout.stores import Stores
from seatmap.errors import Refused, Unavailable
from seatmap.ledger import audit_log, categories, seats, staff_events
from seatmap.ledger.staff_events import StaffEvent
from seatmap.model import Status

TRIES = 3  # when the event was rebuilt in between


async def remove_category(
    stores: Stores, event_id: int, category_id: int, replacement: int | None, *, user_id: int
) -> None:
    """Take a category away; its seats get the replacement's price. Written down.

    Refuses with category_not_found, with category_in_use where it has seats and no replacement, or seats that
    somebody holds or has booked; and with wrong_state for the last one.
    """
    async with staff_events.alone(stores.pool, event_id):
        for _ in range(TRIES):
            staff = await staff_events.get(stores.pool, event_id)
            if await _remove(stores, staff, category_id, replacement, user_id):
                if staff.event.status != "draft":
                    await announce(stores, (await staff_events.get(stores.pool, event_id)).shown)
                return
    raise Unavailable("The seats of this event are being restored. Try again in a moment.")


async def _remove(
    stores: Stores, staff: StaffEvent, category_id: int, replacement: int | None, user_id: int
) -> bool:
    event = staff.event
    names = {category.id: category.name for category in event.categories}
    if category_id not in names or (replacement is not None and replacement not in names):
        raise Refused("category_not_found")
    if replacement == category_id:
        raise Refused("invalid", "replacement: it should be another category.")
    if len(names) == 1:
        raise Refused("wrong_state", f"{names[category_id]} is the only category; an event has one at least.")
    chosen = await seats.of_category(stores.pool, event.id, category_id)
    if chosen and replacement is None:
        raise Refused(
            "category_in_use",
            f"{names[category_id]} has {len(chosen):,} seats; name the category whose price they should have.",
        )
    why = f"{names[category_id]} cannot be taken away while somebody has seats of it"
    taken = await take_all_off(stores, staff, chosen, "category_in_use", why)
    try:
        async with staff_events.changing(stores.pool, event.id, "edit") as (conn, now):
            if now.event.status != event.status or taken.epoch not in (0, now.event.epoch):
                return False
            await staff_events.check_all_seats(conn, event.id)
            await categories.remove(conn, event.id, category_id, replacement, why)
            await staff_events.change(conn, event.id, {}, replan=True)
            await audit_log.record(
                conn,
                user_id=user_id,
                verb="remove_category",
                object="event",
                event_id=event.id,
                details={
                    "category": names[category_id],
                    "replacement": names.get(replacement or 0, ""),
                    "seats": len(chosen),
                },
            )
        return True
    finally:
        if event.status != "draft":
            await put_back_on_offer(stores, event.id, taken.seats)


async def check_currency(stores: Stores, staff: StaffEvent) -> None:
    """Whether nobody is about to buy at the prices of the old currency. Refuses with currency_settled.

    Redis has heard of a pause when this looks at it, so that nobody takes seats after; that nothing was ever
    sold, Postgres checks with the event locked.
    """
    if staff.event.status == "draft":
        return
    paused = staff.event.paused and await announce(stores, staff.shown)
    held = (await stores.state.snapshot(staff.event.id)).statuses.count(Status.held) if paused else 0
    if not paused or held:
        waiting = f" ({held} seats are held)" if held else ""
        raise Refused(
            "currency_settled",
            f"Pause the sale first and wait until nobody holds seats{waiting}: they would be charged in another "
            "currency than they saw.",
        )
