"""Generated plans: sizes, labels, aisles, curves; the demo's venues; the columns that pages get."""

from math import dist, hypot, inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatmap.errors import PlanInvalid
from seatmap.model import Category, Plan
from seatmap.plan import demo
from seatmap.plan.grid import AISLE, Block, build, grid, row_label
from seatmap.plan.neighbours import breaks, nearest
from seatmap.plan.public import public, restore, storable


def closest(plan: Plan) -> float:
    return min(nearest([(seat.x, seat.y) for seat in plan.seats], 12.0))


def test_a_grid_has_its_rows_columns_and_labels() -> None:
    plan = grid(2, 3, name="Room", section="Hall")
    assert [seat.label for seat in plan.seats] == [
        "Hall, row A, seat 1",
        "Hall, row A, seat 2",
        "Hall, row A, seat 3",
        "Hall, row B, seat 1",
        "Hall, row B, seat 2",
        "Hall, row B, seat 3",
    ]
    assert plan.breaks == {0, 3}
    assert plan.categories == ("Standard",)
    assert plan.colors == ("",)


@pytest.mark.parametrize(
    ("row", "label"), [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (702, "AAA")]
)
def test_row_labels_go_on_after_z(row: int, label: str) -> None:
    assert row_label(row) == label


def test_an_aisle_is_a_gap_and_parts_neighbours() -> None:
    plan = grid(1, 6, name="Room", aisles=(2, 4))
    assert plan.breaks == {0, 2, 4}
    first, second, third = plan.seats[:3]
    assert second.x - first.x == 10
    assert third.x - second.x == 10 + AISLE


def test_rows_get_their_categories_from_the_front() -> None:
    plan = grid(4, 1, name="Room", categories=(("Front", 1), ("Middle", 1), ("Back", 1)), colors=("#111111",))
    assert [seat.category for seat in plan.seats] == ["Front", "Middle", "Back", "Back"]
    assert plan.colors == ("#111111", "", "")


def test_curved_rows_lie_on_arcs_around_one_centre() -> None:
    plan = build("Bowl", [Block(rows=3, columns=(5, 7, 9), curve=100, angle=30, x=5, y=-5)])
    radii = [hypot(seat.x - 5, seat.y + 5) for seat in plan.seats]
    assert radii == pytest.approx([100.0] * 5 + [111.5] * 7 + [123.0] * 9, abs=0.02)
    assert plan.seats[0].x < plan.seats[4].x  # seat 1 is at the left


def test_straight_sections_can_be_turned() -> None:
    plan = build("Side", [Block(rows=1, columns=3, x=10, y=20, angle=90)])
    assert [(seat.x, seat.y) for seat in plan.seats] == [(10, 10), (10, 20), (10, 30)]


@pytest.mark.parametrize(
    ("argument", "block"),
    [
        ("rows", Block(rows=0, columns=1)),
        ("rows", Block(rows=2_001, columns=1)),
        ("columns", Block(rows=1, columns=0)),
        ("columns", Block(rows=2, columns=(1, 2, 3))),
        ("aisles", Block(rows=1, columns=5, aisles=(5,))),
        ("aisles", Block(rows=1, columns=5, aisles=(0,))),
        ("categories", Block(rows=1, columns=1, categories=())),
        ("categories", Block(rows=1, columns=1, categories=(("", 1),))),
        ("x", Block(rows=1, columns=1, x=inf)),
        ("angle", Block(rows=1, columns=1, angle=nan)),
        ("seat_pitch", Block(rows=1, columns=1, seat_pitch=0)),
        ("curve", Block(rows=1, columns=1, curve=-1)),
        ("curve", Block(rows=1, columns=100, curve=20)),
    ],
)
def test_a_size_that_cannot_be_is_named(argument: str, block: Block) -> None:
    with pytest.raises(PlanInvalid, match=f"^{argument}="):
        build("Hall", [block])


def test_too_many_seats_or_none_are_refused() -> None:
    with pytest.raises(PlanInvalid, match="160,000 seats"):
        grid(400, 400, name="Huge")
    with pytest.raises(PlanInvalid, match="0 seats"):
        build("Empty", [])
    with pytest.raises(PlanInvalid, match="name="):
        grid(1, 1, name=" ")


@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 30),
    aisles=st.sets(st.integers(1, 29), max_size=4),
    curve=st.sampled_from([0.0, 60.0, 150.0, 1000.0]),
)
@settings(max_examples=60, deadline=None)
def test_any_grid_is_whole(rows: int, columns: int, aisles: set[int], curve: float) -> None:
    fitting = sorted(aisle for aisle in aisles if aisle < columns)
    plan = grid(rows, columns, name="Any", aisles=fitting, curve=curve)
    assert len(plan.seats) == rows * columns
    assert len({seat.label for seat in plan.seats}) == rows * columns
    assert plan.breaks == {row * columns + start for row in range(rows) for start in (0, *fitting)}
    assert closest(plan) > 9
    assert restore(storable(plan)) == plan


