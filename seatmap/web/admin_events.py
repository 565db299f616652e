"""The endpoints of /api/admin/events: what staff do to an event as a whole."""

from functools import partial
from typing import Annotated, Any

from msgspec import Meta, Struct

from seatmap.checkout.announce import announce
from seatmap.checkout.price_edits import check_currency
from seatmap.errors import Refused
from seatmap.failpoints import failpoint
from seatmap.ledger import audit_log, categories, events, jobs, plans, staff_events
from seatmap.ledger.events import NewEvent, Price
from seatmap.ledger.pool import connection
from seatmap.ledger.staff_events import StaffEvent
from seatmap.ledger.tasks import COPY_SEATS, GENERATE_SEATS, CopySeats, GenerateSeats
from seatmap.model import Event
from seatmap.plan.public import storable
from seatmap.protocol import END
from seatmap.web.admin_event import (
    AdminEvent,
    EventChanges,
    Line,
    NewEventBody,
    admin_event,
    check_fields,
    now,
    wanted,
    who,
)
from seatmap.web.admin_plans import wanted_plan
from seatmap.web.endpoint import Access, Call, Endpoint, Handle, Nothing
from seatmap.web.rooms import Rooms

_COPY = " (copy)"


class EventsQuery(Struct, frozen=True):
    """Which events: of a status, deleted ones, with a word in name or venue; from where the last list ended."""

    status: Annotated[str, Meta(pattern="^(draft|published|cancelled)?" + END)] = ""
    deleted: Annotated[int, Meta(ge=0, le=1)] = 0
    q: Line = ""
    cursor: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class AdminEvents(Struct, frozen=True):
    """Events, the newest first. `next` is the cursor of those after them."""

    events: list[AdminEvent]
    next: str | None


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    """Why, for the log."""

    reason: Line = ""


