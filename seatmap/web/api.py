"""The HTTP API: reading events, plans and seats, and the commands for people who integrate."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seatmap import protocol
from seatmap.errors import Refused
from seatmap.ledger import orders
from seatmap.model import Event, Status
from seatmap.protocol import decode_fields
from seatmap.web.execute import Counter
from seatmap.web.guard import check_origin, is_https, read_body
from seatmap.web.listing import seats_as_json, zone
from seatmap.web.room import Room, sale_of
from seatmap.web.rooms import Rooms
from seatmap.web.visitor import Visitors

COMMANDS = ("hold", "release", "extend", "book", "cancel")

PRIVATE = {"cache-control": "no-store"}

_encode = msgspec.json.Encoder().encode


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(_encode(value), status, headers, "application/json")


class Api:
    """The routes under /api."""

    def __init__(self, rooms: Rooms, counter: Counter, visitors: Visitors) -> None:
        self._rooms = rooms
        self._counter = counter
        self._visitors = visitors

    def routes(self) -> list[Route]:
        """Every route of the API."""
        events = [
            Route("/api/events", self.events),
            Route("/api/events/{event_id}", self.event),
            Route("/api/events/{event_id}/plan", self.plan),
            Route("/api/events/{event_id}/seats", self.seats),
            Route("/api/events/{event_id}/mine", self.mine),
            Route("/api/orders", self.orders),
            Route("/api/orders/{order_id}", self.order),
        ]
        commands = [
            Route(f"/api/events/{{event_id}}/{name}", self._command(name), methods=["POST"])
            for name in COMMANDS
        ]
        return [*events, *commands]

    # ---- reading ----

    async def events(self, request: Request) -> Response:
        """GET /api/events"""
        return json({"events": [self._event(event) for event in self._rooms.listed]})

    async def event(self, request: Request) -> Response:
        """GET /api/events/{id}"""
        room = await self._room(request)
        return json(self._event(room.event))

    def _event(self, event: Event) -> dict[str, Any]:
        room = self._rooms.known(event.id)
        return {
            "id": event.id,
            "name": event.name,
            "description": event.description,
            "venue": event.venue,
            "starts_at": event.starts_at.astimezone(zone(event.timezone)).isoformat(),
            "timezone": event.timezone,
            "status": event.status,
            "sale": sale_of(event),
            "on_sale_from": event.on_sale_from,
            "on_sale_until": event.on_sale_until,
            "plan_version": event.plan_version,
            "seat_count": event.seat_count,
            "currency": event.currency,
            "seats_per_visitor": event.seats_per_visitor,
            "categories": event.categories,
            "counts": room.counts() if room else None,
        }

    async def plan(self, request: Request) -> Response:
        """GET /api/events/{id}/plan: the same bytes until the plan changes."""
        room = await self._room(request)
        tag = f'"{room.event.id}-{room.event.plan_version}"'
        headers = {"etag": tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(room.facts.plan, 200, headers, "application/json")

    async def seats(self, request: Request) -> Response:
        """GET /api/events/{id}/seats: a snapshot. With ?compact=1 the statuses are one string of digits."""
        room = await self._room(request)
        replica, table = room.watch.replica, room.facts.table
        head = {
            "event_id": room.event.id,
            "epoch": replica.position.epoch,
            "version": replica.position.version,
            "plan_version": replica.plan_version,
            "counts": room.counts(),
        }
        if request.query_params.get("compact"):
            digits = bytes(replica.statuses).translate(_DIGITS).decode()
            return json({**head, "statuses": digits})
        listed = await seats_as_json(table, bytes(replica.statuses))
        return json({**head, "seats": msgspec.Raw(listed)})

    async def mine(self, request: Request) -> Response:
        """GET /api/events/{id}/mine"""
        return await self._execute(request, await self._room(request), protocol.Mine())

    async def orders(self, request: Request) -> Response:
        """GET /api/orders"""
        visitor = self._known(request)
        found = await orders.of_visitor(self._rooms.stores.pool, visitor) if visitor else []
        return json({"orders": found}, 200, PRIVATE)

    async def order(self, request: Request) -> Response:
        """GET /api/orders/{order_id}"""
        visitor = self._known(request)
        try:
            order_id = UUID(request.path_params["order_id"])
        except ValueError:
            raise Refused("order_not_found") from None
        order = await orders.get(self._rooms.stores.pool, order_id, visitor) if visitor else None
        if order is None:
            raise Refused("order_not_found")
        return json(order, 200, PRIVATE)

    def _known(self, request: Request) -> str | None:
        """Who asks, if we have met. Reading makes nobody a visitor: a page's first requests run at once."""
        return self._visitors.read(request.headers, https=is_https(request.scope))

    # ---- commands ----

    def _command(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        async def carry_out(request: Request) -> Response:
            check_origin(request.scope, request.headers, self._rooms.stores.settings.origins)
            command = decode_fields(name, await read_body(request))
            return await self._execute(request, await self._room(request), command)

        carry_out.__doc__ = f"POST /api/events/{{id}}/{name}"
        return carry_out

    async def _execute(self, request: Request, room: Room, command: protocol.Command) -> Response:
        visitor, headers = self._visitors.greet(request.scope, request.headers)
        return json(await self._counter.execute(room, visitor, command), 200, {**PRIVATE, **headers})

    async def _room(self, request: Request) -> Room:
        return await self._rooms.get(event_id_of(request.path_params["event_id"]))


_DIGITS = bytes(b"0123"[i] if i < len(Status) else 0 for i in range(256))


def event_id_of(text: str) -> int:
    """An event's id in a path. Refuses with event_not_found."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Refused("event_not_found", f"{text[:40]!r} is no event; see GET /api/events.")
    return int(text)
