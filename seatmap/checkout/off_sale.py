"""Taking seats off sale in Redis before Postgres changes what they are, and putting them back after."""

import logging
from collections.abc import Sequence

from msgspec import Struct

from seatmap.booking.commands import Block
from seatmap.changes import indexes
from seatmap.checkout.stores import Stores
from seatmap.errors import Refused, SeatmapError
from seatmap.ledger import seats
from seatmap.ledger.pool import connection
from seatmap.ledger.staff_events import StaffEvent

AT_ONCE = 500  # seats of one command: Redis is busy with it for a few ms
NAMED_MAX = 5  # seats in a sentence

log = logging.getLogger(__name__)


class Taken(Struct, frozen=True):
    """What Redis took off sale, in which epoch; 0 for an event that it does not know."""

    epoch: int
    seats: tuple[int, ...]
    held: tuple[int, ...] = ()
    booked: tuple[int, ...] = ()


async def take_off(stores: Stores, event_id: int, chosen: Sequence[int]) -> Taken:
    """Block those of the seats that nobody has."""
    done: list[int] = []
    held: list[int] = []
    booked: list[int] = []
    epochs = set()
    for piece in _pieces(chosen):
        answer = await stores.desk.decide(event_id, Block(0, piece))
        epochs.add(answer.position.epoch)
        for found, seats_of in zip((done, held, booked), answer.fields, strict=True):
            found += indexes(seats_of)
    # Of two epochs neither is right; what Postgres has is compared with it.
    return Taken(epochs.pop() if len(epochs) == 1 else -1, tuple(done), tuple(held), tuple(booked))


async def take_all_off(
    stores: Stores, staff: StaffEvent, chosen: Sequence[int], code: str, why: str
) -> Taken:
    """Block all of the seats, or none: refuses with `code`, naming those that somebody has and saying `why`."""
    if staff.event.status == "draft" or not chosen:
        return Taken(0, tuple(chosen))
    taken = await take_off(stores, staff.event.id, chosen)
    if taken.held or taken.booked:
        await put_back_on_offer(stores, staff.event.id, taken.seats)
        raise await in_use(stores, staff.event.id, taken.held, taken.booked, code, why)
    return taken


async def in_use(
    stores: Stores, event_id: int, held: Sequence[int], booked: Sequence[int], code: str, why: str
) -> Refused:
    """The refusal that names seats which somebody has."""
    labels = (await seats.seat_table(stores.pool, event_id)).labels
    named = [f"{labels[seat]} (sold)" for seat in booked] + [f"{labels[seat]} (held)" for seat in held]
    more = f" and {len(named) - NAMED_MAX} more" if len(named) > NAMED_MAX else ""
    return Refused(code, f"{why}: {'; '.join(named[:NAMED_MAX])}{more}.", seats=[*booked, *held])


async def put_back(stores: Stores, event_id: int, offered: Sequence[int]) -> None:
    """Free seats that Postgres offers; what cannot be told to Redis is the reconciler's."""
    try:
        for piece in _pieces(offered):
            await stores.desk.decide(event_id, Block(1, piece))
    except SeatmapError as error:
        log.warning("event %s: seats on offer are left to the reconciler: %s", event_id, error)


async def put_back_on_offer(stores: Stores, event_id: int, chosen: Sequence[int]) -> None:
    """Free those of the seats that Postgres offers."""
    async with connection(stores.pool) as conn:
        offered = await seats.on_offer(conn, event_id, chosen)
    await put_back(stores, event_id, sorted(offered))


def _pieces(chosen: Sequence[int]) -> list[tuple[int, ...]]:
    return [tuple(chosen[first : first + AT_ONCE]) for first in range(0, len(chosen), AT_ONCE)]
