"""The checker finds each kind of lie, and none in an honest history."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from seatmap.ledger.audit import Claim
from tests.chaos.checker import INVARIANTS, check
from tests.chaos.final import Final, Payment, Verdict
from tests.chaos.history import (
    Answer,
    Call,
    Fault,
    Frame,
    History,
    LastMap,
    Left,
    Line,
    Phase,
    Run,
    gather,
    read,
)

ANN, BOB, PAID = (str(UUID(int=n)) for n in (1, 2, 3))
EVENT, PAID_EVENT = 7, 8
MS = 1_000_000
HOLD_MS = 6000


class Story:
    """An honest run of two visitors, to be spoilt. Times are ms; positions come with each answer."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.final = Final()
        self._n = 0

    def add(self, line: Line) -> None:
        self.lines.append(line)

    def ask(
        self, at: int, op: str, visitor: str = "ann", *, took: int = 5, event: int = EVENT, **fields: object
    ) -> int:
        """A call, and its answer from `result`, `code`, `version`, … after `took` ms; the number of the call."""
        self._n += 1
        told = {name: value for name, value in fields.items() if name in Answer.__struct_fields__}
        asked = {name: value for name, value in fields.items() if name in Call.__struct_fields__}
        self.add(Call(self._n, at * MS, op, visitor, event, 0, "ws", **asked))  # type: ignore[arg-type]
        if told.get("result") != "none":
            self.add(Answer(self._n, (at + took) * MS, **{"result": "ok", **told}))  # type: ignore[arg-type]
        return self._n

    def hold(self, at: int, visitor: str, version: int, *seats: int, epoch: int = 1) -> None:
        self.ask(
            at,
            "hold",
            visitor,
            epoch=epoch,
            version=version,
            hold_id=f"{epoch}-{version}",
            seats=seats,
            expires_ms=HOLD_MS,
        )

    def book(self, at: int, visitor: str, order_id: str, *seats: int, **fields: object) -> None:
        told = {"status": "confirmed", **fields}
        self.ask(at, "book", visitor, order_id=order_id, seats=seats, **told)

    def run(self) -> Run:
        return gather(self.lines)

    def broken(self) -> set[str]:
        """The invariants that do not hold."""
        return {name.split()[0] for name, found in check(self.run(), self.final).items() if found}


@pytest.fixture
def story() -> Story:
    """Ann books 1 and 2 and cancels them; Bob then books 2; somebody pays for a seat of another event."""
    told = Story()
    told.add(Phase(0, "prologue"))
    told.hold(100, "ann", 1, 1, 2)
    told.book(200, "ann", ANN, 1, 2)
    told.ask(300, "cancel", order_id=ANN, status="cancelled")
    told.hold(400, "bob", 6, 2)
    told.book(500, "bob", BOB, 2)
    told.ask(550, "book", "cyd", event=PAID_EVENT, order_id=PAID, seats=(4,), status="pending")
    told.ask(560, "pay", "cyd", event=PAID_EVENT, order_id=PAID)
    told.add(Frame(600 * MS, "v0", 1, EVENT, 1, 1, 3, 77))
    told.add(Frame(650 * MS, "v0", 1, EVENT, 2, 1, 9, 78))
    told.add(LastMap("v0", EVENT, 1, 9, "0020"))
    told.add(Phase(20_000 * MS, "rest"))
    told.final = Final(
        verdicts={
            ANN: Verdict(EVENT, "ann", "committed", "", "cancelled", "buyer"),
            BOB: Verdict(EVENT, "bob", "committed", "", "confirmed"),
            PAID: Verdict(PAID_EVENT, "cyd", "committed", "", "confirmed"),
        },
        claims={
            EVENT: [
                Claim(UUID(ANN), 1, "cancelled", 1, 2),
                Claim(UUID(ANN), 2, "cancelled", 1, 2),
                Claim(UUID(BOB), 2, "confirmed", 3, None),
            ],
            PAID_EVENT: [Claim(UUID(PAID), 4, "confirmed", 1, None)],
        },
        payments=[a_payment()],
        maps={EVENT: "0020"},
        positions={EVENT: (1, 9)},
    )
    return told


def a_payment(**changes: object) -> Payment:
    fields: dict[str, object] = {
        "id": 1,
        "order_id": PAID,
        "status": "captured",
        "amount": 1500,
        "card_paid": True,
        "owned": 1500,
        "refunds": 0,
        "refunds_done": 0,
        "card_refunds": 0,
    }
    return Payment(**fields | changes)  # type: ignore[arg-type]


def verdict(story: Story, order_id: str, **changes: object) -> None:
    story.final.verdicts[order_id] = msgspec.structs.replace(story.final.verdicts[order_id], **changes)


