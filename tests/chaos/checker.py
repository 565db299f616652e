"""Whether a run kept the promises: what clients were told against what stands in both stores.

Each check takes the run and the final state and answers sentences, one per violation. All of them are linear, or a
sort, in what was written down. `check` runs them all; docs/chaos.md says which promise each one holds.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from uuid import UUID

from tests.chaos import holds, screens
from tests.chaos.final import Final
from tests.chaos.history import Op, Run

SETTLE_NS = 10_000_000_000
LOST_NS = 2_000_000_000  # until somebody whose hold was lost is told
SILENT_NS = 14_000_000_000  # before a waiter gives up: after the end of the hold and its grace
SHOWN_MAX = 20  # violations of one kind that are told

Check = Callable[[Run, Final], Iterator[str]]


def check(run: Run, final: Final) -> dict[str, list[str]]:
    """Violations by invariant; an empty list for each that holds."""
    return {name: list(invariant(run, final)) for name, invariant in INVARIANTS.items()}


def books(run: Run) -> dict[str, list[Op]]:
    """The tries of each order, in the order in which they were begun."""
    found: dict[str, list[Op]] = defaultdict(list)
    for op in run.ops:
        if op.call.op == "book":
            found[op.call.order_id].append(op)
    return found


def first_body(tries: list[Op]) -> list[Op]:
    """The tries that ask for the same as the first: the others reuse its id on purpose."""
    return [op for op in tries if op.call.seats == tries[0].call.seats]


def acknowledged(run: Run) -> Iterator[Op]:
    """The first answer of each order that says that it is booked."""
    for tries in books(run).values():
        ok = [op for op in first_body(tries) if op.result == "ok"]
        if ok:
            yield min(ok, key=lambda op: op.returned)


def never_lost(run: Run, final: Final) -> Iterator[str]:
    """I1: whatever was acknowledged is committed, with exactly its seats."""
    for op in acknowledged(run):
        verdict = final.verdicts.get(op.call.order_id)
        stands = verdict.outcome if verdict else "nothing"
        if stands != "committed":
            yield f"order {op.call.order_id} was acknowledged; Postgres has {stands}"


def one_verdict(run: Run, final: Final) -> Iterator[str]:
    """I2: nobody was refused what is committed, and whoever asked again was told the same."""
    for order_id, tries in books(run).items():
        verdict = final.verdicts.get(order_id)
        for op in tries:
            if op.result != "refused" or op.answer is None:
                continue
            code = op.answer.code
            if code == "order_reused":
                if op.call.seats == tries[0].call.seats:
                    yield f"order {order_id} was refused as reused, with the seats that it always had"
            elif verdict is None or verdict.outcome == "committed":
                yield f"order {order_id} was refused ({code}); Postgres has {verdict}"
            elif code != (verdict.reason or "order_aborted"):
                yield f"order {order_id} was refused with {code}; the verdict is {verdict.reason or 'order_aborted'}"
        if any(op.result == "ok" and op.call.seats != tries[0].call.seats for op in tries):
            yield f"order {order_id} was acknowledged with seats that are not its own"


def cancelled_as_asked(run: Run, final: Final) -> Iterator[str]:
    """I3: what was told to be cancelled is, and nothing else is cancelled than what somebody ended."""
    asked = {op.call.order_id for op in run.ops if op.call.op == "cancel"}
    ended = {op.call.event for op in run.ops if op.call.op == "event_cancel"}
    for op in run.ops:
        verdict = final.verdicts.get(op.call.order_id)
        if (
            op.call.op == "cancel"
            and op.result == "ok"
            and (verdict is None or verdict.status != "cancelled")
        ):
            yield f"order {op.call.order_id} was told to be cancelled; Postgres has {verdict}"
    paid = {final.verdicts[payment.order_id].event for payment in final.payments}
    for order_id, verdict in final.verdicts.items():
        if verdict.status != "cancelled":
            continue
        why = verdict.cancel_reason
        fair = (
            (why == "buyer" and order_id in asked)
            or (why == "event" and verdict.event in ended)
            or (why in ("expired", "failed") and verdict.event in paid)
        )
        if not fair:
            yield f"order {order_id} is cancelled ({why}) and nobody asked for that"


def never_twice(run: Run, final: Final) -> Iterator[str]:
    """I4: no seat has two active bookings in the end."""
    for event, claims in final.claims.items():
        active: dict[int, UUID] = {}
        for claim in claims:
            if claim.status in ("pending", "confirmed"):
                other = active.setdefault(claim.seat, claim.order_id)
                if other != claim.order_id:
                    yield f"event {event}: seat {claim.seat} is booked by {other} and {claim.order_id}"


def never_twice_ever(run: Run, final: Final) -> Iterator[str]:
    """I5: in the order of commits, no two bookings of a seat ever overlapped."""
    for event, claims in final.claims.items():
        ordered = sorted(claims, key=lambda claim: (claim.seat, claim.seq_on))
        for one, other in pairwise(ordered):
            if one.seat == other.seat and (one.seq_off is None or other.seq_on < one.seq_off):
                yield f"event {event}: seat {one.seat} was {one.order_id}'s and {other.order_id}'s at once"


def whole_orders(run: Run, final: Final) -> Iterator[str]:
    """I6: an order has all the seats that were asked for, in one state, or none."""
    have: dict[str, set[int]] = defaultdict(set)
    states: dict[str, set[str]] = defaultdict(set)
    for claims in final.claims.values():
        for claim in claims:
            have[str(claim.order_id)].add(claim.seat)
            states[str(claim.order_id)].add(claim.status)
    asked = {order_id: set(tries[0].call.seats) for order_id, tries in books(run).items()}
    for order_id, verdict in final.verdicts.items():
        seats = have.pop(order_id, set())
        if verdict.outcome != "committed":
            if seats:
                yield f"order {order_id} is {verdict.outcome} and has the seats {sorted(seats)}"
        elif order_id in asked and seats != asked[order_id]:
            yield f"order {order_id} was for {sorted(asked[order_id])} and has {sorted(seats)}"
        elif states[order_id] != {verdict.status}:
            yield f"order {order_id} is {verdict.status}, its bookings {sorted(states[order_id])}"
    for order_id in have:
        yield f"order {order_id} has bookings and no verdict"


def stores_agree(run: Run, final: Final) -> Iterator[str]:
    """I7: at rest Redis says of every seat what Postgres says, and has nothing left over."""
    yield from final.differences


def redis_never_freer(run: Run, final: Final) -> Iterator[str]:
    """I9: what Redis let begin, Postgres never found taken: then Redis would have been freer."""
    for order_id, verdict in final.verdicts.items():
        late = verdict.visitor.startswith("late-")  # whose refusal may be Redis' own
        if verdict.outcome == "refused" and verdict.reason == "seat_taken" and not late:
            yield f"event {verdict.event}: order {order_id} had begun in Redis, and Postgres found a seat taken"


def money(run: Run, final: Final) -> Iterator[str]:
    """I11: what was captured is what the buyer's seats cost and what went back; nothing goes back twice."""
    for payment in final.payments:
        captured = payment.amount if payment.status in ("captured", "refund_due", "refunded") else 0
        if captured != payment.owned + payment.refunds:
            yield f"payment {payment.id}: captured {captured}, seats {payment.owned}, refunds {payment.refunds}"
        if payment.card_paid and not captured:
            yield f"payment {payment.id}: the card has {payment.amount}, and we know nothing of it"
        if not payment.refunds_done == payment.card_refunds == payment.refunds:
            yield (
                f"payment {payment.id}: refunds owed {payment.refunds}, told done {payment.refunds_done},"
                f" paid back by the card {payment.card_refunds}"
            )


