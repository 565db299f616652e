"""The conversation with one page: which command is answered, what a page is told by itself, and why."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from seatmap import protocol
from seatmap.errors import Refused, Unavailable
from seatmap.model import Mine, Order, Position
from seatmap.protocol import MineState
from seatmap.web.session import Session, mine_state

HELD = Mine(hold_id="1-1", seats=(4,), expires_in_ms=9000, extendable=True)
FREE = Mine()
ORDER = Order(
    id=UUID("0190a0a0-0000-7000-8000-000000000000"),
    event_id=1,
    event_name="The Tempest",
    status="confirmed",
    total=0,
    currency="EUR",
    payment_status="none",
    payment_method="free",
    name="Ada",
    email="ada@example.org",
    created_at=datetime(2026, 11, 23, tzinfo=UTC),
    seats=(),
)


def told(message: bytes | None) -> dict[str, Any]:
    assert message is not None
    return json.loads(message)


def at(version: int, epoch: int = 1) -> Position:
    return Position(epoch, version)


def asked(session: Session, name: str = "c1") -> None:
    assert session.receive(json.dumps({"type": "hold", "id": name, "seats": [4]})) == protocol.Hold(
        id=name, seats=(4,)
    )


def test_an_answer_repeats_the_id_and_says_what_is_mine() -> None:
    session = Session("v")
    asked(session)
    reply = told(session.answer(mine_state(HELD, at(1))))
    assert (reply["type"], reply["id"]) == ("reply", "c1")
    assert reply["mine"] == {
        "type": "mine",
        "epoch": 1,
        "version": 1,
        "hold_id": "1-1",
        "seats": [4],
        "expires_in_ms": 9000,
        "extendable": True,
        "checkout": "",
        "checkout_seats": [],
        "reason": "",
    }


def test_a_refusal_repeats_the_id_and_is_a_problem() -> None:
    session = Session("v")
    asked(session)
    reply = told(session.refuse(Refused("seat_taken", seats=[4])))
    assert reply["id"] == "c1"
    assert reply["error"]["code"] == "seat_taken"
    assert (reply["error"]["temporary"], reply["error"]["seats"]) == (False, [4])


def test_what_may_help_to_ask_again_says_so() -> None:
    session = Session("v")
    asked(session)
    assert told(session.refuse(Unavailable("Away.")))["error"]["temporary"] is True


@pytest.mark.parametrize("padding", [0, 600], ids=["short", "long"])
def test_a_command_that_is_not_valid_is_refused_by_its_id(padding: int) -> None:
    session = Session("v")
    with pytest.raises(Refused) as refused:
        session.receive(json.dumps({"type": "book", "id": "c7", "name": "n" * padding}))
    assert told(session.refuse(refused.value))["id"] == "c7"


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        "null",
        '{"id": 5}',
        '{"id": ["x"]}',
        "[" * 8000,
        "x" * 9000,
    ],
)
def test_a_message_without_a_usable_id_is_refused_all_the_same(message: str) -> None:
    session = Session("v")
    asked(session, "before")
    with pytest.raises(Refused) as refused:
        session.receive(message)
    assert told(session.refuse(refused.value))["id"] == ""


def test_the_id_of_one_command_is_not_repeated_for_the_next() -> None:
    session = Session("v")
    asked(session)
    session.answer(None)
    assert told(session.refuse(Unavailable("Away.")))["id"] == ""


def test_news_is_told_once() -> None:
    session = Session("v")
    assert told(session.news(at(1), HELD))["hold_id"] == "1-1"
    assert session.news(at(1), HELD) is None
    assert session.news(at(0), FREE) is None


def test_news_that_the_answer_already_had_is_not_told_again() -> None:
    session = Session("v")
    asked(session)
    session.answer(mine_state(HELD, at(3)))
    assert session.news(at(3), HELD) is None
    assert told(session.news(at(4), FREE))["version"] == 4


def test_news_of_ones_own_command_waits_for_its_answer() -> None:
    session = Session("v")
    asked(session)
    assert session.news(at(3), HELD) is None
    session.answer(mine_state(HELD, at(3)))
    assert session.late_news() is None


def test_news_that_an_answer_overtook_is_told_after_it() -> None:
    """Another tab held a seat while this one's command was under way: its answer is older than that."""
    session = Session("v")
    asked(session)
    assert session.news(at(4), HELD) is None
    session.answer(mine_state(FREE, at(3)))
    assert told(session.late_news())["hold_id"] == "1-1"
    assert session.late_news() is None


def test_news_during_a_refused_command_is_told_after_it() -> None:
    session = Session("v")
    asked(session)
    assert session.news(at(3), FREE) is None
    assert session.news(at(4), HELD) is None
    session.refuse(Refused("seat_taken"))
    assert told(session.late_news())["version"] == 4


def test_a_booked_order_is_not_told_to_be_under_way_any_more() -> None:
    session = Session("v")
    asked(session)
    deciding = Mine(order_id=ORDER.id.hex, order_seats=(1,))
    assert session.news(at(4), deciding) is None
    session.answer(ORDER)
    assert session.late_news() is None


def test_the_end_of_a_hold_is_told_even_while_a_command_is_under_way() -> None:
    session = Session("v")
    session.news(at(1), HELD)
    asked(session)
    assert told(session.news(at(2), FREE, "expired"))["reason"] == "expired"


def test_reasons_that_need_no_words_are_not_told() -> None:
    assert told(Session("v").news(at(1), HELD, "because"))["reason"] == ""


def test_a_hold_that_a_rebuild_did_not_keep_is_lost() -> None:
    session = Session("v")
    session.news(at(5), HELD)
    assert told(session.news(at(0, epoch=2), FREE))["reason"] == "lost"


@pytest.mark.parametrize(
    ("before", "after"),
    [(HELD, HELD), (FREE, FREE), (FREE, HELD)],
    ids=["kept", "nothing before", "a hold since"],
)
def test_a_rebuild_that_took_nothing_from_me_has_no_reason(before: Mine, after: Mine) -> None:
    session = Session("v")
    session.news(at(5), before)
    assert told(session.news(at(0, epoch=2), after))["reason"] == ""


def test_a_hold_that_i_gave_back_is_not_lost_by_a_later_rebuild() -> None:
    session = Session("v")
    session.news(at(5), HELD)
    asked(session)
    session.answer(mine_state(FREE, at(6)))
    assert told(session.news(at(0, epoch=2), FREE))["reason"] == ""


def test_what_is_mine_in_a_checkout_has_the_order_and_its_seats() -> None:
    state = mine_state(Mine(order_id="ab", order_seats=(1, 2)), at(9), "lost")
    assert state == MineState(epoch=1, version=9, checkout="ab", checkout_seats=(1, 2), reason="lost")
