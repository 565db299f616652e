"""Every error that Seatmap tells somebody about. One tree, one shape.

    SeatmapError
    ├── Refused              a command was understood and not carried out; nothing changed
    ├── Unavailable          a store is away or the answer is unknown; asking again may help
    │   └── Recovering       the event's seats are being restored; nothing was done
    ├── SettingInvalid       a setting has a value that cannot be
    ├── PlanInvalid          a plan file cannot be used
    └── Unusable             this machine or its servers cannot run Seatmap as they are

An error has a `code` (a stable word, for programs), a `detail` (a sentence for a person) and `extra`
members (`seats`, `setting` …). Over HTTP and in a websocket reply it is an RFC 9457 problem, made in one
place: `problem()`.
"""

from typing import Any


class SeatmapError(Exception):
    """The root. `code` is stable; `detail` may be reworded; `extra` names what the sentence is about."""

    code: str = "error"
    status: int = 500
    title: str = "Something went wrong"
    temporary: bool = False

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra

    def problem(self) -> dict[str, Any]:
        """This error as an RFC 9457 problem."""
        return {
            "type": f"/docs/problems#{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "temporary": self.temporary,
            **self.extra,
        }


class Refused(SeatmapError):
    """A command was understood and refused; nothing changed. Its code is one of `REFUSALS`.

    What came too fast was not looked at, and says nothing about an order that is asked for again: it is `temporary`.
    """

    def __init__(self, code: str, detail: str = "", **extra: Any) -> None:
        self.code = code
        self.status, self.title, sentence = REFUSALS[code]
        self.temporary = self.status == TOO_FAST
        super().__init__(detail or sentence, **extra)


class Unavailable(SeatmapError):
    """A store is away, or an answer was lost. Asking again, with the same ids, is safe and may help."""

    code = "unavailable"
    status = 503
    title = "Not available right now"
    temporary = True


class Recovering(Unavailable):
    """Redis does not hold this event's seats in a state to trust; they are being restored. Nothing was done."""

    code = "recovering"
    title = "One moment"


class SettingInvalid(SeatmapError):
    """A setting has a value that cannot be; names the setting and the value."""

    code = "setting_invalid"
    title = "A setting is not valid"

    def __init__(self, setting: str, value: str, reason: str) -> None:
        super().__init__(f"{setting}={value!r} cannot be used: {reason}.", setting=setting)


class PlanInvalid(SeatmapError):
    """A plan file cannot be used; says where in the file and why."""

    code = "plan_invalid"
    status = 422
    title = "The plan cannot be used"


class Unusable(SeatmapError):
    """This machine, a program or a server that Seatmap needs cannot be used as it is; says what to mend."""

    code = "unusable"
    title = "Seatmap cannot run like this"


TOO_FAST = 429