def test_an_honest_history_has_no_violation(story: Story) -> None:
    assert check(story.run(), story.final) == {name: [] for name in INVARIANTS}


# ---- what may be spoilt, and what then does not hold ----


def lost(story: Story) -> None:
    del story.final.verdicts[BOB]
    story.final.claims[EVENT].pop()


def aborted_though_told(story: Story) -> None:
    verdict(story, BOB, outcome="aborted", status="")
    story.final.claims[EVENT].pop()


def refused_and_committed(story: Story) -> None:
    story.ask(700, "book", "bob", order_id=BOB, seats=(2,), result="refused", code="seat_taken")


def refused_with_another_reason(story: Story) -> None:
    other = str(UUID(int=9))
    story.final.verdicts[other] = Verdict(EVENT, "ann", "refused", "hold_expired")
    story.ask(700, "book", order_id=other, seats=(3,), result="refused", code="hold_changed")


def reused_and_booked(story: Story) -> None:
    story.book(700, "bob", BOB, 3)


def cancel_told_and_not_done(story: Story) -> None:
    story.ask(700, "cancel", "bob", order_id=BOB, status="cancelled")


def cancelled_by_nobody(story: Story) -> None:
    verdict(story, BOB, status="cancelled", cancel_reason="buyer")
    story.final.claims[EVENT][2] = Claim(UUID(BOB), 2, "cancelled", 3, 4)


def two_active(story: Story) -> None:
    story.final.claims[EVENT].append(Claim(UUID(PAID), 2, "confirmed", 4, None))


def overlapped_once(story: Story) -> None:
    """In the end nothing shows it."""
    story.final.claims[EVENT][1] = Claim(UUID(ANN), 2, "cancelled", 1, 4)


def half_an_order(story: Story) -> None:
    story.final.claims[EVENT].pop(0)


def two_states_in_an_order(story: Story) -> None:
    story.final.claims[EVENT][0] = Claim(UUID(ANN), 1, "confirmed", 1, None)


def stores_differ(story: Story) -> None:
    story.final.differences.append("event 7: seat 2")


def held_twice(story: Story) -> None:
    story.hold(600, "ann", 10, 3)
    story.hold(700, "bob", 11, 3)


def held_twice_after_a_rebuild(story: Story) -> None:
    story.hold(600, "ann", 10, 3)
    story.hold(700, "bob", 1, 3, epoch=2)


def held_over_a_booking(story: Story) -> None:
    story.hold(7000, "cyd", 12, 2)


def answered_before_it_was_decided(story: Story) -> None:
    story.ask(800, "mine", "ann", epoch=1, version=20)
    story.ask(900, "mine", "bob", epoch=1, version=19)
    story.ask(790, "mine", "cyd", epoch=1, version=21)


def refused_before_the_end(story: Story) -> None:
    other = str(UUID(int=9))
    story.hold(600, "ann", 10, 3)
    story.ask(700, "book", order_id=other, seats=(3,), hold_id="1-10", result="refused", code="hold_expired")
    story.final.verdicts[other] = Verdict(EVENT, "ann", "refused", "hold_expired")


def redis_freer(story: Story) -> None:
    other = str(UUID(int=9))
    story.final.verdicts[other] = Verdict(EVENT, "ann", "refused", "seat_taken")


def screen_went_back(story: Story) -> None:
    story.add(Frame(700 * MS, "v0", 1, EVENT, 1, 1, 8, 80))


def two_maps_at_one_position(story: Story) -> None:
    story.add(Frame(700 * MS, "v1", 1, EVENT, 1, 1, 9, 79))


def screen_wrong_at_rest(story: Story) -> None:
    story.add(LastMap("v1", EVENT, 1, 9, "0000"))


def screen_behind_at_rest(story: Story) -> None:
    story.add(LastMap("v1", EVENT, 1, 8, "0020"))


def screen_old_and_silent(story: Story) -> None:
    story.add(Frame(660 * MS, "v1", 1, EVENT, 3, 1, 3, 77))
    story.add(Frame(8000 * MS, "v1", 1, EVENT, 3, 1, 3, 77))


def captured_for_nothing(story: Story) -> None:
    story.final.payments = [a_payment(owned=0)]


def paid_back_twice(story: Story) -> None:
    story.final.payments = [
        a_payment(status="refunded", owned=0, refunds=1500, refunds_done=1500, card_refunds=3000)
    ]


def forgotten_by_us(story: Story) -> None:
    story.final.payments = [a_payment(status="expired", owned=0)]


def unknown_for_long(story: Story) -> None:
    story.ask(1000, "book", "bob", order_id=BOB, seats=(2,), result="unknown")
    story.lines = [line for line in story.lines if not (isinstance(line, Call) and line.t == 500 * MS)]
    story.lines = [line for line in story.lines if not (isinstance(line, Answer) and line.t == 505 * MS)]
    story.book(15_000, "bob", BOB, 2)


