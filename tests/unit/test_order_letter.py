"""What a letter says, of money, times and names of every kind."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from seatmap.config import Settings
from seatmap.ledger.letters import LetterSeat, Matter
from seatmap.order_letter import write
from seatmap.worker.letters import is_example

ORDER = UUID("01934f6e-0000-7000-8000-000000000001")
SEATS = (
    LetterSeat("Stalls, row C, seat 7", "Premium", 9850),
    LetterSeat("Stalls, row C, seat 8", "Premium", 9850),
)


def matter(**changes: Any) -> Matter:
    fields: dict[str, Any] = {
        "order_id": ORDER,
        "name": "Ada Lovelace",
        "email": "ada@seats.localhost",
        "status": "confirmed",
        "cancel_reason": "",
        "payment_status": "paid",
        "currency": "EUR",
        "event_name": "The Tempest",
        "venue": "Grand Theatre",
        "starts_at": datetime(2026, 12, 12, 18, 30, tzinfo=UTC),
        "timezone": "Europe/Berlin",
        "at_door": False,
        "back": 0,
        "back_currency": "EUR",
        "seats": SEATS,
    }
    return Matter(**(fields | changes))


def text(kind: str = "confirmed", **changes: Any) -> str:
    written = write(Settings(), kind, matter(**changes))
    assert written is not None
    return written[1]


def test_the_whole_of_one() -> None:
    written = write(Settings(public_url="https://seats.example"), "confirmed", matter())
    assert written is not None
    assert written[0] == "Your seats for The Tempest"
    assert written[1] == (
        "Dear Ada Lovelace,\n"
        "\n"
        "your seats are booked:\n"
        "\n"
        "  The Tempest\n"
        "  Grand Theatre\n"
        "  Sat 12 Dec 2026, 19:30 (Europe/Berlin)\n"
        "\n"
        "  Stalls, row C, seat 7 · Premium · 98.50 EUR\n"
        "  Stalls, row C, seat 8 · Premium · 98.50 EUR\n"
        "  Total: 197.00 EUR\n"
        "\n"
        "It is paid.\n"
        "\n"
        "Your order: 01934f6e-0000-7000-8000-000000000001\n"
        "\n"
        "Your bookings: https://seats.example/bookings\n"
    )


def test_no_link_leads_to_an_address_that_was_not_set() -> None:
    assert "http" not in text()


def test_seats_without_a_price_have_no_total() -> None:
    seats = (LetterSeat("Stalls, row C, seat 7", "Premium", 0),)
    said = text(seats=seats, payment_status="none")
    assert "\n  Stalls, row C, seat 7 · Premium\n\nThere is nothing to pay.\n" in said


@pytest.mark.parametrize(
    ("minor", "currency", "said"),
    [
        (5, "EUR", "0.05 EUR"),
        (123456789, "USD", "1,234,567.89 USD"),
        (1500, "JPY", "1,500 JPY"),
        (1500, "KWD", "1.500 KWD"),
    ],
)
def test_money_has_the_digits_of_its_currency(minor: int, currency: str, said: str) -> None:
    assert f"Total: {said}\n" in text(seats=(LetterSeat("Seat", "All", minor),), currency=currency)


@pytest.mark.parametrize(
    ("moment", "timezone", "said"),
    [
        (datetime(2026, 7, 1, 23, tzinfo=UTC), "Asia/Tokyo", "Thu 2 Jul 2026, 08:00 (Asia/Tokyo)"),
        (datetime(2026, 7, 1, 23, tzinfo=UTC), "Mars/Olympus", "Wed 1 Jul 2026, 23:00 (UTC)"),
        (datetime(9999, 12, 31, 23, tzinfo=UTC), "Asia/Tokyo", "Fri 31 Dec 9999, 23:00 (UTC)"),
    ],
    ids=["known", "unknown", "the last day of all"],
)
def test_times_are_the_venues(moment: datetime, timezone: str, said: str) -> None:
    assert f"  {said}\n" in text(starts_at=moment, timezone=timezone)


@pytest.mark.parametrize(
    ("kind", "status"), [("confirmed", "cancelled"), ("changed", "cancelled"), ("cancelled", "confirmed")]
)
def test_nothing_is_written_that_is_not_true_any_more(kind: str, status: str) -> None:
    assert write(Settings(), kind, matter(status=status, cancel_reason="buyer")) is None


def test_names_are_one_line() -> None:
    written = write(
        Settings(), "changed", matter(event_name="A\r\nBcc: b@c\x85d", name="Ada\u2028Love", venue="\n")
    )
    assert written is not None
    assert written[0] == "Your seats for A Bcc: b@c d have changed"
    assert written[1].startswith("Dear Ada Love,\n")
    assert "\n\n  A Bcc: b@c d\n  Sat 12" in written[1]


def test_an_order_that_costs_nothing_owes_nothing() -> None:
    said = text("cancelled", status="cancelled", cancel_reason="staff", payment_status="none")
    assert "Nothing was paid, so nothing is owed." in said


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("a@example.org", True),
        ("a@EXAMPLE.net.", True),
        ("a@b.example.com", True),
        ("a@b.invalid", True),
        ("a@test", True),
        ("a@myexample.org", False),
        ("a@example.de", False),
        ("example.org@b.c", False),
        ("a@seats.localhost", False),
    ],
)
def test_examples_are_told_from_addresses(address: str, is_one: bool) -> None:
    assert is_example(address) is is_one