def closed_is_closed(run: Run, final: Final) -> Iterator[str]:
    """P7: after an admin was told that an event is cancelled, no booking of it is made, and none is left."""
    closed: dict[int, int] = {}
    for op in run.ops:
        if op.call.op == "event_cancel" and op.result == "ok":
            closed.setdefault(op.call.event, op.returned)
    for tries in books(run).values():
        end = closed.get(tries[0].call.event)
        if end is not None and tries[0].call.t > end and any(op.result == "ok" for op in tries):
            yield f"order {tries[0].call.order_id} was booked after event {tries[0].call.event} was cancelled"
    for event in closed:
        left = [claim for claim in final.claims.get(event, []) if claim.status in ("pending", "confirmed")]
        if left or event not in final.cancelled:
            yield f"event {event} was cancelled and has {len(left)} active bookings"


def told_of_its_end(run: Run, final: Final) -> Iterator[str]:
    """I8: whoever keeps a page open is told when their hold has ended: at its end, or 2 s after Redis lost it."""
    stretches = quiet(run)
    losses = [fault.end for fault in run.faults if fault.loses or fault.clock]
    for op in run.ops:
        if op.call.op != "wait" or op.answer is None or op.result != "refused":
            continue
        lost = max((end for end in losses if end < op.answer.t), default=op.call.t)
        since = max(lost, op.call.t) if op.answer.code == "lost" else op.answer.t - SILENT_NS
        still = max((min(b, op.answer.t) - max(a, since) for a, b in stretches), default=0)
        if op.answer.code == "lost" and still > LOST_NS * run.patience:
            yield f"{op.call.visitor} was told only after {still / 1e9:.1f} quiet s that a hold was lost"
        if op.answer.code == "silent" and still > LOST_NS * run.patience:
            yield f"{op.call.visitor} was never told that hold {op.call.hold_id} of event {op.call.event} had ended"


