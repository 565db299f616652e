"""Another plan for an event: who keeps which index, what is removed, moved and new."""

from msgspec.structs import replace

from seatmap.model import Plan
from seatmap.plan.grid import grid
from seatmap.plan.public import restore, storable
from seatmap.plan.revision import revise


def hall(rows: int, columns: int, aisles: tuple[int, ...] = (), category: str = "Standard") -> Plan:
    return grid(rows, columns, name="Hall", section="Stalls", aisles=aisles, categories=((category, 0),))


def test_the_same_plan_changes_nothing() -> None:
    found = revise(hall(3, 4), hall(3, 4))
    assert (found.removed, found.moved, found.added) == ((), (), 12)
    assert found.plan == hall(3, 4)


def test_seats_that_both_have_keep_their_index_and_new_ones_come_behind() -> None:
    found = revise(hall(2, 2), hall(2, 3))
    assert [seat.label for seat in found.plan.seats] == [
        "Stalls, row A, seat 1",
        "Stalls, row A, seat 2",
        "Stalls, row B, seat 1",
        "Stalls, row B, seat 2",
        "Stalls, row A, seat 3",
        "Stalls, row B, seat 3",
    ]
    assert (found.removed, found.added) == ((), 4)
    assert found.moved == (0, 1, 2, 3), "a wider hall has its middle elsewhere"
    assert found.plan.breaks == {0, 2, 4, 5}


def test_removed_seats_keep_their_index_for_ever() -> None:
    smaller = revise(hall(2, 3), hall(2, 2))
    assert smaller.removed == (2, 5)
    assert smaller.plan.removed == {2, 5}
    assert len(smaller.plan.seats) == 6
    assert smaller.plan.breaks == {0, 2, 3, 5}, "nobody sits beside a seat that is not there"
    again = revise(smaller.plan, hall(2, 3))
    assert again.removed == ()
    assert again.plan.removed == {2, 5}, "the new one of that name is another seat"
    assert [seat.number for seat in again.plan.seats[6:]] == ["3", "3"]


def test_neighbours_are_those_of_the_new_plan() -> None:
    assert revise(hall(1, 4), hall(1, 4, aisles=(2,))).plan.breaks == {0, 2}
    assert revise(hall(1, 4, aisles=(2,)), hall(1, 4)).plan.breaks == {0}


def test_of_two_seats_with_one_name_each_is_itself() -> None:
    twice = replace(hall(1, 2), seats=(hall(1, 2).seats[0],) * 2)
    found = revise(twice, twice)
    assert (found.removed, found.added, len(found.plan.seats)) == ((), 2, 2)


def test_the_categories_are_those_of_both() -> None:
    found = revise(hall(1, 2), hall(1, 3, category="Box"))
    assert found.plan.categories == ("Box", "Standard")
    assert len(found.plan.colors) == 2
    assert [seat.category for seat in found.plan.seats] == ["Box"] * 3


def test_a_merged_plan_can_be_kept() -> None:
    plan = revise(hall(2, 3), hall(2, 2)).plan
    assert restore(storable(plan)) == plan
