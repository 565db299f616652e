"""The importer for pretix seating plans: traits of real files, and hostile ones."""

import json
import time
from math import isfinite
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatmap.errors import PlanInvalid
from seatmap.model import Plan
from seatmap.plan.colors import normal
from seatmap.plan.pretix import Report, read
from seatmap.plan.public import restore, storable
from seatmap.plan.sections import apart

HALL = Path(__file__).parents[3] / "shared/plans/riethsporthalle_erfurt.pretix.json"

Json = dict[str, Any]


def seat(number: object, x: float, y: float = 0, **more: Any) -> Json:
    return {
        "seat_number": number,
        "seat_guid": str(uuid4()),
        "category": "A",
        "position": {"x": x, "y": y},
        **more,
    }


def row(number: object, seats: list[Json], x: float = 0, y: float = 0, **more: Any) -> Json:
    return {"row_number": number, "seats": seats, "position": {"x": x, "y": y}, **more}


def zone(rows: list[Json], name: str = "Hall", x: float = 0, y: float = 0, **more: Any) -> Json:
    return {"name": name, "position": {"x": x, "y": y}, "rows": rows, "areas": [], **more}


def file(*zones: Json, **more: Any) -> Json:
    return {
        "name": "House",
        "categories": [{"name": "A", "color": "#Ff0000"}],
        "size": {"width": 1000, "height": 1000},
        "zones": list(zones),
        **more,
    }


def line(count: int, first: int = 1, x: float = 0) -> list[Json]:
    """Seats 25 pixels apart."""
    return [seat(str(first + place), x + 25 * place) for place in range(count)]


def load(plan: Json) -> tuple[Plan, Report]:
    return read(json.dumps(plan).encode())


def test_a_plain_file_needs_no_mending() -> None:
    plan, report = load(file(zone([row("1", line(3)), row("2", line(3), y=30)], x=100, y=50)))
    assert report.mended == ()
    assert plan.name == "House"
    assert [one.label for one in plan.seats[2:4]] == ["Hall, row 1, seat 3", "Hall, row 2, seat 1"]
    assert [(one.x, one.y) for one in plan.seats] == [(0, 0), (10, 0), (20, 0), (0, 12), (10, 12), (20, 12)]
    assert plan.breaks == {0, 3}
    assert plan.categories == ("A",)
    assert plan.colors == ("#ff0000",)


def test_labels_follow_their_templates() -> None:
    rows = [row("3", line(1), row_label="Row %s", seat_label="G%s"), row("4", line(1), y=30, row_label=None)]
    plan, _ = load(file(zone(rows)))
    assert [one.label for one in plan.seats] == ["Hall, row 3, seat G1", "Hall, row 4, seat 1"]


def test_a_row_in_pieces_becomes_one() -> None:
    rows = [
        row("C", line(3, 4), x=75),
        row("D", line(6), y=40),
        row("C", line(3, 1)),
        row("C", line(2, 7), x=200),
    ]
    plan, report = load(file(zone(rows)))
    assert [one.number for one in plan.seats] == [*"12345678", *"123456"]
    assert plan.breaks == {0, 6, 8}  # seat 7 is beyond an aisle
    assert report.mended == ("1 piece of a row was joined to the piece beside it.",)


def test_neighbours_come_from_geometry_not_from_numbers() -> None:
    odd_then_even = [seat("1", 0), seat("3", 25), seat("5", 50), seat("2", 150), seat("4", 175)]
    mixed = [seat("2", 25), seat("1", 0), seat("4", 75), seat("3", 50)]
    plan, report = load(file(zone([row("1", odd_then_even), row("2", mixed, y=30)])))
    assert [one.number for one in plan.seats] == ["1", "3", "5", "2", "4", "1", "2", "3", "4"]
    assert plan.breaks == {0, 3, 5}
    assert report.mended == ("1 row had seats in another order than they stand in, and was sorted.",)


def test_segment_breaks_are_aisles() -> None:
    plan, report = load(file(zone([row("1", line(6), segment_breaks=[2, 4, 99, "x", None])])))
    assert plan.breaks == {0, 2, 4}
    assert report.mended == ("2 aisles were taken from segment_breaks.",)