def alive(run: Run, final: Final) -> Iterator[str]:
    """I12: once all is mended, people can hold, book, pay and give back."""
    healed = run.phases.get("healed")
    if healed is None:
        return
    done = {op.call.op for op in run.ops if op.call.t > healed and op.result == "ok"}
    for op in ("hold", "book", "cancel", "release"):
        if op not in done:
            yield f"no {op} was carried out after the last fault"


def quiet(run: Run) -> list[tuple[int, int]]:
    """The stretches between begin and end of the faults' phase, and after it, in which nothing was broken."""
    begin = run.phases.get("prologue", 0)
    end = run.phases.get("rest", 1 << 63)
    stretches, at = [], begin
    for fault in run.faults:
        if fault.begin > at:
            stretches.append((at, fault.begin))
        at = max(at, fault.end)
    if end > at:
        stretches.append((at, end))
    return stretches


def settled_in_time(run: Run, final: Final) -> Iterator[str]:
    """I12: an unknown outcome is known 10 s after healing: no order stayed unknown in a quiet time that long."""
    within_ns = SETTLE_NS * run.patience
    left = {line.order_id for line in run.left}
    stretches = [(a, b) for a, b in quiet(run) if b - a > within_ns]
    for order_id, tries in books(run).items():
        known = min((op.returned for op in tries if op.result != "unknown"), default=1 << 63)
        unknown = min((op.call.t for op in tries if op.result == "unknown"), default=known)
        if order_id in left or unknown >= known:
            continue
        longest = max((min(known, b) - max(unknown, a) for a, b in stretches), default=0)
        if longest > within_ns:
            yield f"order {order_id} stayed unknown for {longest / 1e9:.1f} s while nothing was broken"


INVARIANTS: dict[str, Check] = {
    "I1 never lost": never_lost,
    "I2 one verdict": one_verdict,
    "I3 cancelled as asked": cancelled_as_asked,
    "I4 never twice": never_twice,
    "I5 never twice, ever": never_twice_ever,
    "I6 whole orders": whole_orders,
    "I7 stores agree": stores_agree,
    "I8 holds": holds.respected,
    "I8 told of its end": told_of_its_end,
    "I9 Redis never freer": redis_never_freer,
    "I10 screens": screens.converge,
    "I11 money": money,
    "I12 settled in time": settled_in_time,
    "I12 alive in the end": alive,
    "P7 closed is closed": closed_is_closed,
}
