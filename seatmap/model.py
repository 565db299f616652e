"""The nouns: what an event, a plan, a seat, an order are. Pure data, in the words of the README.

Money is an integer in the minor unit of its currency (cents). Times are UTC `datetime`s. A seat is known
in its event by its index 0…n-1, which is never reused, and to people by its label.
"""

from datetime import datetime
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

SEATS_MAX = 1 << 20  # a frame gives a seat 24 bits; a plan is refused long before that
SEATS_PER_COMMAND_MAX = 100


class Status(IntEnum):
    """What everybody may know of a seat; two bits on the wire."""

    available = 0
    held = 1
    booked = 2
    blocked = 3


class Role(IntEnum):
    """What an account may do: each includes those before it."""

    buyer = 0
    viewer = 1  # looks at events, orders and the dashboard
    box_office = 2  # sells, reseats, refunds
    admin = 3  # settings, events, users


class Position(NamedTuple):
    """A point in an event's history: `version` grows by one per change, `epoch` per rebuild of Redis."""

    epoch: int
    version: int


NOWHERE = Position(0, 0)  # since here, everything is new: the snapshot


class User(Struct, frozen=True, kw_only=True):
    """An account. `verified` says that its email address is known to be its owner's.

    `proved`: the password was given lately, or it is a program with a key; what matters most asks for that.
    """

    id: int
    email: str
    name: str
    role: Role = Role.buyer
    verified: bool = False
    proved: bool = True


class Snapshot(Struct, frozen=True, kw_only=True):
    """A whole map at one position; `statuses` has one byte per seat. `run_id` names the Redis that said it."""

    run_id: str
    position: Position
    plan_version: int
    statuses: bytes


class Mine(Struct, frozen=True, kw_only=True):
    """What is one visitor's in an event, as Redis says it; `order_id` is the order being decided."""

    hold_id: str = ""
    expires_in_ms: int = 0
    extendable: bool = False
    seats: tuple[int, ...] = ()
    order_id: str = ""
    order_seats: tuple[int, ...] = ()


class Change(Struct, frozen=True, kw_only=True):
    """What one batch of commands changed: all versions after `since` up to `to`, in one atomic step.

    `seats` has absolute statuses. `touched` says for whom something of theirs changed, why (``""`` when they
    asked for it) and what is theirs now; it never reaches a public frame.
    """

    epoch: int
    since: int
    to: int
    seats: dict[int, int]
    touched: tuple[tuple[str, str, Mine], ...] = ()


class Category(Struct, frozen=True, kw_only=True):
    """A price class of an event. `price` is in minor units; `color` is a hint, #rrggbb or empty."""

    id: int
    name: str
    price: int
    color: str = ""


class Seat(Struct, frozen=True, kw_only=True):
    """One place of a plan. `x`, `y` are its centre, in the plan's units; `category` is a category name."""

    section: str
    row: str
    number: str
    x: float
    y: float
    category: str = ""

    @property
    def label(self) -> str:
        """As people say it: "Stalls, row C, seat 7"."""
        parts = [self.section, f"row {self.row}" if self.row else "", f"seat {self.number}"]
        return ", ".join(part for part in parts if part)


class Shape(Struct, frozen=True, kw_only=True):
    """Something drawn behind the seats: a stage, a wall, a word. `points` are x, y pairs of a polygon."""

    points: tuple[float, ...]
    text: str = ""
    color: str = ""


class Plan(Struct, frozen=True, kw_only=True):
    """A venue's geometry.

    `seats` are in index order, row by row along the row, so that neighbours are consecutive indexes;
    `breaks` holds each index whose seat is *not* a neighbour of the seat before it (row ends and aisles,
    index 0 included). `categories` is in order of first use or of the file; colours may be empty. `removed`
    seats were part of the plan once; they are nowhere, and keep their index.
    """

    name: str
    seats: tuple[Seat, ...]
    breaks: frozenset[int]
    categories: tuple[str, ...]
    colors: tuple[str, ...] = ()
    shapes: tuple[Shape, ...] = ()
    removed: frozenset[int] = frozenset()


class Event(Struct, frozen=True, kw_only=True):
    """A ticketed show, as the ledger remembers it."""

    id: int
    name: str
    description: str
    venue: str
    starts_at: datetime
    timezone: str
    status: str  # draft, published, cancelled
    status_version: int
    epoch: int
    plan_id: int
    plan_version: int
    seat_count: int
    currency: str
    seats_per_visitor: int
    on_sale_from: datetime | None
    on_sale_until: datetime | None
    paused: bool  # published, but nobody may take further seats
    message: str  # shown on all its pages; empty for none
    categories: tuple[Category, ...]
    fee_per_seat: int = 0  # minor units, on top of each seat's price
    payment_methods: list[str] = []  # the first is the default
    accessible_until: datetime | None = None  # until then accessible seats are the box office's to give


class BookedSeat(Struct, frozen=True, kw_only=True):
    """One seat of an order, as its buyer sees it. `status` is pending, confirmed or cancelled."""

    seat: int
    label: str
    category: str
    price: int
    status: str


class PaymentPage(Struct, frozen=True):
    """Where an order is paid. `url` is empty until the provider has given one."""

    provider: str
    url: str


class Order(Struct, frozen=True, kw_only=True):
    """One purchase. `status` is pending, confirmed or cancelled, as are those of its bookings.

    A pending order says how long, and where, it can be paid.
    """

    id: UUID
    event_id: int
    event_name: str
    status: str
    total: int
    currency: str
    payment_status: str
    payment_method: str
    name: str
    email: str
    created_at: datetime
    seats: tuple[BookedSeat, ...]
    pay_by_ms: int | None = None
    checkout: PaymentPage | None = None
