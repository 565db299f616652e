"""The pulse of one event in one process: what happens, how often, how fast. No I/O; the clock is given.

What the changes say is the event's, and every process counts the same. What commands were answered, and how
fast, each process knows of its own: `told` is what it tells the others.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from msgspec import Struct, field

from seatmap.errors import SeatmapError
from seatmap.model import Change, Status

HISTORY_SECONDS = 300  # of rates and of the funnel
RATE_SECONDS = 5  # a rate is the mean of so many whole seconds
LATENCY_SECONDS = 10
BOOKED_REASONS = ("confirmed", "paid")  # as the scripts say why something is a visitor's no more

_FASTEST_MS = 0.1  # the histogram's first bucket ends here; each ends 15 % later than the one before
_GROWTH = math.log(1.15)
_BUCKETS = 90  # the last one ends at 25 s


class Second(Struct):
    """What happened in one second: seats in `holds` and `books`, baskets in the others."""

    at: int = -1
    holds: int = 0
    books: int = 0
    held: int = 0
    checkout: int = 0
    booked: int = 0
    expired: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    waits: Counter[int] = field(default_factory=Counter)  # histogram bucket → commands


class Told(Struct, frozen=True, array_like=True):
    """What one process tells of itself. `beat` differs each time, so that the dead are known by their silence."""

    pid: int
    beat: int
    viewers: int
    refused: dict[str, int]  # code → commands in the last RATE_SECONDS
    waits: dict[int, int]  # histogram bucket → commands in the last LATENCY_SECONDS


class Pulse:
    """Counts for one event."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._statuses = bytearray()
        self._since: dict[int, float] = {}  # held seat → when it became so, as far as this process saw it
        self._holds: dict[str, str] = {}  # visitor → hold
        self._orders: dict[str, str] = {}  # visitor → order being decided
        self._ring = [Second() for _ in range(HISTORY_SECONDS + 2)]

    # ---- what happens ----

    def follow(self, statuses: bytes | bytearray) -> None:
        """The map is known anew; what was missed counts for no rate."""
        if statuses == self._statuses:
            return
        now = self._clock()
        self._statuses = bytearray(statuses)
        self._since = {seat: self._since.get(seat, now) for seat in _seats(self._statuses, Status.held)}
        self._holds.clear()
        self._orders.clear()

    def changed(self, change: Change) -> None:
        """A change, after those before it."""
        now = self._clock()
        second = self._second(now)
        statuses = self._statuses
        for seat, status in change.seats.items():
            if status == statuses[seat]:
                continue
            statuses[seat] = status
            if status == Status.held:
                self._since[seat] = now
                second.holds += 1
            else:
                self._since.pop(seat, None)
                if status == Status.booked:
                    second.books += 1
        for visitor, reason, mine in change.touched:
            second.held += _begun(self._holds, visitor, mine.hold_id)
            second.checkout += _begun(self._orders, visitor, mine.order_id)
            second.booked += reason in BOOKED_REASONS
            second.expired += reason == "expired"

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Counts the command that the block carries out."""
        began, code = self._clock(), ""
        try:
            yield
        except SeatmapError as error:
            code = error.code
            raise
        finally:
            self.executed((self._clock() - began) * 1000, code)

    def executed(self, ms: float, code: str = "") -> None:
        """A command was answered after `ms`; refused with `code`, unless that is empty."""
        second = self._second(self._clock())
        second.waits[bucket(ms)] += 1
        if code:
            second.refused[code] += 1

    def _second(self, now: float) -> Second:
        at = int(now)
        place = at % len(self._ring)
        second = self._ring[place]
        if second.at != at:
            second = self._ring[place] = Second(at)
        return second

    # ---- what is to be told ----

    def told(self, pid: int, viewers: int) -> Told:
        """What this process knows alone."""
        now = int(self._clock())
        refused: Counter[str] = Counter()
        waits: Counter[int] = Counter()
        for second in self._last(RATE_SECONDS, now):
            refused += second.refused
        for second in self._last(LATENCY_SECONDS, now):
            waits += second.waits
        return Told(pid, now, viewers, dict(refused), dict(waits))

    def rates(self) -> tuple[float, float]:
        """(seats held, seats booked) a second."""
        seconds = list(self._last(RATE_SECONDS, int(self._clock())))
        return _mean(second.holds for second in seconds), _mean(second.books for second in seconds)

    def history(self) -> tuple[list[float], list[float]]:
        """The rates of each of the last HISTORY_SECONDS, the oldest first."""
        now = int(self._clock())
        found = {second.at: second for second in self._last(HISTORY_SECONDS, now)}
        never = Second()
        seconds = [found.get(now - ago, never) for ago in range(HISTORY_SECONDS, 0, -1)]
        windows = [seconds[max(0, end - RATE_SECONDS) : end] for end in range(1, HISTORY_SECONDS + 1)]
        return [_mean(s.holds for s in w) for w in windows], [_mean(s.books for s in w) for w in windows]

    def funnel(self) -> dict[str, int]:
        """How many baskets of the last HISTORY_SECONDS came how far."""
        seconds = [*self._last(HISTORY_SECONDS, int(self._clock())), self._second(self._clock())]
        return {
            stage: sum(getattr(second, stage) for second in seconds)
            for stage in ("held", "checkout", "booked", "expired")
        }

    def ages(self) -> dict[int, int]:
        """Held seat → seconds since it became so, or since this process first saw the map."""
        now = self._clock()
        return {seat: int(now - since) for seat, since in self._since.items()}

    def _last(self, count: int, now: int) -> Iterator[Second]:
        """Those of the last whole seconds in which anything happened."""
        for ago in range(1, count + 1):
            second = self._ring[(now - ago) % len(self._ring)]
            if second.at == now - ago:
                yield second


def bucket(ms: float) -> int:
    """The histogram's bucket of a wait."""
    if ms <= _FASTEST_MS:
        return 0
    return min(_BUCKETS - 1, math.ceil(math.log(ms / _FASTEST_MS) / _GROWTH))


def p99(waits: Iterable[dict[int, int]]) -> float:
    """What 99 of 100 waits stay below, in ms, to 15 %; 0 where there are none."""
    total: Counter[int] = Counter()
    for each in waits:
        total.update(each)
    left = sum(total.values()) * 0.99
    for place in sorted(total):
        left -= total[place]
        if left <= 0:
            return _FASTEST_MS * math.exp(_GROWTH * place)
    return 0.0


def _begun(known: dict[str, str], visitor: str, name: str) -> bool:
    """Whether a visitor has something new; remembers what they have."""
    if not name:
        known.pop(visitor, None)
        return False
    begun = known.get(visitor) != name
    known[visitor] = name
    return begun


def _mean(counts: Iterable[int]) -> float:
    return sum(counts) / RATE_SECONDS


def _seats(statuses: bytearray, status: int) -> Iterator[int]:
    at = statuses.find(status)
    while at >= 0:
        yield at
        at = statuses.find(status, at + 1)
