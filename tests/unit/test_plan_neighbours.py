"""Who sits beside whom, from geometry."""

import random
from math import cos, hypot, inf, radians, sin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatmap.plan.neighbours import along, breaks, join, nearest, pitch
from seatmap.plan.sections import apart

Point = tuple[float, float]


def line(count: int, x: float = 0, y: float = 0, step: float = 10) -> list[Point]:
    return [(x + place * step, y) for place in range(count)]


def ring(count: int, extent: float, radius: float = 100) -> list[Point]:
    """Seats on an arc of `extent` degrees."""
    angles = [radians(extent * place / (count - 1)) for place in range(count)]
    return [(radius * cos(angle), radius * sin(angle)) for angle in angles]


def test_a_gap_wider_than_one_and_a_half_pitches_is_an_aisle() -> None:
    row = [(0.0, 0.0), (10.0, 0.0), (20.0, 0.0), (35.0, 0.0), (45.0, 0.0), (60.1, 0.0)]
    assert breaks([row]) == {0, 5}


def test_each_run_has_its_own_pitch() -> None:
    assert breaks([line(4), line(4, step=30)]) == {0, 4}


def test_two_far_seats_are_not_neighbours() -> None:
    assert breaks([line(2, step=500)], 10) == {0, 1}
    assert breaks([line(2, step=19)], 10) == {0}


def test_empty_runs_and_seats_in_one_place_are_survived() -> None:
    assert breaks([[], line(1), [], [(1.0, 1.0)] * 3]) == {0, 1}
    assert pitch([(1.0, 1.0)] * 3) == 0.0
    assert along([(1.0, 1.0)] * 3) == [0, 1, 2]


@pytest.mark.parametrize("extent", [0.001, 90, 170, 250, 330])
def test_a_shuffled_row_is_walked_in_order(extent: float) -> None:
    row = ring(24, extent)
    mixed = list(range(24))
    random.Random(5).shuffle(mixed)
    walk = [mixed[index] for index in along([row[index] for index in mixed])]
    assert walk in (list(range(24)), list(range(24))[::-1])


def test_a_row_given_in_order_stays_as_it_is() -> None:
    for row in (line(7), line(7)[::-1], ring(30, 300), line(3) + line(3, x=100)):
        assert along(row) == list(range(len(row)))


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), max_size=40))
@settings(max_examples=100, deadline=None)
def test_a_walk_visits_every_seat_once(points: list[Point]) -> None:
    assert sorted(along(points)) == list(range(len(points)))
    assert all(0 <= index < len(points) for index in breaks([points]))


def test_pieces_of_a_row_join_end_to_end() -> None:
    pieces = [line(3, x=30), line(3), line(3, x=60)[::-1]]
    assert join(pieces, 10) == [[(1, False), (0, False), (2, True)]]


def test_pieces_beyond_an_aisle_or_round_a_corner_stay_apart() -> None:
    assert join([line(3), line(3, x=36)], 10) == [[(0, False)], [(1, False)]]
    corner = [(20.0, 10.0 + 10 * place) for place in range(3)]
    assert join([line(3), corner], 10) == [[(0, False)], [(1, False)]]
    assert join([line(3), line(3, y=10)], 10) == [[(0, False)], [(1, False)]]


def test_a_curved_row_in_pieces_joins() -> None:
    row = ring(30, 160)
    assert join([row[20:], row[:8], row[8:20]]) == [[(1, False), (2, False), (0, False)]]


def test_single_seats_join_by_the_usual_pitch() -> None:
    assert join([line(1), line(1, x=10), line(1, x=40)], 10) == [[(0, False), (1, False)], [(2, False)]]


def test_very_many_pieces_are_not_one_row() -> None:
    assert len(join([line(1, x=10.0 * place) for place in range(51)], 10)) == 51


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)), min_size=1, max_size=60, unique=True))
@settings(max_examples=60, deadline=None)
def test_the_nearest_other_seat_is_found(places: list[tuple[int, int]]) -> None:
    points = [(float(x), float(y)) for x, y in places]
    for point, found in zip(points, nearest(points, 30.0), strict=True):
        true = min((hypot(point[0] - x, point[1] - y) for x, y in points if (x, y) != point), default=inf)
        if true <= 30 and len(points) <= 16:
            assert found == pytest.approx(true)
        assert found >= true


def test_sections_on_top_of_each_other_are_moved_aside() -> None:
    hall = [line(10, y=10.0 * row) for row in range(5)]
    left = [point for row in hall for point in row]
    right = [(x + 45, y) for x, y in left]
    moves = apart([left, right, [(x, y + 100) for x, y in left]], 10)
    assert moves == [(0, 0), (90 + 30 - 45, 0), (0, 0)]
    back = [(x, y + 25) for x, y in left]
    assert apart([left, back], 10) == [(0, 0), (0, 40 + 30 - 25)]
    assert apart([left, left, left], 10) == [(0, 0), (120, 0), (240, 0)]


def test_sections_moved_aside_keep_their_order() -> None:
    long, short = line(28), line(14)
    row = [long, [(x + 140, y) for x, y in long], [(x + 285, y) for x, y in short]]
    starts = [points[0][0] + move[0] for points, move in zip(row, apart(row, 10), strict=True)]
    assert starts == [0, 300, 600]


def test_a_few_seats_on_others_do_not_move_a_section() -> None:
    left = [point for row in range(5) for point in line(10, y=10.0 * row)]
    right = [(x + 95, y) for x, y in left if (x, y) != (0, 0)] + [(0.0, 0.0)]
    right = [(x + 10, y) if x else (x, y) for x, y in right]
    assert apart([left, right], 10) == [(0, 0), (0, 0)]
    assert apart([], 10) == []