def test_seats_that_share_a_guid_or_a_label_are_kept_apart() -> None:
    rows = [
        row("1", [seat("1", 0, seat_guid="x"), seat("2", 25, seat_guid="x"), seat("3", 50, seat_guid="x")]),
        row("1", [seat("2", 0), seat("3", 25)], y=100),
        row("2", [seat("1", 0), seat("1", 0), seat("2", 25)], y=200),
    ]
    plan, report = load(file(zone(rows)))
    numbers = [(one.row, one.number) for one in plan.seats]
    assert numbers == [(*"1",) * 1 + (n,) for n in ("1", "2", "3", "2 (2)", "3 (2)")] + [
        ("2", "1"),
        ("2", "2"),
    ]
    assert load(file(zone(rows)))[0] == plan
    assert report.mended == (
        "2 seats had the seat_guid of another; seats are known by their place in the plan instead.",
        '2 seats had the label of another and got a number with "(2)" or more behind it.',
        "1 seat was in the file twice, with one label and position, and was kept once.",
    )


def test_seats_outside_the_size_empty_rows_and_missing_numbers_are_mended() -> None:
    rows = [
        row("1", line(3), x=980),
        row("2", []),
        row(None, [seat(None, 0), seat(7, 25), seat(8.0, 50)], y=30),
    ]
    plan, report = load(file(zone(rows), {"rows": [row("1", line(1), y=900)]}, standing=[{"name": "Floor"}]))
    assert [one.label for one in plan.seats[3:]] == [
        "Hall, row 3, seat 1",
        "Hall, row 3, seat 7",
        "Hall, row 3, seat 8",
        "Section 2, row 1, seat 1",
    ]
    assert set(report.mended) >= {
        "2 seats lay outside the declared size; the map fits the seats instead.",
        "1 row had no seats and was left out.",
        "1 row had no row_number and was numbered by position in the zone.",
        "1 seat had no seat_number and was numbered by position in the row.",
        "1 zone had no name and was numbered.",
        "1 list of standing areas was left out: only seats can be sold.",
    }


def test_categories_and_colors_are_mended() -> None:
    seats = [
        seat("1", 0),
        seat("2", 25, category="B"),
        seat("3", 50, category=None),
        seat("4", 75, category="C"),
    ]
    declared = [
        {"name": "C", "color": "Navy"},
        {"name": "A", "color": "url(javascript:alert(1))"},
        {"name": "A", "color": "#123456"},
        {"name": "Unused", "color": "#123"},
    ]
    plan, report = load(file(zone([row("1", seats)]), categories=declared))
    assert plan.categories == ("C", "A", "B", "Standard")
    assert plan.colors == ("#000080", "", "", "")
    assert report.mended == (
        "1 seat had no category and was put into 'Standard'.",
        "1 colour was neither #rgb, #rrggbb nor a CSS name, and was left to the page.",
        "1 category was declared twice; the first counts.",
        "1 category had no seat and was left out.",
        "2 categories were used by seats but not declared, and were added.",
    )


def test_areas_become_polygons_and_words() -> None:
    areas = [
        {"shape": "rectangle", "position": {"x": 50, "y": 50}, "rotation": 90, "color": "#ddd",
         "rectangle": {"width": 100.5, "height": 25}},
        {"shape": "circle", "position": {"x": 0, "y": 0}, "circle": {"radius": 25}, "text": "Bar"},
        {"shape": "ellipse", "position": {"x": 0, "y": 0}, "ellipse": {"radius": {"x": 50, "y": 25}}},
        {"shape": "polygon", "position": {"x": 25, "y": 0},
         "polygon": {"points": [{"x": 0, "y": 0}, {"x": 25, "y": 0}, {"x": 0, "y": 25}]},
         "text": {"text": "Stage", "position": {"x": 10, "y": 10}, "color": "red"}},
        {"shape": "text", "position": {"x": 0, "y": 100}, "text": {"text": "Exit", "color": "red"}},
        {"shape": "polygon", "polygon": {"points": []}},
        {"shape": "blob", "rectangle": None, "text": None},
    ]  # fmt: skip
    plan, report = load(file(zone([row("1", line(3))], areas=areas)))
    box, circle, ellipse, polygon, word = plan.shapes
    assert list(box.points) == [20, 20, 20, 60.2, 10, 60.2, 10, 20]
    assert box.color == "#dddddd"
    assert len(circle.points) == len(ellipse.points) == 48
    assert circle.text == "Bar"
    assert (max(ellipse.points[::2]), max(ellipse.points[1::2])) == (20, 10)
    assert list(polygon.points) == [10, 0, 20, 0, 10, 10]
    assert polygon.text == "Stage"
    assert (list(word.points), word.text, word.color) == ([0, 40], "Exit", "#ff0000")
    assert report.mended == (
        "1 area had a plain string as text, as older files do.",
        "2 areas had neither an outline nor a text, and were left out.",
    )