# code: (HTTP status, title, the sentence where the place that refuses has nothing better to say)
REFUSALS: dict[str, tuple[int, str, str]] = {
    "malformed": (400, "Not understood", "The message is not valid JSON."),
    "invalid": (422, "Not valid", "A field is missing or has the wrong type."),
    "unknown_command": (400, "Unknown command", "There is no such command."),
    "too_large": (413, "Too large", "The message is larger than is accepted."),
    "wrong_origin": (403, "Not from here", "This site does not take commands from other sites."),
    "sign_in_required": (401, "Sign in first", "This is for people with an account; sign in first."),
    "password_needed": (
        401,
        "Your password, please",
        "This matters, and you signed in a while ago: give your password again, then repeat it.",
    ),
    "forbidden": (403, "Not allowed", "Your account may not do this."),
    "wrong_credentials": (
        401,
        "Not signed in",
        "Address and password do not fit, or the address is not confirmed yet: follow the link in the mail.",
    ),
    "too_many_attempts": (
        429,
        "Too many attempts",
        "That was tried too often; wait a little, then try again.",
    ),
    "too_many_requests": (429, "Too fast", "That is more than is answered; wait a moment, then go on."),
    "too_many_connections": (
        429,
        "Too many pages",
        "Your network has more pages open here than are served; close one, or try again in a moment.",
    ),
    "password_refused": (422, "Choose another password", "This password is too easy to guess."),
    "token_invalid": (
        422,
        "The link is not valid",
        "The link was used already or is too old; ask for a new one.",
    ),
    "user_not_found": (404, "No such account", "There is no account with this number."),
    "last_admin": (
        409,
        "The last admin",
        "Nobody would be left who is an admin; make somebody else one first.",
    ),
    "idempotency_mismatch": (
        422,
        "Another request",
        "This Idempotency-Key was used for another request; make a new one for each.",
    ),
    "idempotency_in_flight": (
        409,
        "Being answered",
        "A request with this Idempotency-Key is under way; ask again in a moment.",
    ),
    "job_not_found": (404, "No such job", "There is no job with this number."),
    "job_not_failed": (409, "Not failed", "Only a job that failed for good can be tried again."),
    "not_found": (404, "Not found", "There is nothing here."),
    "method_not_allowed": (405, "Method not allowed", "This address does not take that method."),
    "event_not_found": (404, "No such event", "There is no such event; see GET /api/events."),
    "order_not_found": (404, "No such order", "You have no order with this id."),
    "wrong_epoch": (409, "The map was rebuilt", "Your map is out of date; load it again, then repeat."),
    "seat_out_of_range": (422, "No such seat", "The event has no seat with this number."),
    "seat_repeated": (422, "A seat twice", "The same seat is named twice in one command."),
    "too_many_seats": (422, "Too many seats", "That is more seats than one visitor may have here."),
    "no_seats": (422, "No seats", "The command names no seat."),
    "seat_taken": (409, "Seat taken", "Somebody else was faster; choose another seat."),
    "seat_blocked": (409, "Seat not for sale", "This seat is not for sale."),
    "seat_held_back": (
        409,
        "Kept for now",
        "This is an accessible place, kept for people who need one; ask the box office.",
    ),
    "not_your_hold": (403, "Not your hold", "This hold belongs to somebody else."),
    "hold_expired": (409, "The hold has ended", "Your hold has ended; choose your seats again."),
    "hold_changed": (409, "The hold has changed", "Your seats have changed; look at them again, then book."),
    "hold_not_extendable": (409, "Cannot extend", "A hold can be extended once only."),
    "in_checkout": (409, "Being booked", "Your seats are being booked; wait for the answer."),
    "not_on_sale": (409, "Not on sale", "This event is not on sale."),
    "paused": (
        409,
        "Sales are paused",
        "Sales are paused for a moment; seats that you hold can still be bought.",
    ),
    "wrong_state": (409, "Not in this state", "The event is not in a state that allows this."),
    "event_has_bookings": (
        409,
        "It has bookings",
        "The event has bookings; cancel it, or cancel them, first.",
    ),
    "plan_in_use": (409, "Somebody has these seats", "The new plan does not have seats that somebody has."),
    "category_not_found": (404, "No such category", "The event has no such category."),
    "category_in_use": (409, "The category is in use", "Somebody has seats of this category."),
    "currency_settled": (
        409,
        "The currency is settled",
        "The currency cannot change once something was sold.",
    ),
    "price_changed": (409, "The price has changed", "The total has changed; look at it again, then book."),
    "method_not_offered": (409, "Not a way to pay here", "This event cannot be paid like that."),
    "bad_signature": (403, "Not signed", "The message is not signed by the payment provider, or too old."),
    "payment_not_found": (404, "No such payment", "There is no payment of this session."),
    "payment_closed": (409, "Not open any more", "This payment is not open any more."),
    "not_unpaid": (409, "Nothing to pay", "There is nothing to be paid at the door for this order."),
    "not_stuck": (409, "Nothing is stuck", "The money of this order is where it should be, or on its way."),
    "refund_not_owed": (
        409,
        "Not to be paid out",
        "Not all of these refunds wait to be handed out; load the order again, then look.",
    ),
    "cannot_reseat": (
        409,
        "Cannot move there",
        "Each seat of the order can only be moved to one for sale of the same or a lower price.",
    ),
    "no_address": (409, "No address", "The order has no mail address."),
    "order_reused": (409, "Order id reused", "This order id was used for other seats; make a new one."),
    "order_aborted": (409, "The order was given up", "The order took too long and was given up; try again."),
    "order_not_active": (409, "Not active", "This order is not active any more."),
}
