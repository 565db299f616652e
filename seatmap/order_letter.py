"""What mails about an order say: it is booked, its seats have changed, it is cancelled.

Whatever people wrote (names of events, venues, buyers) becomes one line each, so that it can be no more than that.
"""

from datetime import datetime
from decimal import Decimal

from seatmap.config import Settings
from seatmap.ledger.letters import LetterSeat, Matter
from seatmap.zones import zone

# Currencies by their digits after the point (ISO 4217); all others have two.
NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"

# Why it ended → the subject, and how the text begins.
TOO_LATE = ("Your payment for {event} goes back", "your payment came when your seats were not kept any more:")
ENDS = {
    "expired": TOO_LATE,
    "failed": TOO_LATE,
    "buyer": ("You gave back your seats for {event}", "you gave back your seats:"),
    "event": ("{event} is cancelled", "the event is cancelled, and your seats with it:"),
    "staff": ("Your seats for {event} are cancelled", "the box office has cancelled your seats:"),
}


def write(settings: Settings, kind: str, matter: Matter) -> tuple[str, str] | None:
    """Subject and text of a letter of a kind: confirmed, changed or cancelled.

    None where it would not be true any more: the letter of what came after tells it all.
    """
    if matter.status != ("cancelled" if kind == "cancelled" else "confirmed"):
        return None
    event = _line(matter.event_name)
    if kind == "cancelled":
        subject, begins = ENDS.get(matter.cancel_reason, ENDS["staff"])
        return subject.format(event=event), _text(settings, matter, begins, _ended(matter))
    if kind == "changed":
        return f"Your seats for {event} have changed", _text(
            settings, matter, "your seats have changed. These are yours now:", _to_pay(matter)
        )
    return f"Your seats for {event}", _text(settings, matter, "your seats are booked:", _to_pay(matter))


def _text(settings: Settings, matter: Matter, begins: str, money: list[str]) -> str:
    event = [_line(matter.event_name), _line(matter.venue), _when(matter.starts_at, matter.timezone)]
    parts = [
        f"Dear {_line(matter.name)},",
        begins,
        "\n".join(f"  {line}" for line in event if line),
        "\n".join(f"  {line}" for line in _seats(matter.seats, matter.currency)),
        " ".join(money),
        f"Your order: {matter.order_id}",
    ]
    if settings.public_url:
        parts.append(f"Your bookings: {settings.public_url}/bookings")
    return "\n\n".join(part for part in parts if part) + "\n"


def _seats(seats: tuple[LetterSeat, ...], currency: str) -> list[str]:
    total = sum(seat.price for seat in seats)
    lines = [_line(f"{seat.label} · {seat.category}") for seat in seats]
    if not total:
        return lines
    lines = [f"{line} · {_money(seat.price, currency)}" for line, seat in zip(lines, seats, strict=True)]
    return [*lines, f"Total: {_money(total, currency)}"]


def _to_pay(matter: Matter) -> list[str]:
    if matter.payment_status == "none":
        said = "There is nothing to pay."
    elif matter.payment_status == "unpaid":
        total = sum(seat.price for seat in matter.seats)
        said = f"You pay at the door: please bring {_money(total, matter.currency)}."
    else:
        said = "It is paid."
    return [said, *_back(matter)]


def _ended(matter: Matter) -> list[str]:
    if matter.payment_status in ("none", "unpaid"):
        return ["Nothing was paid, so nothing is owed."]
    return _back(matter)


def _back(matter: Matter) -> list[str]:
    if not matter.back:
        return []
    money = _money(matter.back, matter.back_currency)
    how = "the box office hands it to you" if matter.at_door else "it comes the way that you paid"
    return [f"In all, you get {money} back: {how}."]


def _line(text: str) -> str:
    return " ".join(text.split())


def _when(moment: datetime, timezone: str) -> str:
    """As the page says it: "Sat 12 Dec 2026, 19:30", and by whose clocks."""
    try:
        local = moment.astimezone(zone(timezone))
    except OverflowError:  # the first and the last day of all are not everywhere
        local = moment
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M} ({local.tzinfo})"


def _money(minor: int, currency: str) -> str:
    digits = 0 if currency in NO_DIGITS else 3 if currency in THREE_DIGITS else 2
    return f"{Decimal(minor).scaleb(-digits):,f} {currency}"