@pytest.mark.parametrize("plan", [demo.theatre(), demo.studio(), demo.arena(300), demo.arena(4_321)])
def test_no_two_seats_of_the_demo_overlap(plan: Plan) -> None:
    assert closest(plan) > 9.9
    assert len({seat.label for seat in plan.seats}) == len(plan.seats)


def test_the_theatre_is_a_theatre() -> None:
    plan = demo.theatre()
    assert 1_900 <= len(plan.seats) <= 2_100
    assert plan.categories == ("Premium", "Category 1", "Category 2", "Category 3")
    assert plan.colors == demo.COLORS
    assert {*plan.categories, *demo.studio().categories} == set(demo.PRICES)
    sections = list(dict.fromkeys(seat.section for seat in plan.seats))
    assert sections == [
        f"{tier} {side}" for tier in ("Stalls", "Circle", "Balcony") for side in ("left", "centre", "right")
    ]
    (stage,) = [shape for shape in plan.shapes if shape.text]
    assert max(stage.points[1::2]) < min(seat.y for seat in plan.seats)


def test_the_demo_has_the_neighbours_that_geometry_finds() -> None:
    for plan in (demo.theatre(), demo.studio()):
        rows: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for seat in plan.seats:
            rows.setdefault((seat.section, seat.row), []).append((seat.x, seat.y))
        assert breaks(list(rows.values()), 10.0) == plan.breaks


@pytest.mark.parametrize("seats", [1, 4, 5, 299, 2_999, 3_000, 20_001])
def test_an_arena_has_exactly_the_seats_asked_for(seats: int) -> None:
    assert len(demo.arena(seats).seats) == seats


@pytest.mark.parametrize("seats", [0, -1, 150_001])
def test_an_impossible_arena_is_refused(seats: int) -> None:
    with pytest.raises(PlanInvalid, match="seats="):
        demo.arena(seats)


def test_pages_get_columns() -> None:
    plan = demo.studio()
    categories = [
        Category(id=7, name="Front", price=3000, color="#abcdef"),
        Category(id=8, name="Rest", price=2000),
    ]
    page = public(plan, plan_version=3, currency="EUR", categories=categories)
    assert page["plan_version"] == 3
    assert page["sections"] == ("",)
    assert page["rows"][1] == {"section": 0, "label": "B", "first": 10, "count": 10}
    assert page["numbers"][10] == "1"
    assert len(page["x"]) == len(page["y"]) == len(page["category"]) == 60
    assert page["category"][9:11] == (0, 1)
    assert page["breaks"][:3] == (0, 5, 10)
    assert [category["color"] for category in page["categories"]] == ["#abcdef", "#1b5ce0"]
    assert page["shapes"][-1]["text"] == "Stage"
    assert all(round(x, 1) == x for x in page["x"])
    with pytest.raises(ValueError, match="1 categories given for the 2"):
        public(plan, plan_version=3, currency="EUR", categories=categories[:1])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"name": "x"}',
        storable(grid(1, 2, name="a")).replace(b'"format":1', b'"format":2'),
        storable(grid(1, 2, name="a")).replace(b'"numbers":["1",', b'"numbers":['),
        storable(grid(1, 2, name="a")).replace(b'[[0,"A",0,2]]', b'[[9,"A",0,2]]'),
        storable(grid(1, 2, name="a")).replace(b'[[0,"A",0,2]]', b'[[0,"A",5,2]]'),
        storable(grid(1, 2, name="a")).replace(b'"breaks":[0]', b'"breaks":[99]'),
    ],
)
def test_bytes_that_are_no_stored_plan_are_refused(data: bytes) -> None:
    with pytest.raises(PlanInvalid, match="stored plan"):
        restore(data)


def test_neighbours_are_as_far_apart_as_seats_are() -> None:
    plan = demo.theatre()
    points = [(seat.x, seat.y) for seat in plan.seats]
    for index in range(1, len(points)):
        beside = dist(points[index - 1], points[index]) < 11
        assert beside == (index not in plan.breaks)


def test_an_event_may_have_categories_of_its_own_by_now() -> None:
    plan = demo.studio()
    categories = [
        Category(id=7, name=plan.categories[1], price=3000),
        Category(id=8, name="Balcony", price=2000, color="#abcdef"),
        Category(id=9, name="Box", price=1000),
    ]
    seats = [i % 3 for i in range(60)]
    page = public(plan, plan_version=3, currency="EUR", categories=categories, category_of_seat=seats)
    assert page["category"] == seats
    assert [c["id"] for c in page["categories"]] == [7, 8, 9]
    assert [c["color"] for c in page["categories"]] == [plan.colors[1], "#abcdef", ""]
