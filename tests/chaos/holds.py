"""I8: a replay of the holds. Nobody gets a seat that another has, before the expiry that its owner was told.

Redis' replies carry positions: what is at a later one of an epoch happened later. So nothing has to be searched.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct

from tests.chaos.final import Final
from tests.chaos.history import Fault, Op, Run

NEVER = 1 << 63
OWN_COMMANDS = frozenset({"hold", "release", "extend", "book"})


class Grant(Struct):
    """A visitor was told to have `seat` until at least `until`; it was decided between `asked` and `told`."""

    seat: int
    visitor: str
    epoch: int
    version: int
    asked: int
    told: int
    until: int


def respected(run: Run, final: Final) -> Iterator[str]:
    """Every violation of somebody's hold or booking by a later grant."""
    yield from in_order(run)
    losses = Spans([fault for fault in run.faults if fault.loses or fault.clock])
    ends = _ends(run)
    by_event: dict[int, list[Op]] = defaultdict(list)
    for op in run.ops:
        by_event[op.call.event].append(op)
    closed = {op.call.event: op.call.t for op in reversed(run.ops) if op.call.op == "event_cancel"}
    for event, ops in by_event.items():
        grants = [grant for op in ops for grant in _grants(op)]
        grants.sort(key=lambda grant: (grant.epoch, grant.version))
        holders: dict[int, Grant] = {}
        for grant in grants:
            before = holders.get(grant.seat)
            if before is not None and before.visitor != grant.visitor:
                end = min(
                    before.until, _next(ends, (before.visitor, event), before.asked), closed.get(event, NEVER)
                )
                if grant.told < end and not losses.excuse(before, grant):
                    yield (
                        f"event {event}, seat {grant.seat}: {before.visitor} had it at ({before.epoch},"
                        f" {before.version}) for {(before.until - grant.told) / 1e6:.0f} ms more, and"
                        f" {grant.visitor} got it at ({grant.epoch}, {grant.version})"
                    )
            holders[grant.seat] = grant
        yield from _over_bookings(ops, event, grants, closed.get(event, NEVER))
    yield from _refused_while_live(run, losses, ends, closed)


def in_order(run: Run) -> Iterator[str]:
    """What is at an earlier position must not have been asked for after what is later had been answered."""
    placed: dict[tuple[int, int], list[Op]] = defaultdict(list)
    for op in run.ops:
        if op.answer is not None and op.result == "ok" and op.answer.epoch:
            placed[op.call.event, op.answer.epoch].append(op)
    for (event, epoch), ops in placed.items():
        ops.sort(key=lambda op: op.answer.version if op.answer else 0)
        latest, version, waiting = 0, -1, 0
        for op in ops:
            assert op.answer is not None
            if op.answer.version > version:
                latest, version = max(latest, waiting), op.answer.version
            if op.returned < latest:
                at = f"event {event}, ({epoch}, {version})"
                yield f"{at}: {op.call.op} was answered before one of an earlier position was asked"
            waiting = max(waiting, op.call.t)


def _grants(op: Op) -> list[Grant]:
    answer, call = op.answer, op.call
    if (
        answer is None
        or answer.result != "ok"
        or not answer.hold_id
        or call.op not in ("hold", "extend", "mine")
    ):
        return []
    until = call.t + answer.expires_ms * 1_000_000
    return [
        Grant(seat, call.visitor, answer.epoch, answer.version, call.t, answer.t, until)
        for seat in answer.seats
    ]


def _ends(run: Run) -> dict[tuple[str, int], list[int]]:
    """When each visitor began something that may end a hold of theirs in an event."""
    ends: dict[tuple[str, int], list[int]] = defaultdict(list)
    for op in run.ops:
        if op.call.op in OWN_COMMANDS:
            ends[op.call.visitor, op.call.event].append(op.call.t)
    return ends


def _next(ends: dict[tuple[str, int], list[int]], who: tuple[str, int], after: int) -> int:
    times = ends.get(who, [])
    at = bisect_left(times, after + 1)
    return times[at] if at < len(times) else NEVER


def _refused_while_live(
    run: Run, losses: "Spans", ends: dict[tuple[str, int], list[int]], closed: dict[int, int]
) -> Iterator[str]:
    """No order is told that its hold has ended while that lives, unless its visitor or the event ended it."""
    held: dict[tuple[str, int], Op] = {}
    tried: set[str] = set()
    for op in run.ops:
        who = (op.call.visitor, op.call.event)
        if op.answer is not None and op.call.op in ("hold", "extend", "mine") and op.result == "ok":
            held[who] = op
        if op.call.op != "book" or op.call.order_id in tried:
            continue
        tried.add(op.call.order_id)
        grant = held.get(who)
        if op.answer is None or op.answer.code != "hold_expired" or grant is None or grant.answer is None:
            continue
        until = grant.call.t + grant.answer.expires_ms * 1_000_000
        alone = _next(ends, who, grant.call.t) == op.call.t and grant.returned < op.call.t
        if (
            grant.answer.hold_id == op.call.hold_id
            and alone
            and op.answer.t < min(until, closed.get(op.call.event, NEVER))
            and not losses.meet(grant.call.t, op.answer.t)
        ):
            yield (
                f"event {op.call.event}: {op.call.visitor}'s hold {op.call.hold_id} was refused as ended,"
                f" {(until - op.answer.t) / 1e6:.0f} ms before its end"
            )


def _over_bookings(ops: list[Op], event: int, grants: list[Grant], closed: int) -> Iterator[str]:
    """No grant of a seat between the acknowledgement of its booking and the first wish to cancel that."""
    wishes: dict[str, int] = {}
    booked: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
    for op in ops:
        if op.call.op == "cancel":
            wishes.setdefault(op.call.order_id, op.call.t)
    for op in ops:
        if op.call.op == "book" and op.answer and op.answer.status == "confirmed":
            end = min(wishes.get(op.call.order_id, NEVER), closed)
            for seat in op.answer.seats:
                booked[seat].append((op.answer.t, end, op.call.order_id))
    for grant in grants:
        for begin, end, order_id in booked.get(grant.seat, ()):
            if begin < grant.asked and grant.told < end:
                yield f"event {event}, seat {grant.seat}: {grant.visitor} got it while order {order_id} had it"


class Spans:
    """Faults by time, to ask whether one meets a stretch."""

    def __init__(self, faults: list[Fault]) -> None:
        self._faults = faults
        self._clock = [fault for fault in faults if fault.clock]

    def meet(self, begin: int, end: int) -> bool:
        return any(fault.begin < end and begin < fault.end for fault in self._faults)

    def excuse(self, before: Grant, after: Grant) -> bool:
        """Whether Redis need not have known of `before` any more, or may have thought that it was over."""
        if before.epoch != after.epoch and self.meet(before.asked, after.told):
            return True
        return self._meets_clock(before.asked, after.told)

    def _meets_clock(self, begin: int, end: int) -> bool:
        return any(fault.begin < end and begin < fault.end for fault in self._clock)
