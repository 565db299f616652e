"""The pulse of an event: rates, the funnel, waits, ages; with a clock that the test turns."""

from pathlib import Path

import pytest

from seatmap.errors import Refused
from seatmap.live.pulse import Pulse, bucket, p99
from seatmap.model import Change, Mine, Position, Status
from seatmap.protocol import AGES, ages_frame

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "admin-api.md"
FREE, HELD, BOOKED = Status.available, Status.held, Status.booked


class World:
    """A pulse of an event of 10 free seats, and its clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.version = 0
        self.pulse = Pulse(lambda: self.now)
        self.pulse.follow(bytes(10))

    def change(self, seats: dict[int, int], *touched: tuple[str, str, Mine]) -> None:
        self.version += 1
        self.pulse.changed(
            Change(epoch=1, since=self.version - 1, to=self.version, seats=seats, touched=touched)
        )


@pytest.fixture
def world() -> World:
    return World()


def test_rates_are_means_of_whole_seconds(world: World) -> None:
    world.change({0: HELD, 1: HELD, 2: HELD})
    assert world.pulse.rates() == (0, 0)  # this second is not over
    world.now += 1
    world.change({0: BOOKED})
    assert world.pulse.rates() == (0.6, 0)
    world.now += 1
    assert world.pulse.rates() == (0.6, 0.2)
    world.now += 4
    assert world.pulse.rates() == (0, 0.2)
    world.now += 1
    assert world.pulse.rates() == (0, 0)


def test_a_seat_that_stays_as_it_was_counts_for_nothing(world: World) -> None:
    world.change({0: HELD})
    world.change({0: HELD, 1: FREE})
    world.now += 1
    assert world.pulse.rates() == (0.2, 0)


def test_the_history_has_each_second_oldest_first(world: World) -> None:
    world.change({0: HELD})
    world.now += 3
    holds, books = world.pulse.history()
    assert (len(holds), holds[-4:], sum(books)) == (300, [0, 0.2, 0.2, 0.2], 0)
    world.now += 300
    assert sum(world.pulse.history()[0]) == 0


def test_the_funnel_counts_baskets(world: World) -> None:
    world.change({0: HELD}, ("ada", "", Mine(hold_id="a", seats=(0,))))
    world.change({1: HELD}, ("ada", "", Mine(hold_id="a", seats=(0, 1))), ("bob", "", Mine(hold_id="b")))
    world.change({}, ("ada", "", Mine(order_id="o", order_seats=(0, 1))))
    world.change({0: BOOKED, 1: BOOKED}, ("ada", "confirmed", Mine()))
    world.change({2: FREE}, ("bob", "expired", Mine()))
    world.change({}, ("eve", "claimed", Mine()))
    world.change({3: BOOKED}, ("eve", "paid", Mine()))
    assert world.pulse.funnel() == {"held": 2, "checkout": 1, "booked": 2, "expired": 1}
    world.now += 299
    assert world.pulse.funnel()["held"] == 2
    world.now += 2
    assert world.pulse.funnel() == {"held": 0, "checkout": 0, "booked": 0, "expired": 0}


def test_ages_count_from_the_hold_or_from_the_first_sight(world: World) -> None:
    world.change({3: HELD})
    world.now += 25
    world.change({4: HELD})
    assert world.pulse.ages() == {3: 25, 4: 0}
    seen = bytearray(10)
    seen[4] = seen[5] = HELD
    world.pulse.follow(seen)
    world.now += 10
    assert world.pulse.ages() == {4: 10, 5: 10}
    assert world.pulse.rates() == (0, 0)  # what was missed is in no rate


def test_a_process_tells_refusals_and_waits(world: World) -> None:
    with world.pulse.timing():
        world.now += 0.004
    with pytest.raises(Refused), world.pulse.timing():
        raise Refused("seat_taken")
    assert world.pulse.told(7, 3).refused == {}
    world.now += 1
    told = world.pulse.told(7, 3)
    assert (told.pid, told.viewers, told.refused) == (7, 3, {"seat_taken": 1})
    assert told.waits == {bucket(4): 1, 0: 1}
    world.now += 5
    assert world.pulse.told(7, 3).refused == {}
    assert sum(world.pulse.told(7, 3).waits.values()) == 2
    world.now += 5
    assert world.pulse.told(7, 3).waits == {}


def test_p99_is_that_of_all_processes_to_15_percent() -> None:
    assert p99([]) == 0
    fast, slow = {bucket(2): 985}, {bucket(2): 5, bucket(300): 10}
    assert p99([fast]) == pytest.approx(2, rel=0.16)
    assert p99([slow]) == pytest.approx(300, rel=0.16)
    assert p99([fast, slow]) == pytest.approx(2, rel=0.16)
    assert p99([{bucket(2): 980}, slow]) == pytest.approx(300, rel=0.16)


@pytest.mark.parametrize("ms", [0, 0.1, 1, 1000, 10**9])
def test_the_histogram_is_bounded(ms: float) -> None:
    assert 0 <= bucket(ms) < 90


def test_ages_on_the_wire() -> None:
    example = DOCUMENT.read_text().partition("At (1, 9), plan version 1")[2].split("```")[1]
    frame = ages_frame(Position(1, 9), 1, {4: 9, 260: 95})
    assert frame == bytes.fromhex(example)
    assert frame[0] == AGES
    assert ages_frame(Position(1, 9), 1, {1: 9999})[16:] == bytes((255, 1, 0, 0))