def test_sections_on_top_of_each_other_are_moved_with_their_areas() -> None:
    area = {"shape": "text", "position": {"x": 0, "y": 0}, "text": {"text": "Block B"}}
    first = zone([row("1", line(9))], "Block A")
    second = zone([row("1", line(9))], "Block B", x=100, areas=[area])
    plan, report = load(file(first, second))
    assert [one.x for one in plan.seats[8:10]] == [80, 110]
    assert list(plan.shapes[0].points) == [110, 0]
    assert report.mended == ("1 section lay on top of another and was moved aside; look at the map.",)


def test_single_seats_and_seats_in_one_place_are_read() -> None:
    assert load(file(zone([row("1", line(1))])))[0].seats[0].x == 0
    tables = [row(str(table), [seat("1", 0)], x=70 * table) for table in range(5)]
    assert [one.x for one in load(file(zone(tables)))[0].seats] == [0, 10, 20, 30, 40]
    heap = [seat(str(number), 0) for number in range(4)]
    assert "4 seats lay on top of another" in " ".join(load(file(zone([row("1", heap)])))[1].mended)


def hostile(**changes: Any) -> bytes:
    """A file of one seat, with these fields of the seat changed."""
    return json.dumps(file(zone([row("1", [seat("1", 0) | changes])]))).encode()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "not JSON"),
        (b"<svg/>", "not JSON"),
        (b'{"zones": NaN}', "not JSON"),
        (b'{"name": "\\ud800 abcdefghijk", "zones": []}', "not JSON"),
        ("Größe".encode("latin-1"), "not UTF-8 text .byte 2."),
        (b'{"more": ' + b"[" * 1_000_000, "nested too deeply"),
        (b'{"more": ' + b'{"a":' * 100_000, "nested too deeply"),
        (b" " * 5_000_001, "5.0 MB"),
        (b"[]", "The file cannot be read: expected object, got list"),
        (b'{"zones": [{"rows": 5}]}', r"zones\[0\].rows cannot be read: expected list or null, got number"),
        (b"{}", "no seats"),
        (json.dumps(file(zone([]))).encode(), "no seats"),
        (b'{"zones":[{"rows":[{"seats":[' + b"{}," * 100_000 + b"{}]}]}]}", "100,001 seats"),
        (hostile(position={"x": 1e7, "y": 0}), r"zones\[0\].rows\[0\].seats\[0\] lies at 1e\+07, 0"),
        (hostile(position={"x": "left", "y": 0}), r"rows\[0\].seats\[0\].position.x cannot be read"),
        (hostile(position={"x": 0, "y": 0}).replace(b'"x": 0', b'"x": 1e999'), "out of range"),
        (hostile(seat_number=["1"]), r"seats\[0\].seat_number cannot be read"),
        (hostile(seat_number="1" * 61), "61 characters"),
        (hostile(seat_number="1\0"), r"control character \(U\+0000\)"),
        (hostile(category="VIP\u202e"), r"control character \(U\+202E\)"),
        (hostile(seat_number=1e300), "characters"),
        (json.dumps(file(zone([row("1", line(1))]), name="x" * 201)).encode(), "name has 201 characters"),
        (
            json.dumps(file(zone([row("1", [seat(n, n, category=f"C{n}") for n in range(101)])]))).encode(),
            "101 categories",
        ),
        (
            json.dumps(file(zone([row("1", [seat("1", 0), seat("2", 1e-6), seat("3", 9e5)])]))).encode(),
            "pixels apart",
        ),
        (
            json.dumps(file(zone([row("1", [seat("1", 0), seat("2", 1e-308), seat("3", 2e-308)])]))).encode(),
            "only 1e-308 pixels from each other",
        ),
        (json.dumps(file(zone([row("1", line(1))], areas=[{}] * 5_001))).encode(), "5,001 areas"),
    ],
)  # fmt: skip
def test_a_hopeless_file_is_refused_with_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(PlanInvalid, match=sentence) as caught:
        read(data)
    assert len(caught.value.detail) < 300


def test_a_byte_order_mark_is_no_harm() -> None:
    assert read(b"\xef\xbb\xbf" + hostile())[0].seats[0].number == "1"


