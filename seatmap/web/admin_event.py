"""An event as staff see it and write it: the bodies and answers of /api/admin/events."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from msgspec import UNSET, Meta, Struct, UnsetType

from seatmap.errors import Refused
from seatmap.ledger.categories import Wanted
from seatmap.ledger.event_states import State
from seatmap.ledger.staff_events import JobState, StaffEvent
from seatmap.model import Event
from seatmap.protocol import END, Name
from seatmap.web.api import Counts, EventView
from seatmap.web.endpoint import Call
from seatmap.web.room import sale_of
from seatmap.web.rooms import Rooms
from seatmap.zones import zone

PRICE_MAX = 10**12  # minor units; a seat's
YEARS = range(1971, 2200)  # what every part counts in

Text = Annotated[str, Meta(max_length=5000, pattern=r"^[^\x00]*$")]
Line = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*" + END)]
Moment = Annotated[datetime, Meta(tz=True)]
Price = Annotated[int, Meta(ge=0, le=PRICE_MAX)]
Limit = Annotated[int, Meta(ge=1, le=100)]
Color = Annotated[str, Meta(pattern=r"^(#[0-9a-fA-F]{6})?" + END)]
Methods = Annotated[tuple[Literal["free", "door", "test_card"], ...], Meta(min_length=1, max_length=3)]
Id = Annotated[int, Meta(ge=1, lt=1 << 53)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}" + END)]


class CategoryBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price class; without an id a new one. `price` is in minor units."""

    name: Name
    price: Price
    color: Color = ""
    id: Id | None = None


Categories = Annotated[tuple[CategoryBody, ...], Meta(max_length=100)]


class GridBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan of straight rows. `aisles` are columns after which a gap comes, counted from 1."""

    rows: Annotated[int, Meta(ge=1, le=2000)]
    columns: Annotated[int, Meta(ge=1, le=2000)]
    aisles: Annotated[tuple[int, ...], Meta(max_length=100)] = ()
    section: Line = ""


class NewEventBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event to be made, from a plan or from a grid. Categories of the plan without a price cost nothing."""

    name: Name
    starts_at: Moment
    currency: Currency = "EUR"
    plan_id: Id | None = None
    grid: GridBody | None = None
    categories: Categories = ()
    description: Text = ""
    venue: Line = ""
    timezone: Line = "UTC"
    seats_per_visitor: Limit | None = None
    on_sale_from: Moment | None = None
    on_sale_until: Moment | None = None


class PlanBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plan that an event should have: one that is kept, or a grid."""

    plan_id: Id | None = None
    grid: GridBody | None = None


class EventChanges(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What should be otherwise; what is absent stays. Null takes an end of the sale window away, or lets accessible
    seats be sold like all others.
    """

    name: Name | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    venue: Line | UnsetType = UNSET
    starts_at: Moment | UnsetType = UNSET
    timezone: Line | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET
    on_sale_from: Moment | UnsetType | None = UNSET
    on_sale_until: Moment | UnsetType | None = UNSET
    accessible_until: Moment | UnsetType | None = UNSET
    seats_per_visitor: Limit | UnsetType = UNSET
    fee_per_seat: Price | UnsetType = UNSET
    payment_methods: Methods | UnsetType = UNSET
    categories: Annotated[tuple[CategoryBody, ...], Meta(min_length=1, max_length=100)] | UnsetType = UNSET

    def columns(self) -> dict[str, Any]:
        """What was given, by column; the categories are elsewhere."""
        given = {name: getattr(self, name) for name in self.__struct_fields__ if name != "categories"}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in given.items()
            if value is not UNSET
        }


class AdminEvent(EventView, frozen=True, kw_only=True):
    """An event with what only staff are told."""

    deleted: bool
    paused: bool
    message: str
    created_at: datetime
    updated_at: datetime
    job: JobState | None


_SHARED = (set(EventView.__struct_fields__) | set(AdminEvent.__struct_fields__)) & set(
    Event.__struct_fields__
)


def admin_event(rooms: Rooms, staff: StaffEvent) -> AdminEvent:
    """An event for staff, with the counts of this process where it has a map."""
    event = staff.event
    room = None if staff.deleted else rooms.known(event.id)
    shared = {name: getattr(event, name) for name in _SHARED}
    shared["starts_at"] = event.starts_at.astimezone(zone(event.timezone))
    shared["paused"] = staff.state is State.paused  # not what a cancelled event was before
    return AdminEvent(
        **shared,
        sale=sale_of(staff.shown),
        counts=Counts(**room.counts()) if room else None,
        deleted=staff.deleted,
        created_at=staff.created_at,
        updated_at=staff.updated_at,
        job=staff.job,
    )


def check_fields(fields: dict[str, Any]) -> None:
    """What a type cannot say. Refuses with invalid, naming the field."""
    if (name := fields.get("timezone")) is not None and name not in available_timezones():
        raise Refused("invalid", f"timezone: {name[:60]!r} is none; one is Europe/Berlin.")
    for field in ("starts_at", "on_sale_from", "on_sale_until", "accessible_until"):
        moment = fields.get(field)
        if moment is not None and moment.year not in YEARS:
            raise Refused("invalid", f"{field} should lie between {YEARS[0]} and {YEARS[-1]}.")
    begin, end = fields.get("on_sale_from"), fields.get("on_sale_until")
    if begin is not None and end is not None and begin >= end:
        raise Refused("invalid", "on_sale_until should be later than on_sale_from.")


def wanted(categories: tuple[CategoryBody, ...]) -> list[Wanted]:
    """The categories for the ledger. Refuses with invalid where one is named or given twice."""
    for what, given in (
        ("name", [category.name for category in categories]),
        ("id", [category.id for category in categories if category.id is not None]),
    ):
        if len(set(given)) < len(given):
            raise Refused("invalid", f"categories: two of them have the same {what}.")
    return [Wanted(id=c.id, name=c.name, price=c.price, color=c.color) for c in categories]


def who(call: Call) -> int:
    """The account that acts; the gate has seen to it that there is one."""
    user = call.caller.user
    if user is None:
        raise Refused("sign_in_required")
    return user.id


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)
