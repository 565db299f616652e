"""An event's plan and the one that it is to have → the plan that it gets. Pure.

Seats are known by section, row and number. One that both plans have keeps its index; one that is new gets the next;
one that is not in the new plan keeps its index too, as removed: no index is ever used again.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from seatmap.errors import PlanInvalid
from seatmap.model import Plan, Seat
from seatmap.plan.grid import SEATS_MAX

_Name = tuple[str, str, str, int]


class Revision(Struct, frozen=True):
    """The merged plan, and the indexes of what is different: removed by it, moved, and from `added` on new."""

    plan: Plan
    removed: tuple[int, ...]
    moved: tuple[int, ...]
    added: int


def revise(old: Plan, new: Plan) -> Revision:
    """The plan of an event whose seats are to be those of `new`. Raises PlanInvalid where that is too many."""
    wanted = dict(_named(enumerate(new.seats)))
    seats: list[Seat] = []
    place: dict[int, int] = {}  # index → where the seat is in the new plan
    gone, moved = [], []
    named = {
        index: name for name, index in _named((i, s) for i, s in enumerate(old.seats) if i not in old.removed)
    }
    for index, seat in enumerate(old.seats):
        there = wanted.pop(named[index], None) if index in named else None
        seats.append(seat if there is None else new.seats[there])
        if there is not None:
            place[index] = there
            if (seat.x, seat.y) != (new.seats[there].x, new.seats[there].y):
                moved.append(index)
        elif index in named:
            gone.append(index)
    for there in sorted(wanted.values()):
        place[len(seats)] = there
        seats.append(new.seats[there])
    if len(seats) > SEATS_MAX:
        raise PlanInvalid(
            f"With the seats that it had, the event would have {len(seats):,}; {SEATS_MAX:,} is most."
        )
    colors = dict(zip(old.categories, old.colors, strict=False)) | dict(
        zip(new.categories, new.colors, strict=False)
    )
    categories = tuple(dict.fromkeys((*new.categories, *old.categories)))
    plan = replace(
        new,
        seats=tuple(seats),
        breaks=frozenset(i for i in range(len(seats)) if not _beside(place, i, new.breaks)),
        categories=categories,
        colors=tuple(colors.get(name, "") for name in categories),
        removed=old.removed | set(gone),
    )
    return Revision(plan, tuple(gone), tuple(moved), len(old.seats))


def _beside(place: dict[int, int], index: int, breaks: frozenset[int]) -> bool:
    """Whether a seat is a neighbour of the one before it."""
    there = place.get(index)
    return there is not None and there not in breaks and place.get(index - 1) == there - 1


def _named(seats: Iterable[tuple[int, Seat]]) -> Iterator[tuple[_Name, int]]:
    """Seats by name; of two with the same one the second is another."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for index, seat in seats:
        name = (seat.section, seat.row, seat.number)
        seen[name] += 1
        yield (*name, seen[name]), index
