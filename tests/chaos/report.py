"""What a run says of itself: how much was done, what was broken, what came of it."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Any

from msgspec import Struct

from tests.chaos import checker
from tests.chaos.checker import SHOWN_MAX, acknowledged, books
from tests.chaos.director import Outcome, Wanted
from tests.chaos.history import Fault, Op, Run

LONG_MINUTES = 20.0
# What a long run has to come to, or it looked at less than it should.
EXPECTED = (
    "unknown, then booked",
    "unknown, then refused",
    "one order at both webs",
    "tombstones",
    "a begin from before a rebuild, barred",
    "crashed clients whose order stands",
    "crashed clients whose order does not",
    "told: lost",
    "waiters told: lost",
    "waiters told: expired",
    "told: expired",
    "told: paid",
    "told: payment_failed",
    "answered: order_reused",
    "answered: recovering",
    "answered: in_checkout",
    "answered: hold_expired",
    "seats sold again",
    "late payments seated again",
    "payments refunded",
    "frames that say the map is old",
    "rebased screens",
    "events cancelled",
)
# Seconds from the end of a fault, if no other is at work, to the next booking.
RECOVERY_SECONDS = {"web kill": 1.0, "redis wipe": 3.0, "postgres restart": 3.0, "postgres kill": 3.0}
RECOVERY_SECONDS_OTHERWISE = 5.0


class Report(Struct):
    """Sentences for people, and whether all is well. `last` sums up."""

    lines: list[str]
    last: str
    good: bool
    bookings: int
    faults: int


def report(run: Run, outcome: Outcome, wanted: Wanted, *, faults_min: int, bookings_min: int) -> Report:
    """Check a run and describe it."""
    seed, minutes, patience = wanted.seed, wanted.minutes, wanted.patience
    violations = checker.check(run, outcome.final)
    booked = list(acknowledged(run))
    faults = sum(outcome.faults.values())
    lines = [
        *_done(run, outcome, booked),
        *_faults(outcome),
        *_unknown(run, outcome),
        *_recovery(run, booked),
    ]
    lines += ["", "Logged as errors by webs and workers:"]
    lines += [f"  {count:6,} {text}" for text, count in Counter(outcome.errors).most_common(12)]
    lines += ["", "Seen along the way:", *_columns(sometimes(run, outcome)), "", "Invariants:"]
    for name, found in violations.items():
        lines.append(f"  {name:24} {'holds' if not found else f'{len(found)} VIOLATIONS'}")
        lines += [f"    {sentence}" for sentence in found[:SHOWN_MAX]]
    wrong = sum(map(len, violations.values()))
    trouble = [*outcome.trouble, *_slow(run, booked, patience)]
    if minutes >= LONG_MINUTES:
        seen = sometimes(run, outcome)
        trouble += [f"never seen: {state}" for state in EXPECTED if not seen[state]]
    if outcome.repaired_in_prologue:
        trouble.append(f"the reconciler repaired {outcome.repaired_in_prologue} seats before any fault")
    if outcome.errors_in_prologue:
        trouble.append(f"errors were logged before any fault: {outcome.errors_in_prologue}")
    if faults < faults_min:
        trouble.append(f"only {faults} faults, at least {faults_min} are wanted: such a run proves little")
    if len(booked) < bookings_min:
        trouble.append(f"only {len(booked)} bookings acknowledged, at least {bookings_min} are wanted")
    lines += ["", *(f"TROUBLE: {sentence}" for sentence in trouble)]
    good = not wrong and not trouble
    last = (
        f"{'PASSED' if good else 'FAILED'}: {len(run.ops):,} operations, {faults:,} faults of"
        f" {len(outcome.faults)} kinds, {len(booked):,} bookings acknowledged, {wrong} violations,"
        f" {len(trouble)} troubles, seed {seed}."
    )
    return Report(lines, last, good, len(booked), faults)


def _done(run: Run, outcome: Outcome, booked: list[Op]) -> list[str]:
    ops = Counter(f"{op.call.op} {op.result}" for op in run.ops)
    seconds = max(outcome.buying_seconds, 0.001)
    return [
        f"{len(run.ops):,} operations, {len(run.frames):,} frames, {outcome.counts.get('events', 0)} events;"
        f" {seconds:.0f} s of faults, {len(booked) / seconds:.0f} bookings a second",
        *_columns(ops),
    ]


def _faults(outcome: Outcome) -> list[str]:
    total = sum(outcome.faults.values())
    return ["", f"{total} faults of {len(outcome.faults)} kinds:", *_columns(outcome.faults)]


def _unknown(run: Run, outcome: Outcome) -> list[str]:
    left = {line.order_id for line in run.left}
    committed = {
        order_id for order_id, verdict in outcome.final.verdicts.items() if verdict.outcome == "committed"
    }
    unknown, known = [], 0
    for order_id, tries in books(run).items():
        if all(op.result == "unknown" for op in tries) or tries[0].result == "unknown":
            unknown.append(order_id)
            known += any(op.result != "unknown" for op in tries)
    true = len(committed.intersection(unknown))
    calms = ", ".join(f"{seconds:.1f}" for seconds in outcome.calms)
    return [
        "",
        f"{len(unknown)} orders had an unknown outcome at first; {true} of them are committed, {known} were asked for"
        f" until that was known, {len(left)} belonged to clients that crashed.",
        f"Quiet times until all was known and people bought again, in s: {calms}",
    ]


def _recoveries(run: Run, booked: list[Op]) -> Iterator[tuple[Fault, float]]:
    """Seconds from the end of each fault to the first booking asked for after it, where nothing else was wrong."""
    ordered = sorted(booked, key=lambda op: op.call.t)
    at = 0
    for fault in sorted(run.faults, key=lambda fault: fault.end):
        while at < len(ordered) and ordered[at].call.t < fault.end:
            at += 1
        back = min((op.returned for op in ordered[at : at + 50]), default=0)
        if back and not any(other.begin < back and fault.end < other.end for other in run.faults):
            yield fault, (back - fault.end) / 1e9


def _recovery(run: Run, booked: list[Op]) -> list[str]:
    times: dict[str, list[float]] = {}
    for fault, seconds in _recoveries(run, booked):
        times.setdefault(fault.kind, []).append(seconds)
    every = sorted(seconds for found in times.values() for seconds in found)
    if not every:
        return []
    lines = ["", "From the end of a fault, alone, to the next booking, in s (median, the slowest, how many):"]
    width = max(len(kind) for kind in times)
    for kind, found in sorted(times.items()):
        lines.append(f"  {kind:{width}} {median(found):6.2f} {max(found):6.2f} {len(found):5}")
    lines.append(
        f"  {'all':{width}} {median(every):6.2f} {every[-1]:6.2f}, p99 {every[len(every) * 99 // 100]:.2f}"
    )
    return lines


def _slow(run: Run, booked: list[Op], patience: float) -> Iterator[str]:
    for fault, seconds in _recoveries(run, booked):
        most = RECOVERY_SECONDS.get(fault.kind, RECOVERY_SECONDS_OTHERWISE) * patience
        if seconds > most:
            yield f"after {fault.kind} ({fault.target}) nobody could book for {seconds:.1f} s; {most:g} s are allowed"


def sometimes(run: Run, outcome: Outcome) -> Counter[str]:
    """States that a run should come to, and how often this one did."""
    seen: Counter[str] = Counter()
    final = outcome.final
    for order_id, tries in books(run).items():
        words = [op.result for op in tries]
        if "unknown" in words and "ok" in words:
            seen["unknown, then booked"] += 1
        if "unknown" in words and "refused" in words:
            seen["unknown, then refused"] += 1
        if len({op.call.web for op in tries}) > 1:
            seen["one order at both webs"] += 1
        verdict = final.verdicts.get(order_id)
        if verdict is not None and verdict.outcome == "aborted":
            seen["tombstones"] += 1
        if verdict is not None and verdict.reason == "wrong_epoch":
            seen["a begin from before a rebuild, barred"] += 1
    left = {line.order_id for line in run.left}
    committed = {one for one in left if one in final.verdicts and final.verdicts[one].outcome == "committed"}
    seen["crashed clients whose order stands"] = len(committed)
    seen["crashed clients whose order does not"] = len(left - committed)
    for told in run.told:
        seen[f"told: {told.reason}"] += 1
    for op in run.ops:
        if op.call.op == "wait" and op.result == "refused" and op.answer is not None:
            seen[f"waiters told: {op.answer.code}"] += 1
        if op.answer is not None and op.answer.code in (
            "order_reused",
            "recovering",
            "in_checkout",
            "hold_expired",
        ):
            seen[f"answered: {op.answer.code}"] += 1
    seen["seats sold again"] = sum(
        a.seat == b.seat for claims in final.claims.values() for a, b in pairwise(claims)
    )
    seen["epochs"] = sum(epoch for epoch, _ in final.positions.values())
    for payment in final.payments:
        seen[f"payments {payment.status}"] += 1
    seen["late payments seated again"] = sum(v.visitor.startswith("late-") for v in final.verdicts.values())
    for frame in run.frames:
        seen["frames that say the map is old"] += frame.stale
        seen["rebased screens"] += frame.kind == 4
    seen["events cancelled"] = len(final.cancelled)
    return seen


def _columns(counts: Any) -> list[str]:
    """Counts by name, three to a line."""
    cells = [f"{name} {count:,}" for name, count in sorted(counts.items())]
    width = max((len(cell) for cell in cells), default=0) + 2
    return [
        "  " + "".join(f"{cell:{width}}" for cell in cells[i : i + 3]).rstrip()
        for i in range(0, len(cells), 3)
    ]
