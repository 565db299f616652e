"""The checker finds each kind of lie, and none in an honest history."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from seatmap.ledger.audit import Claim
from tests.chaos.checker import INVARIANTS, check
from tests.chaos.final import Verdict
from tests.chaos.history import (
    Answer,
    Call,
    Fault,
    Frame,
    History,
    LastMap,
    Left,
    Phase,
    read,
)
from tests.chaos.stories import ANN, BOB, EVENT, HOLD_MS, MS, PAID, PAID_EVENT, Story, a_payment, honest


@pytest.fixture
def story() -> Story:
    return honest()


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


def told_late_of_a_loss(story: Story) -> None:
    story.hold(600, "dan", 10, 3)
    story.add(Fault(650 * MS, 660 * MS, "redis wipe", "redis", loses=True))
    story.ask(610, "wait", "dan", took=3000, result="refused", code="lost")


def never_told(story: Story) -> None:
    story.hold(600, "dan", 10, 3)
    story.ask(610, "wait", "dan", took=22_000 - 610, result="refused", code="silent")
    story.lines = [line for line in story.lines if not (isinstance(line, Phase) and line.name == "rest")]


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
        (told_late_of_a_loss, "I8"),
        (never_told, "I8"),
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


def test_who_is_told_in_time_waits_for_nothing(story: Story) -> None:
    story.hold(600, "dan", 10, 3)
    story.add(Fault(650 * MS, 660 * MS, "redis wipe", "redis", loses=True))
    story.ask(610, "wait", "dan", took=1500, result="refused", code="lost")
    story.ask(3000, "wait", "eve", took=7000, result="refused", code="expired")
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
