"""The replica and what screens get of it: a screen that follows docs/protocol.md always ends where the replica is."""

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from seatmap import protocol
from seatmap.live.replica import RING_CHANGES_MAX, Outcome, Replica
from seatmap.model import NOWHERE, Change, Position, Snapshot, Status

SEATS = 64


class Page:
    """A screen as docs/protocol.md wants it: it knows only the bytes that it was sent."""

    def __init__(self) -> None:
        self.position = NOWHERE
        self.statuses: list[int] = []

    def take(self, payload: bytes) -> bool:
        """Take one frame; False where the page has to send `sync`."""
        kind, _, _, epoch, second, third = struct.unpack_from("<BBHIII", payload)
        if kind == protocol.SNAPSHOT:
            return self._snapshot(Position(epoch, second), third, payload[16:])
        if kind == protocol.CHANGE:
            return self._change(epoch, second, third, entries(payload[16:]))
        assert kind == protocol.REBASE
        old = Position(*struct.unpack_from("<II", payload, 16))
        assert third == len(payload[24:]) // 4
        return self._rebase(old, Position(epoch, second), entries(payload[24:]))

    def _snapshot(self, position: Position, count: int, packed: bytes) -> bool:
        if position >= self.position:
            self.position = position
            self.statuses = [packed[i // 4] >> 2 * (i % 4) & 3 for i in range(count)]
        return True

    def _change(self, epoch: int, since: int, version: int, seats: dict[int, int]) -> bool:
        if epoch != self.position.epoch:
            return False
        if version <= self.position.version:
            return True
        if since > self.position.version:
            return False
        self._apply(seats)
        self.position = Position(epoch, version)
        return True

    def _rebase(self, old: Position, new: Position, seats: dict[int, int]) -> bool:
        if old != self.position:
            return False
        self._apply(seats)
        self.position = new
        return True

    def _apply(self, seats: dict[int, int]) -> None:
        for seat, status in seats.items():
            self.statuses[seat] = status


def entries(raw: bytes) -> dict[int, int]:
    return protocol.seats_of(struct.unpack(f"<{len(raw) // 4}I", raw))


def snapshot(
    epoch: int = 1, version: int = 0, statuses: bytes = bytes(SEATS), plan_version: int = 1
) -> Snapshot:
    return Snapshot(
        run_id="r", position=Position(epoch, version), plan_version=plan_version, statuses=statuses
    )


def change(
    to: int, seats: dict[int, int] | None = None, *, since: int | None = None, epoch: int = 1
) -> Change:
    return Change(epoch=epoch, since=to - 1 if since is None else since, to=to, seats=seats or {})


def installed(at: Snapshot | None = None) -> Replica:
    replica = Replica()
    assert replica.install(at or snapshot())
    return replica


def kind_of(replica: Replica, position: Position) -> int:
    frame = replica.since(position)
    assert frame is not None
    return frame.payload[0]


def counted(replica: Replica) -> list[int]:
    return [list(replica.statuses).count(status) for status in Status]


# ---- one thing at a time ----


def test_an_empty_replica_is_nowhere_and_takes_nothing_as_a_duplicate() -> None:
    replica = Replica()
    assert replica.position == NOWHERE
    assert replica.receive(change(1)) is Outcome.gap
    assert replica.snapshot().payload[0] == protocol.SNAPSHOT


def test_a_change_is_applied_once_and_a_hole_is_a_gap() -> None:
    replica = installed()
    assert replica.receive(change(1, {3: 1})) is Outcome.applied
    assert replica.receive(change(1, {3: 2})) is Outcome.ignored
    assert replica.receive(change(3, {4: 1})) is Outcome.gap
    assert (replica.position, replica.statuses[3], replica.statuses[4]) == (Position(1, 1), 1, 0)


def test_a_batch_that_begins_before_the_position_is_applied() -> None:
    replica = installed(snapshot(version=2))
    assert replica.receive(change(4, {3: 1}, since=1)) is Outcome.applied
    assert replica.position == Position(1, 4)


def test_a_later_epoch_is_a_gap_and_an_earlier_one_is_dropped() -> None:
    replica = installed(snapshot(epoch=2))
    assert replica.receive(change(1, {0: 2}, epoch=3)) is Outcome.gap
    assert replica.receive(change(9, {0: 2}, epoch=1)) is Outcome.ignored
    assert (replica.position, replica.statuses[0]) == (Position(2, 0), 0)


def test_what_arrived_while_the_map_was_read_is_put_on_it_in_order() -> None:
    replica = Replica()
    arrived = [change(4, {1: 2}), change(2, {0: 3}), change(3, {1: 1}), change(4, {1: 2})]
    assert replica.install(snapshot(version=2), arrived)
    assert (replica.position, list(replica.statuses[:2])) == (Position(1, 4), [0, 2])


@pytest.mark.parametrize(
    "arrived",
    [
        [change(4)],
        [change(3), change(5)],
        [change(3), change(1, epoch=2)],
    ],
    ids=["hole at the map", "hole between changes", "a rebuild meanwhile"],
)
def test_a_map_with_a_hole_after_it_is_not_taken(arrived: list[Change]) -> None:
    replica = installed(snapshot(version=1, statuses=bytes([1] * SEATS)))
    assert not replica.install(snapshot(version=2), arrived)
    assert (replica.position, set(replica.statuses)) == (Position(1, 1), {1})


def test_a_map_older_than_what_was_seen_is_not_taken() -> None:
    replica = installed(snapshot(version=5))
    assert not replica.install(snapshot(version=4))
    assert not replica.install(snapshot(epoch=0, version=9))
    assert replica.position == Position(1, 5)


def test_nothing_is_missed_at_the_head() -> None:
    replica = installed()
    assert replica.since(replica.position) is None


def test_a_screen_within_the_ring_gets_one_merged_change() -> None:
    replica = installed()
    for to, seats in enumerate(({1: 1}, {1: 0, 2: 1}, {2: 2}), 1):
        replica.receive(change(to, seats))
    frame = replica.since(Position(1, 0))
    assert frame is not None
    assert frame.payload == protocol.change_frame(1, 0, 3, 1, {1: 0, 2: 2})
    assert frame.wire == protocol.websocket_binary(frame.payload)


@pytest.mark.parametrize(
    "position",
    [NOWHERE, Position(1, 2), Position(1, 9), Position(0, 5), Position(2, 5)],
    ids=["nowhere", "before the ring", "ahead", "an older epoch", "a later epoch"],
)
def test_a_screen_elsewhere_gets_the_whole_map(position: Position) -> None:
    replica = installed(snapshot(version=4))
    replica.receive(change(5, {1: 1}))
    assert kind_of(replica, position) == protocol.SNAPSHOT


def test_a_change_larger_than_the_map_is_sent_as_the_map() -> None:
    replica = installed()
    replica.receive(change(1, dict.fromkeys(range(SEATS // 16 + 1), 1)))
    assert kind_of(replica, Position(1, 0)) == protocol.SNAPSHOT


def test_the_ring_forgets_the_oldest() -> None:
    replica = installed()
    for to in range(1, RING_CHANGES_MAX + 2):
        replica.receive(change(to, {to % SEATS: 1}))
    assert kind_of(replica, Position(1, 0)) == protocol.SNAPSHOT
    assert kind_of(replica, Position(1, RING_CHANGES_MAX)) == protocol.CHANGE


def test_a_frame_is_built_once_for_the_whole_crowd() -> None:
    replica = installed()
    replica.receive(change(1, {1: 1}))
    assert replica.since(Position(1, 0)) is replica.since(Position(1, 0))
    assert replica.snapshot() is replica.since(Position(0, 77))


# ---- rebuilds ----


def rebuilt(*seats: int, **fields: int) -> Replica:
    """At (1, 3) with seats 1 and 2 held; then a map of epoch 2 in which only `seats` are."""
    replica = installed()
    for to in (1, 2, 3):
        replica.receive(change(to, {to % 3: 1}))
    statuses = bytes(1 if seat in seats else 0 for seat in range(SEATS))
    assert replica.install(snapshot(epoch=2, statuses=statuses, **fields))
    return replica


def test_after_a_rebuild_a_screen_at_the_old_position_gets_what_differs() -> None:
    frame = rebuilt(0, 1).since(Position(1, 3))
    assert frame is not None
    assert frame.payload == protocol.rebase_frame(Position(1, 3), Position(2, 0), 1, {2: 0})


@pytest.mark.parametrize("position", [Position(1, 2), Position(1, 4), NOWHERE])
def test_after_a_rebuild_a_screen_anywhere_else_gets_the_map(position: Position) -> None:
    assert kind_of(rebuilt(1), position) == protocol.SNAPSHOT


def test_a_rebuild_on_another_plan_sends_the_map_to_everybody() -> None:
    assert kind_of(rebuilt(1, plan_version=2), Position(1, 3)) == protocol.SNAPSHOT


def test_a_rebuild_that_changed_most_seats_sends_the_smaller_map() -> None:
    assert kind_of(rebuilt(*range(3, SEATS)), Position(1, 3)) == protocol.SNAPSHOT


def test_a_change_after_a_rebuild_ends_the_difference() -> None:
    replica = rebuilt(1)
    replica.receive(change(1, {5: 2}, epoch=2))
    assert kind_of(replica, Position(1, 3)) == protocol.SNAPSHOT


def test_positions_that_pages_invent_are_not_remembered() -> None:
    replica = installed()
    replica.receive(change(1, {1: 1}))
    for version in range(2, 5000):
        replica.since(Position(1, version))
        replica.since(Position(version, 0))
    assert len(replica._frames) < 10


def test_frames_for_many_true_positions_are_not_all_kept() -> None:
    replica = installed()
    for to in range(1, 1001):
        replica.receive(change(to, {to % 3: 1}))
    for version in range(1000):
        assert replica.since(Position(1, version)) is not None
    assert len(replica._frames) <= 300


# ---- any schedule ----


class World:
    """The true history, the messages it sent, and a replica and pages that get them as badly as chance wants."""

    def __init__(self) -> None:
        self.truth = snapshot()
        self.log: list[Change] = []
        self.replica = installed(self.truth)
        self.pages = [Page() for _ in range(3)]

    def happen(self, seats: dict[int, int], size: int) -> None:
        epoch, version = self.truth.position
        made = Change(epoch=epoch, since=version, to=version + size, seats=seats)
        self.log.append(made)
        statuses = bytearray(self.truth.statuses)
        for seat, status in seats.items():
            statuses[seat] = status
        self.truth = replace(self.truth, position=Position(epoch, made.to), statuses=bytes(statuses))

    def rebuild(self, seats: dict[int, int], plan: int) -> None:
        statuses = bytearray(self.truth.statuses)
        for seat, status in seats.items():
            statuses[seat] = status
        position = Position(self.truth.position.epoch + 1, 0)
        self.truth = replace(
            self.truth,
            position=position,
            statuses=bytes(statuses),
            plan_version=self.truth.plan_version + plan,
        )
        self.log.append(Change(epoch=position.epoch, since=0, to=0, seats={}))

    def deliver(self, picks: list[int]) -> None:
        """Some of the messages, in some order, some twice, the others never."""
        for pick in picks:
            if self.log:
                self.replica.receive(self.log[pick % len(self.log)])

    def heal(self, buffered: list[int]) -> None:
        self.replica.install(self.truth, [self.log[pick % len(self.log)] for pick in buffered if self.log])

    def show(self, who: int) -> None:
        page = self.pages[who]
        frame = self.replica.since(page.position)
        if frame is None:
            return
        assert page.take(frame.payload), "the page would have to ask again for what it was just sent"
        self.check(page)

    def check(self, page: Page) -> None:
        assert page.position == self.replica.position
        assert page.statuses == list(self.replica.statuses)


PICKS = st.lists(st.integers(0, 30), max_size=6)
SOME = st.dictionaries(st.integers(0, SEATS - 1), st.integers(0, 3), max_size=5)
STEPS = st.one_of(
    st.tuples(st.just("happen"), SOME, st.integers(1, 3)),
    st.tuples(st.just("rebuild"), SOME, st.sampled_from([0, 0, 0, 1])),
    st.tuples(st.just("deliver"), PICKS),
    st.tuples(st.just("deliver_all")),
    st.tuples(st.just("heal"), PICKS),
    st.tuples(st.just("show"), st.integers(0, 2)),
)


def walk(steps: list[tuple[object, ...]]) -> Iterator[World]:
    world = World()
    for name, *arguments in steps:
        if name == "deliver_all":
            world.deliver(list(range(len(world.log))))
        else:
            getattr(world, str(name))(*arguments)
        yield world


@settings(max_examples=120, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_under_any_schedule_a_shown_screen_is_where_the_replica_is(steps: list[tuple[object, ...]]) -> None:
    before = NOWHERE
    for world in walk(steps):
        assert world.replica.position >= before, "the replica went back"
        assert world.replica.position <= world.truth.position, "the replica is ahead of the truth"
        assert world.replica.counts == counted(world.replica)
        before = world.replica.position


@settings(max_examples=120, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_after_any_schedule_one_healthy_read_makes_everything_true(steps: list[tuple[object, ...]]) -> None:
    world = [World(), *walk(steps)][-1]
    assert world.replica.install(world.truth, world.log)
    assert world.replica.position == world.truth.position
    assert bytes(world.replica.statuses) == world.truth.statuses
    for who, page in enumerate(world.pages):
        world.show(who)
        assert page.position == world.truth.position
        assert bytes(page.statuses) == world.truth.statuses


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(SOME, st.integers(1, 3)), min_size=1, max_size=20), st.data())
def test_frames_that_arrive_twice_or_late_do_no_harm(
    batches: list[tuple[dict[int, int], int]], data: st.DataObject
) -> None:
    world, page, sent = World(), Page(), []
    for seats, size in batches:
        world.happen(seats, size)
        world.replica.receive(world.log[-1])
        frame = world.replica.since(page.position)
        assert frame is not None
        sent.append(frame.payload)
        assert page.take(frame.payload)
        at = page.position
        again = data.draw(st.sampled_from(sent))
        page.take(again)
        assert page.position == at
        world.check(page)


def test_a_newer_plan_is_named_in_every_frame_from_then_on() -> None:
    replica = Replica()
    replica.replan(3)
    assert replica.plan_version == 0, "an empty copy has no plan"
    replica.install(Snapshot(run_id="r", position=Position(1, 5), plan_version=2, statuses=bytes(SEATS)))
    assert struct.unpack_from("<H", replica.snapshot().payload, 2) == (2,)
    replica.replan(3)
    assert struct.unpack_from("<H", replica.snapshot().payload, 2) == (3,)
    replica.replan(2)
    assert replica.plan_version == 3