def dead_in_the_end(story: Story) -> None:
    story.add(Phase(540 * MS, "healed"))


def booked_after_the_end(story: Story) -> None:
    story.ask(510, "event_cancel", "staff", event=PAID_EVENT)
    story.final.cancelled.add(PAID_EVENT)
    story.final.claims[PAID_EVENT] = []
    del story.final.verdicts[PAID]
    story.final.payments = []


def left_active_after_the_end(story: Story) -> None:
    story.ask(900, "event_cancel", "staff")
    story.final.cancelled.add(EVENT)


@pytest.mark.parametrize(
    ("spoil", "invariant"),
    [
        (lost, "I1"),
        (aborted_though_told, "I1"),
        (refused_and_committed, "I2"),
        (refused_with_another_reason, "I2"),
        (reused_and_booked, "I2"),
        (cancel_told_and_not_done, "I3"),
        (cancelled_by_nobody, "I3"),
        (two_active, "I4"),
        (overlapped_once, "I5"),
        (half_an_order, "I6"),
        (two_states_in_an_order, "I6"),
        (stores_differ, "I7"),
        (held_twice, "I8"),
        (held_twice_after_a_rebuild, "I8"),
        (held_over_a_booking, "I8"),
        (answered_before_it_was_decided, "I8"),
        (refused_before_the_end, "I8"),
        (redis_freer, "I9"),
        (screen_went_back, "I10"),
        (two_maps_at_one_position, "I10"),
        (screen_wrong_at_rest, "I10"),
        (screen_behind_at_rest, "I10"),
        (screen_old_and_silent, "I10"),
        (captured_for_nothing, "I11"),
        (paid_back_twice, "I11"),
        (forgotten_by_us, "I11"),
        (unknown_for_long, "I12"),
        (dead_in_the_end, "I12"),
        (booked_after_the_end, "P7"),
        (left_active_after_the_end, "P7"),
    ],
)
def test_a_lie_is_found(story: Story, spoil: Callable[[Story], None], invariant: str) -> None:
    spoil(story)
    assert invariant in story.broken()


# ---- what looks like a violation and is none ----


def test_a_hold_that_redis_may_have_lost_protects_nobody(story: Story) -> None:
    story.hold(600, "ann", 10, 3)
    story.add(Fault(650 * MS, 660 * MS, "redis wipe", "redis", loses=True))
    story.hold(700, "bob", 1, 3, epoch=2)
    assert story.broken() == set()


def test_a_hold_ends_with_its_time_its_release_and_its_order(story: Story) -> None:
    story.hold(600, "ann", 10, 3)
    story.ask(650, "release", hold_id="1-10", result="unknown")
    story.hold(700, "bob", 12, 3)
    story.hold(700 + HOLD_MS, "cyd", 13, 3)
    assert story.broken() == set()


def test_a_pushed_clock_ends_holds_early(story: Story) -> None:
    story.hold(600, "ann", 10, 3)
    story.add(Fault(650 * MS, 690 * MS, "clock forward", "clock", clock=True))
    story.hold(700, "bob", 12, 3)
    assert story.broken() == set()


def test_an_unknown_outcome_may_last_as_long_as_something_is_broken(story: Story) -> None:
    unknown_for_long(story)
    story.add(Fault(6000 * MS, 8000 * MS, "postgres away", "postgres"))
    assert story.broken() == set()


def test_a_screen_that_says_that_it_is_old_does_not_lie(story: Story) -> None:
    story.add(Frame(8000 * MS, "v1", 1, EVENT, 3, 1, 3, 77, True))
    assert story.broken() == set()


def test_a_hold_that_has_ended_may_be_refused(story: Story) -> None:
    refused_before_the_end(story)
    story.ask(650, "release", hold_id="1-10")
    story.lines.sort(key=lambda line: line.t if isinstance(line, Call | Answer) else 0)
    assert story.broken() == set()


def test_who_crashed_is_never_answered(story: Story) -> None:
    other = str(UUID(int=9))
    story.ask(600, "book", order_id=other, seats=(3,), result="none")
    story.add(Left(601 * MS, other))
    assert story.broken() == set()
    story.final.verdicts[other] = Verdict(EVENT, "ann", "committed", "", "confirmed")
    assert story.broken() == {"I6"}


def test_what_is_written_is_read_again(story: Story, tmp_path: Path) -> None:
    history = History(tmp_path / "a.jsonl")
    for line in story.lines:
        history.add(line)
    history.close()
    assert list(read([history.path])) == story.lines
    history.path.write_text('["call",1]\n')
    with pytest.raises(ValueError, match="line 1"):
        list(read([history.path]))
