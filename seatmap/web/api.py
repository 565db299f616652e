"""The HTTP API: reading events, plans and seats, and the commands for people who integrate."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET, Raw, Struct, UnsetType
from starlette.responses import Response

from seatmap import protocol
from seatmap.errors import Refused
from seatmap.ledger import claims, orders
from seatmap.model import Category, Event, Order, Status
from seatmap.protocol import MineState
from seatmap.web.endpoint import Access, Call, Endpoint, Handle, json, path_number
from seatmap.web.execute import Counter
from seatmap.web.listing import seats_as_json
from seatmap.web.room import Room, sale_of
from seatmap.web.rooms import Rooms
from seatmap.zones import zone


class Counts(Struct, frozen=True):
    """How many seats have each status."""

    available: int
    held: int
    booked: int
    blocked: int


class EventView(Struct, frozen=True, kw_only=True):
    """An event as everybody may see it; `fee_per_seat` comes on top of each price. `counts` is null while
    this process has no map of it. Until `accessible_until` accessible seats are blocked, for the box office
    to give to who needs them.
    """

    id: int
    name: str
    description: str
    venue: str
    starts_at: datetime
    timezone: str
    status: str
    sale: str
    on_sale_from: datetime | None
    on_sale_until: datetime | None
    accessible_until: datetime | None
    plan_version: int
    seat_count: int
    currency: str
    seats_per_visitor: int
    fee_per_seat: int
    payment_methods: list[str]
    categories: tuple[Category, ...]
    counts: Counts | None


class EventList(Struct, frozen=True):
    """The published events, the next first."""

    events: list[EventView]


class SeatsQuery(Struct, frozen=True):
    """How the seats are written."""

    compact: str = ""


class SeatView(Struct, frozen=True):
    """One seat at a position."""

    index: int
    label: str
    category: str
    price: int
    status: str
    accessible: bool


class SeatsView(Struct, frozen=True, kw_only=True):
    """A map at one position: `seats`, or with ?compact=1 `statuses`, a digit per seat."""

    event_id: int
    epoch: int
    version: int
    plan_version: int
    counts: Counts
    seats: list[SeatView] | UnsetType = UNSET
    statuses: str | UnsetType = UNSET


class OrderList(Struct, frozen=True):
    """Orders, the newest first."""

    orders: list[Order]


class Api:
    """The endpoints under /api that need no account."""

    def __init__(self, rooms: Rooms, counter: Counter) -> None:
        self._rooms = rooms
        self._counter = counter

    def endpoints(self) -> list[Endpoint]:
        """All of them."""

        def read(
            path: str, handle: Handle, summary: str, answer: Any, access: Access = Access.public, **more: Any
        ) -> Endpoint:
            return Endpoint(
                method="GET",
                path=path,
                handle=handle,
                access=access,
                tag="orders" if path.startswith("/api/orders") else "map",
                summary=summary,
                answer=answer,
                **more,
            )

        one = "/api/events/{event_id}"
        return [
            read("/api/events", self.events, "The published events", EventList),
            read(one, self.event, "One event", EventView),
            read(f"{one}/plan", self.plan, "Its plan, the same bytes until it changes", None),
            read(f"{one}/seats", self.seats, "Its seats at one position", SeatsView, query=SeatsQuery),
            read(f"{one}/mine", self.mine, "What is mine in it", MineState, Access.visitor),
            read("/api/orders", self.orders, "My orders", OrderList),
            read("/api/orders/{order_id}", self.order, "One of my orders", Order),
            *self._commands(),
        ]

    def _commands(self) -> list[Endpoint]:
        def command(kind: Any, summary: str, answer: Any, *refuses: str, **example: Any) -> Endpoint:
            name = kind.__struct_config__.tag
            return Endpoint(
                method="POST",
                path=f"/api/events/{{event_id}}/{name}",
                handle=self._execute,
                access=Access.visitor,
                tag="commands",
                summary=summary,
                body=kind,
                answer=answer,
                refuses=(*refuses, "wrong_epoch"),
                example=example,
            )

        seats, hold = {"seats": [4, 5]}, {"hold_id": "0f0e0d0c0b0a09080706050403020100"}
        order = {"order_id": "0192f0c1-2b3c-7d4e-8f50-617283940516"}
        buyer = {"total": 3000, "name": "Ada Lovelace", "email": "ada@example.org"}
        return [
            command(
                protocol.Hold, "Add seats to my hold, all or none", MineState, *_SEATS, *_HOLDING, **seats
            ),
            command(
                protocol.Release, "Give seats of my hold back", MineState, *_SEATS, *_HOLD, **hold, **seats
            ),
            command(
                protocol.Extend,
                "Give my hold more time, once",
                MineState,
                *_HOLD,
                "hold_not_extendable",
                **hold,
            ),
            command(
                protocol.Book,
                "Buy exactly my hold",
                Order,
                *_SEATS,
                *_HOLD,
                *_BUYING,
                **order,
                **hold,
                **seats,
                **buyer,
            ),
            command(
                protocol.Cancel, "Give an order back", Order, "order_not_found", "order_not_active", **order
            ),
        ]

    # ---- reading ----

    async def events(self, call: Call) -> EventList:
        return EventList([self._view(event) for event in self._rooms.listed])

    async def event(self, call: Call) -> EventView:
        return self._view((await self._room(call)).event)

    def _view(self, event: Event) -> EventView:
        room = self._rooms.known(event.id)
        return EventView(
            id=event.id,
            name=event.name,
            description=event.description,
            venue=event.venue,
            starts_at=event.starts_at.astimezone(zone(event.timezone)),
            timezone=event.timezone,
            status=event.status,
            sale=sale_of(event),
            on_sale_from=event.on_sale_from,
            on_sale_until=event.on_sale_until,
            accessible_until=event.accessible_until,
            plan_version=event.plan_version,
            seat_count=event.seat_count,
            currency=event.currency,
            seats_per_visitor=event.seats_per_visitor,
            fee_per_seat=event.fee_per_seat,
            payment_methods=event.payment_methods,
            categories=event.categories,
            counts=Counts(**room.counts()) if room else None,
        )

    async def plan(self, call: Call) -> Response:
        room = await self._room(call)
        tag = f'"{room.event.id}-{room.event.plan_version}"'
        headers = {"etag": tag, "cache-control": "no-cache"}
        if call.request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(room.facts.plan, 200, headers, "application/json")

    async def seats(self, call: Call) -> Response:
        room = await self._room(call)
        replica, table = room.watch.replica, room.facts.table
        head: dict[str, Any] = {
            "event_id": room.event.id,
            "epoch": replica.position.epoch,
            "version": replica.position.version,
            "plan_version": replica.plan_version,
            "counts": room.counts(),
        }
        if call.query.compact:
            return json({**head, "statuses": bytes(replica.statuses).translate(_DIGITS).decode()})
        return json({**head, "seats": Raw(await seats_as_json(table, bytes(replica.statuses)))})

    async def mine(self, call: Call) -> MineState | Order:
        return await self._counter.execute(await self._room(call), call.caller.visitor, protocol.Mine())

    async def orders(self, call: Call) -> OrderList:
        visitor, user = call.caller.visitor, call.caller.user
        if not visitor and user is None:
            return OrderList([])
        account = None if user is None else user.id
        return OrderList(await orders.of_visitor(self._rooms.stores.pool, visitor, account))

    async def order(self, call: Call) -> Order:
        try:
            order_id = UUID(call.request.path_params["order_id"])
        except ValueError:
            raise Refused("order_not_found") from None
        visitor = await self._buyer(call, order_id)
        order = await orders.get(self._rooms.stores.pool, order_id, visitor) if visitor else None
        if order is None:
            raise Refused("order_not_found")
        return order

    # ---- commands ----

    async def _execute(self, call: Call) -> MineState | Order:
        visitor = call.caller.visitor
        if isinstance(call.body, protocol.Cancel):
            visitor = await self._buyer(call, call.body.order_id)
        return await self._counter.execute(await self._room(call), visitor, call.body)

    async def _buyer(self, call: Call, order_id: UUID) -> str:
        """In whose name an order is asked for: the visitor's who made it, if it is the account's; else one's own."""
        visitor, user = call.caller.visitor, call.caller.user
        if user is None:
            return visitor
        return await claims.buyer(self._rooms.stores.pool, order_id, user.id) or visitor

    async def _room(self, call: Call) -> Room:
        return await self._rooms.get(event_id_of(call.request.path_params["event_id"]))


# what a command about seats, one about a hold, taking seats and buying them may be refused for
_SEATS = ("seat_out_of_range", "seat_repeated", "too_many_seats")
_HOLD = ("not_your_hold", "hold_expired", "in_checkout")
_HOLDING = (
    "paused",
    "no_seats",
    "seat_taken",
    "seat_blocked",
    "seat_held_back",
    "not_your_hold",
    "hold_expired",
    "in_checkout",
    "not_on_sale",
)
_BUYING = (
    "no_seats",
    "seat_taken",
    "seat_blocked",
    "hold_changed",
    "not_on_sale",
    "price_changed",
    "order_reused",
    "order_aborted",
)
_DIGITS = bytes(b"0123"[i] if i < len(Status) else 0 for i in range(256))


def event_id_of(text: str) -> int:
    """An event's id in a path. Refuses with event_not_found."""
    return path_number(text, "event_not_found")
