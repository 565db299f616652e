"""The endpoints of one event's seats and pages: off sale, other prices, holds, a message to everybody."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct
from starlette.responses import Response

from seatmap.booking.commands import Evict
from seatmap.changes import indexes
from seatmap.checkout.announce import announce
from seatmap.checkout.prolong import prolong_holds
from seatmap.checkout.seat_edits import SeatEdit, edit_seats
from seatmap.errors import Refused
from seatmap.ledger import staff_events
from seatmap.ledger.staff_events import StaffEvent
from seatmap.model import SEATS_MAX, Status
from seatmap.protocol import END
from seatmap.web.admin_event import Id, who
from seatmap.web.admin_events import event_number, record
from seatmap.web.api import Counts, SeatsView
from seatmap.web.endpoint import Access, Call, Endpoint, Handle, Nothing, json
from seatmap.web.listing import seats_as_json
from seatmap.web.room import Facts, read_facts
from seatmap.web.rooms import Rooms

SEATS_AT_ONCE = 50_000
SEATS_BYTES_MAX = 1_000_000

Seat = Annotated[int, Meta(ge=0, lt=SEATS_MAX)]


class SeatsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which seats, and one thing that they should be."""

    seats: Annotated[tuple[Seat, ...], Meta(min_length=1, max_length=SEATS_AT_ONCE)]
    status: Literal["blocked", "available"] | None = None
    category_id: Id | None = None
    accessible: bool | None = None


class Left(Struct, frozen=True):
    """A seat that was left as it is, because somebody has it: seat_held or seat_booked."""

    seat: int
    label: str
    code: str


class SeatsChanged(Struct, frozen=True):
    """How many seats have changed, and those that could not."""

    changed: int
    refused: list[Left]


class MoreTime(Struct, frozen=True, forbid_unknown_fields=True):
    """How much longer every hold should live."""

    seconds: Annotated[int, Meta(ge=1, le=3600)]


class Extended(Struct, frozen=True):
    """How many holds got more time."""

    holds: int


class OneSeat(Struct, frozen=True, forbid_unknown_fields=True):
    """A seat of the hold that is meant."""

    seat: Seat


class Released(Struct, frozen=True):
    """The seats that are free now."""

    seats: list[int]


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """What everybody who looks at the event should read; empty takes it away."""

    text: Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*" + END)]