class EventDesk:
    """Makes, changes and ends events."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._stores = rooms.stores
        self._pool = rooms.stores.pool

    def endpoints(self) -> list[Endpoint]:
        """All of them."""

        def endpoint(
            method: str, path: str, handle: Handle, summary: str, *refuses: str, **more: Any
        ) -> Endpoint:
            more = {"access": Access.admin, "answer": AdminEvent, **more}
            return Endpoint(
                method=method,
                path=f"/api/admin/events{path}",
                handle=handle,
                tag="admin events",
                summary=summary,
                refuses=refuses,
                **more,
            )

        def act(verb: str, summary: str, *refuses: str, **more: Any) -> Endpoint:
            handle = partial(self._act, verb)
            return endpoint("POST", f"/{{event_id}}/{verb}", handle, summary, *_STATE, *refuses, **more)

        one, look = "/{event_id}", {"access": Access.viewer}
        return [
            endpoint("GET", "", self.list, "The events", query=EventsQuery, **look | {"answer": AdminEvents}),
            endpoint("POST", "", self.create, "Make a draft", "not_found", body=NewEventBody, example=_NEW),
            endpoint("GET", one, self.get, "One event", "event_not_found", **look),
            endpoint(
                "PATCH",
                one,
                self.change,
                "Change an event",
                *_STATE,
                "currency_settled",
                body=EventChanges,
                example=_CHANGE,
            ),
            endpoint(
                "DELETE", one, self.delete, "Delete an event", *_STATE, "event_has_bookings", answer=Nothing
            ),
            act("restore", "Take a deletion back"),
            act("publish", "Put a draft on sale"),
            act("pause", "Let nobody take further seats; what is held can be bought"),
            act("resume", "End a pause"),
            act(
                "cancel", "Close an event for ever", body=Reason, critical=True, example={"reason": "Flooded"}
            ),
            endpoint("POST", f"{one}/duplicate", self.duplicate, "Make a draft like an event", *_STATE),
        ]

    # ---- reading ----

    async def list(self, call: Call) -> AdminEvents:
        query: EventsQuery = call.query
        found = await staff_events.listing(
            self._pool,
            status=query.status,
            deleted=bool(query.deleted),
            text=query.q,
            before=query.cursor or None,
            limit=query.limit + 1,
        )
        shown = found[: query.limit]
        following = str(shown[-1].event.id) if len(found) > len(shown) else None
        return AdminEvents([admin_event(self._rooms, staff) for staff in shown], following)

    async def get(self, call: Call) -> AdminEvent:
        return await self._shown(event_number(call))

    async def _shown(self, event_id: int) -> AdminEvent:
        return admin_event(self._rooms, await staff_events.get(self._pool, event_id))

    # ---- making ----

    async def create(self, call: Call) -> AdminEvent:
        body: NewEventBody = call.body
        check_fields({name: getattr(body, name) for name in body.__struct_fields__})
        prices = wanted(body.categories)
        category = body.categories[0].name if body.categories else "Standard"
        plan, plan_id = await wanted_plan(self._pool, body, body.venue or body.name, category)
        given = {price.name for price in prices}
        event = NewEvent(
            name=body.name,
            description=body.description,
            venue=body.venue,
            starts_at=body.starts_at,
            timezone=body.timezone,
            currency=body.currency,
            seats_per_visitor=body.seats_per_visitor or self._stores.settings.seats_per_visitor,
            on_sale_from=body.on_sale_from,
            on_sale_until=body.on_sale_until,
            prices=(
                *(Price(name=price.name, price=price.price, color=price.color) for price in prices),
                *(Price(name=name, price=0) for name in plan.categories if name not in given),
            ),
        )
        async with connection(self._pool) as conn, conn.transaction():
            if plan_id is None:
                plan_id = await plans.save(conn, plan.name, storable(plan), len(plan.seats))
            event_id = await events.create(conn, event, plan_id, len(plan.seats))
            await jobs.enqueue(conn, GENERATE_SEATS, GenerateSeats(event_id, publish=False), event_id)
            await record(conn, call, "create", event_id, {"name": body.name})
        return await self._shown(event_id)

    async def duplicate(self, call: Call) -> AdminEvent:
        event_id = event_number(call)
        async with staff_events.changing(self._pool, event_id, "duplicate") as (conn, staff):
            await staff_events.check_all_seats(conn, event_id)
            name = staff.event.name[: 200 - len(_COPY)] + _COPY
            copy = await staff_events.copy(conn, event_id, name)
            await jobs.enqueue(conn, COPY_SEATS, CopySeats(copy, event_id), copy)
            await record(conn, call, "duplicate", event_id, {"copy": copy})
        return await self._shown(copy)

    # ---- changing ----

    async def change(self, call: Call) -> AdminEvent:
        event_id, body = event_number(call), call.body
        columns = body.columns()
        currency = columns.get("currency")
        if currency is not None:
            before = await staff_events.get(self._pool, event_id)
            if currency != before.event.currency:
                await check_currency(self._stores, before)
        async with staff_events.changing(self._pool, event_id, "edit") as (conn, staff):
            event = staff.event
            window = {"on_sale_from": event.on_sale_from, "on_sale_until": event.on_sale_until}
            check_fields(window | columns)
            if currency not in (None, event.currency):
                await _change_currency(conn, event, before.event)
            replan = bool({"fee_per_seat", "accessible_until", "currency"} & set(columns))
            if body.categories:
                await staff_events.check_all_seats(conn, event_id)
                await categories.put(conn, event_id, wanted(body.categories))
                replan = True
            await staff_events.change(conn, event_id, columns, replan=replan)
            await record(conn, call, "edit", event_id, {"changes": body})
        return await self._changed(event_id)

    async def delete(self, call: Call) -> Nothing:
        event_id = event_number(call)
        async with staff_events.changing(self._pool, event_id, "delete") as (conn, _):
            if await staff_events.has_bookings(conn, event_id):
                raise Refused("event_has_bookings")
            await staff_events.change(conn, event_id, {"deleted_at": now()})
            await record(conn, call, "delete", event_id, {})
        await self._changed(event_id)
        return Nothing()

    async def _act(self, verb: str, call: Call) -> AdminEvent:
        event_id = event_number(call)
        details = {} if call.body is None else {"reason": call.body.reason}
        async with staff_events.changing(self._pool, event_id, verb) as (conn, _):
            await _TURN[verb](conn, event_id)
            await record(conn, call, verb, event_id, details)
        return await self._changed(event_id)

    async def _changed(self, event_id: int) -> AdminEvent:
        """Tell everybody what has been committed, and the caller what it is now."""
        staff: StaffEvent = await staff_events.get(self._pool, event_id)
        if staff.event.status != "draft":
            await announce(self._stores, staff.shown)
            self._rooms.look_again(event_id)  # even if Redis could not be told
        return admin_event(self._rooms, staff)


async def _publish(conn: Any, event_id: int) -> None:
    await staff_events.check_all_seats(conn, event_id)
    await events.publish_within(conn, event_id)


async def _cancel(conn: Any, event_id: int) -> None:
    await events.cancel_within(conn, event_id)
    await failpoint("cancel_event.before_commit")


async def _change_currency(conn: Any, event: Event, checked: Event) -> None:
    """Refuses where something was sold, or where the event is not as it was when it was checked in Redis."""
    if await staff_events.has_orders(conn, event.id):
        raise Refused(
            "currency_settled",
            f"The currency stays {event.currency}: seats were sold in it. Make a copy of the event for another one.",
        )
    if event.status_version != checked.status_version:
        raise Refused("wrong_state", "Somebody else changed the event at this moment; try again.")


_TURN: dict[str, Any] = {
    "publish": _publish,
    "cancel": _cancel,
    "pause": partial(staff_events.change, columns={"paused": True}),
    "resume": partial(staff_events.change, columns={"paused": False}),
    "restore": partial(staff_events.change, columns={"deleted_at": None}),
}
_STATE = ("event_not_found", "wrong_state")
_NEW = {
    "name": "The Tempest",
    "starts_at": "2030-05-01T19:30:00+02:00",
    "timezone": "Europe/Paris",
    "currency": "EUR",
    "grid": {"rows": 10, "columns": 20, "aisles": [10], "section": "Stalls"},
    "categories": [{"name": "Standard", "price": 2500, "color": "#1b5ce0"}],
}
_CHANGE = {"name": "The Tempest, again", "seats_per_visitor": 6}


async def record(conn: Any, call: Call, verb: str, event_id: int, details: dict[str, Any]) -> None:
    """Writes into the audit log what was done to an event."""
    await audit_log.record(
        conn, user_id=who(call), verb=verb, object="event", event_id=event_id, details=details
    )


def event_number(call: Call) -> int:
    """The event in the path. Refuses with event_not_found."""
    return call.number("event_id", "event_not_found")
