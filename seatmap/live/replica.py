"""One process's copy of an event's statuses, and what any position misses of it. No I/O, no clock.

The shape of everything a screen sees is "the seats changed since position p": since nowhere it is the
snapshot, since v a live update, a catch-up or one merged frame for a slow screen. Frames are built once
per (since, head) for the whole crowd.
"""

from collections import deque
from collections.abc import Collection, Iterable
from enum import Enum, auto
from typing import NamedTuple

from seatmap.model import NOWHERE, Change, Position, Snapshot, Status
from seatmap.protocol import change_frame, rebase_frame, snapshot_frame, websocket_binary

RING_CHANGES_MAX = 4096  # as many as the log in Redis keeps
WHOLE_CHANGES_MAX = 256  # that a whole map may be behind the head; what is missing follows it
FRAMES_MAX = 256  # kept for one head: pages choose the positions that they ask from


class Frame(NamedTuple):
    """A binary message: its payload, and the same with its websocket header, to write to any transport."""

    payload: bytes
    wire: bytes


def frame(payload: bytes) -> Frame:
    """A payload with its header made once."""
    return Frame(payload, websocket_binary(payload))


class Outcome(Enum):
    """What became of a received change."""

    applied = auto()
    ignored = auto()  # a duplicate, or older than this copy
    gap = auto()  # something before it is missing


class Replica:
    """The copy. Before the first `install` it is empty, at NOWHERE."""

    def __init__(self) -> None:
        self.position: Position = NOWHERE
        self.plan_version = 0
        self.statuses = bytearray()
        self.counts = [0] * len(Status)
        self._ring: deque[Change] = deque(maxlen=RING_CHANGES_MAX)
        self._frames: dict[Position, Frame] = {}
        self._whole: tuple[Position, Frame] | None = None
        self._rebase: tuple[Position, Frame] | None = None

    def install(self, snapshot: Snapshot, buffered: Iterable[Change] = ()) -> bool:
        """Take a whole map and the changes that arrived while it was read. False: they leave a hole; read again."""
        later = sorted((c for c in buffered if _after(c, snapshot.position)), key=lambda c: c.to)
        reached = snapshot.position
        for change in later:
            if change.epoch != reached.epoch or change.since > reached.version:
                return False
            reached = Position(reached.epoch, change.to)
        if snapshot.position < self.position:
            return False  # it was read before what this copy has already seen
        before, old = self.position, self.statuses
        self.position = snapshot.position
        same_plan = self.plan_version == snapshot.plan_version and len(old) == len(snapshot.statuses)
        self.plan_version = snapshot.plan_version
        self.statuses = bytearray(snapshot.statuses)
        self.counts = [self.statuses.count(status) for status in Status]
        self._ring.clear()
        self._frames.clear()
        self._whole = self._rebase = None
        for change in later:
            self.receive(change)
        if before != NOWHERE and same_plan and before != self.position:
            rebase = self._rebase_frame(before, old)
            self._rebase = None if rebase is None else (before, rebase)
        return True

    def _rebase_frame(self, before: Position, old: bytearray) -> Frame | None:
        differ = {i: new for i, new in enumerate(self.statuses) if old[i] != new}
        if self._too_many(differ):
            return None
        return frame(rebase_frame(before, self.position, self.plan_version, differ))

    def _too_many(self, seats: Collection[int]) -> bool:
        return len(seats) * 16 > len(self.statuses)  # 4 bytes a seat against a quarter

    def replan(self, plan_version: int) -> None:
        """From now on frames name this version of the plan, if it is newer; the seats are the same."""
        if 0 < self.plan_version < plan_version:
            self.plan_version = plan_version
            self._frames.clear()
            self._whole = self._rebase = None

    def receive(self, change: Change) -> Outcome:
        """Apply the next change, if it is the next."""
        if change.epoch != self.position.epoch:
            return Outcome.gap if change.epoch > self.position.epoch else Outcome.ignored
        if change.to <= self.position.version:
            return Outcome.ignored
        if change.since > self.position.version:
            return Outcome.gap
        statuses, counts = self.statuses, self.counts
        for seat, status in change.seats.items():
            counts[statuses[seat]] -= 1
            counts[status] += 1
            statuses[seat] = status
        self.position = Position(change.epoch, change.to)
        self._ring.append(change)
        self._frames.clear()
        self._rebase = None
        return Outcome.applied

    def since(self, position: Position) -> Frame | None:
        """What a screen at `position` misses, as one frame; None when it misses nothing."""
        if position == self.position:
            return None
        if self._rebase is not None and self._rebase[0] == position:
            return self._rebase[1]
        if not self._covers(position):
            return self.snapshot()
        found = self._frames.get(position)
        if found is None:
            found = self._build(position)
            if len(self._frames) >= FRAMES_MAX:
                self._frames.clear()
            self._frames[position] = found
        return found

    def snapshot(self) -> Frame:
        """The whole map as a frame, built once per position."""
        if self._whole is None or self._whole[0] != self.position:
            built = frame(snapshot_frame(self.position, self.plan_version, self.statuses))
            self._whole = (self.position, built)
        return self._whole[1]

    def whole(self, position: Position) -> tuple[Position, Frame] | None:
        """The whole map as it was not long ago, where a screen at `position` needs it; `since` knows the rest.

        In a stampede, while people buy, a map of a hundred thousand seats would else be built for each few screens.
        """
        if self._knows(position):
            return None
        if self._whole is not None:
            then = self._whole[0]
            if self._knows(then) and self.position.version - then.version <= WHOLE_CHANGES_MAX:
                return self._whole
        self.snapshot()
        return self._whole

    def _knows(self, position: Position) -> bool:
        """Whether what a screen at `position` misses is less than everything."""
        rebased = self._rebase is not None and self._rebase[0] == position
        return position == self.position or rebased or self._covers(position)

    def _covers(self, position: Position) -> bool:
        """Whether the ring has everything after `position`."""
        return (
            position.epoch == self.position.epoch
            and position.version < self.position.version
            and bool(self._ring)
            and self._ring[0].since <= position.version
        )

    def _build(self, position: Position) -> Frame:
        missed: list[Change] = []
        for change in reversed(self._ring):
            if change.to <= position.version:
                break
            missed.append(change)
        seats: dict[int, int] = {}
        for change in reversed(missed):
            seats.update(change.seats)
        if self._too_many(seats):
            return self.snapshot()
        epoch, version = self.position
        return frame(change_frame(epoch, position.version, version, self.plan_version, seats))


def _after(change: Change, position: Position) -> bool:
    return Position(change.epoch, change.to) > position