class SeatDesk:
    """Handles the endpoints."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._stores = rooms.stores

    def endpoints(self) -> list[Endpoint]:
        """All of them."""

        def read(path: str, handle: Handle, summary: str, answer: Any) -> Endpoint:
            return Endpoint(
                method="GET",
                path=f"/api/admin/events/{{event_id}}/{path}",
                handle=handle,
                access=Access.viewer,
                tag="admin events",
                summary=summary,
                answer=answer,
                refuses=("event_not_found", "wrong_state"),
            )

        return [
            read("plan", self.plan, "Its plan, of a draft too", None),
            read("seats", self.seats, "Its seats, of a draft too", SeatsView),
            *self._acts(),
        ]

    def _acts(self) -> list[Endpoint]:
        def act(path: str, handle: Handle, summary: str, answer: Any, *refuses: str, **more: Any) -> Endpoint:
            return Endpoint(
                method="POST",
                path=f"/api/admin/events/{{event_id}}/{path}",
                handle=handle,
                access=Access.admin,
                tag="admin events",
                summary=summary,
                answer=answer,
                refuses=("event_not_found", "wrong_state", *refuses),
                **more,
            )

        return [
            act(
                "seats",
                self.edit,
                "Take seats off sale, put them back, into another category, or say that they are accessible",
                SeatsChanged,
                "seat_out_of_range",
                "too_many_seats",
                body=SeatsBody,
                body_bytes_max=SEATS_BYTES_MAX,
                example={"seats": [4, 5], "status": "blocked"},
            ),
            act(
                "extend-holds",
                self.extend_holds,
                "Give every hold more time, as after an incident",
                Extended,
                body=MoreTime,
                example={"seconds": 120},
            ),
            act(
                "release-hold",
                self.release_hold,
                "End the hold that has a seat",
                Released,
                "seat_out_of_range",
                "in_checkout",
                body=OneSeat,
                example={"seat": 4},
            ),
            act(
                "message",
                self.message,
                "Show everybody who looks at the event a sentence",
                Nothing,
                body=Message,
                example={"text": "The doors open at seven."},
            ),
        ]

    # ---- reading ----

    async def _facts(self, call: Call) -> tuple[StaffEvent, Facts]:
        staff = await staff_events.get(self._stores.pool, event_number(call))
        room = self._rooms.known(staff.event.id)
        if room is not None and room.event.plan_version == staff.event.plan_version:
            return staff, room.facts
        facts = await read_facts(self._stores, staff.event)
        if len(facts.table.labels) < staff.event.seat_count:
            raise Refused("wrong_state", "The event's seats are not all made yet.")
        return staff, facts

    async def plan(self, call: Call) -> Response:
        _, facts = await self._facts(call)
        return Response(facts.plan, 200, media_type="application/json")

    async def seats(self, call: Call) -> Response:
        staff, facts = await self._facts(call)
        room = self._rooms.known(staff.event.id)
        epoch, version = room.watch.replica.position if room else (staff.event.epoch, 0)
        statuses = bytearray(room.watch.replica.statuses) if room else _as_kept(facts)
        return json(
            {
                "event_id": staff.event.id,
                "epoch": epoch,
                "version": version,
                "plan_version": staff.event.plan_version,
                "counts": Counts(**{status.name: statuses.count(status) for status in Status}),
                "seats": Raw(await seats_as_json(facts.table, bytes(statuses))),
            }
        )

    # ---- changing ----

    async def edit(self, call: Call) -> SeatsChanged:
        event_id, body = event_number(call), call.body
        if sum(value is not None for value in (body.status, body.category_id, body.accessible)) != 1:
            raise Refused("invalid", "One of status, category_id and accessible should be given.")
        if len(set(body.seats)) < len(body.seats):
            raise Refused("invalid", "seats: one is named twice.")
        edit = SeatEdit(status=body.status or "", category_id=body.category_id, accessible=body.accessible)
        edited = await edit_seats(self._stores, event_id, body.seats, edit, user_id=who(call))
        if not edited.held and not edited.booked:
            return SeatsChanged(len(edited.changed), [])
        _, facts = await self._facts(call)
        labels = facts.table.labels
        held = [Left(seat, labels[seat], "seat_held") for seat in edited.held]
        booked = [Left(seat, labels[seat], "seat_booked") for seat in edited.booked]
        return SeatsChanged(len(edited.changed), held + booked)

    async def extend_holds(self, call: Call) -> Extended:
        event_id = event_number(call)
        details = {"seconds": call.body.seconds}
        async with staff_events.changing(self._stores.pool, event_id, "extend_holds") as (conn, _):
            await record(conn, call, "extend_holds", event_id, details)
        return Extended(await prolong_holds(self._stores, event_id, call.body.seconds * 1000))

    async def release_hold(self, call: Call) -> Released:
        event_id, seat = event_number(call), call.body.seat
        async with staff_events.changing(self._stores.pool, event_id, "release_hold") as (conn, _):
            await record(conn, call, "release_hold", event_id, {"seat": seat})
        try:
            answer = await self._stores.desk.decide(event_id, Evict(seat))
        except Refused as refusal:
            if refusal.code == "in_checkout":
                raise Refused("in_checkout", "This seat is being bought; it cannot be released.") from None
            raise
        return Released(list(indexes(answer.fields[0])))

    async def message(self, call: Call) -> Nothing:
        event_id, text = event_number(call), call.body.text
        async with staff_events.changing(self._stores.pool, event_id, "message") as (conn, _):
            await staff_events.change(conn, event_id, {"message": text})
            await record(conn, call, "message", event_id, {"text": text})
        await announce(self._stores, (await staff_events.get(self._stores.pool, event_id)).shown)
        self._rooms.look_again(event_id)
        return Nothing()


def _as_kept(facts: Facts) -> bytearray:
    """The statuses of an event that is not on sale."""
    statuses = bytearray(len(facts.table.labels))
    for seat in facts.table.blocked:
        statuses[seat] = Status.blocked
    return statuses