@pytest.mark.parametrize(
    ("color", "known"),
    [
        ("#ABC", "#aabbcc"),
        (" #a1B2c3 ", "#a1b2c3"),
        ("RebeccaPurple", "#663399"),
        ("#abcd", ""),
        ("red;}", ""),
        ("rgb(1,2,3)", ""),
        ("#١٢٣", ""),
        ("", ""),
    ],
)
def test_only_known_colors_get_through(color: str, known: str) -> None:
    assert normal(color) == known


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["zones", "rows", "seats", "position", "x", "y", "areas", "name", "text"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
coordinate = st.one_of(st.integers(-500, 500), st.floats(-2e6, 2e6), st.sampled_from([0, 1e-300, 1e308]))
place = st.fixed_dictionaries({"x": coordinate, "y": coordinate}) | st.none()
label = st.sampled_from(["1", "2", "A", "", None, 3, 2.5])
seats = st.fixed_dictionaries({}, optional={"seat_number": label, "position": place, "category": label})
rows = st.fixed_dictionaries(
    {"seats": st.lists(seats, max_size=6)},
    optional={"row_number": label, "row_label": label, "position": place},
)
outlines = st.fixed_dictionaries(
    {"shape": st.sampled_from(["polygon", "circle", "rectangle", "text", "ellipse"])},
    optional={
        "position": place,
        "rotation": coordinate,
        "polygon": st.fixed_dictionaries({"points": st.lists(place.filter(bool), max_size=4)}),
        "circle": st.fixed_dictionaries({"radius": coordinate}),
        "rectangle": st.fixed_dictionaries({"width": coordinate, "height": coordinate}),
        "ellipse": st.fixed_dictionaries({"radius": place}),
        "text": st.text(max_size=4) | st.fixed_dictionaries({"text": label, "position": place}),
        "color": st.text(max_size=4),
    },
)
zones = st.fixed_dictionaries(
    {"rows": st.lists(rows, max_size=4)},
    optional={"position": place, "areas": st.lists(outlines, max_size=2), "name": label},
)
plans = st.fixed_dictionaries(
    {"zones": st.lists(zones, max_size=3)}, optional={"size": any_json, "more": any_json}
)


@given(st.one_of(any_json, plans, st.fixed_dictionaries({"zones": st.lists(any_json, max_size=2)})))
@settings(max_examples=300, deadline=None)
def test_any_json_is_a_plan_or_refused(data: object) -> None:
    try:
        plan, report = read(json.dumps(data).encode())
    except PlanInvalid:
        return
    assert 0 in plan.breaks
    assert max(plan.breaks) < len(plan.seats)
    assert all(isfinite(one.x) and isfinite(one.y) for one in plan.seats)
    assert all(isfinite(value) for shape in plan.shapes for value in shape.points)
    assert {one.category for one in plan.seats} == set(plan.categories)
    assert len({(one.section, one.row, one.number) for one in plan.seats}) == len(plan.seats)
    assert all(sentence.endswith(".") for sentence in report.mended)
    assert restore(storable(plan)) == plan


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PlanInvalid):
        read(data)


def test_a_heap_of_seats_takes_no_longer_than_a_hall() -> None:
    heap = [row("1", [{}] * 20_000)]
    many = [row("1", [{"position": {"x": 0.01 * place}}]) for place in range(20_000)]
    for rows_ in (heap, many):
        start = time.process_time()
        load(file(zone(rows_)))
        assert (
            time.process_time() - start < 60
        )  # pair by pair it would be many minutes; else about one second


@pytest.mark.skipif(not HALL.exists(), reason="the real plan is not beside this checkout")
def test_a_real_hall_is_read_fast_and_whole() -> None:
    data = HALL.read_bytes()
    start = time.process_time()
    plan, report = read(data)
    assert time.process_time() - start < 30
    assert len(plan.seats) == 1_252
    assert plan.categories == ("Kategorie I", "Kategorie II", "VIP")
    assert len({(one.section, one.row) for one in plan.seats}) == 63 == len(plan.breaks)
    assert report.mended == (
        "119 seats lay outside the declared size; the map fits the seats instead.",
        "4 sections lay on top of another and were moved aside; look at the map.",
    )


def test_sections_whose_steps_are_too_small_to_count_stay_where_they_are() -> None:
    assert apart([[(0.0, 29.0), (5e-324, 29.0)]], 5e-324) == [(0.0, 0.0)]
