"""The endpoints of /api/admin/orders: what staff see of orders, and do to them."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct, structs

from seatmap.checkout.box_office import BoxOffice
from seatmap.checkout.payment import Cashier
from seatmap.checkout.stores import Stores
from seatmap.errors import Refused
from seatmap.ledger import audit_log, box_office, letters, mails
from seatmap.ledger.box_office import AdminOrder, Filter
from seatmap.ledger.pool import connection
from seatmap.model import SEATS_PER_COMMAND_MAX
from seatmap.order_letter import write
from seatmap.protocol import END
from seatmap.web.admin_event import who
from seatmap.web.endpoint import Access, Call, Endpoint, Handle, Nothing, check_proof

HISTORY_SHOWN_MAX = 200
PATH, ONE = "/api/admin/orders", "/api/admin/orders/{order_id}"
GONE = ("order_not_found", "order_not_active")
TAKING = ("seat_taken", "seat_blocked", "seat_out_of_range", "seat_repeated", "not_on_sale")
GIVES_BACK = (*GONE, "password_needed")

Text = Annotated[str, Meta(max_length=200, pattern="^[^\\x00]*$")]
SeatIndex = Annotated[int, Meta(ge=0, lt=1 << 20)]
SeatList = Annotated[list[SeatIndex], Meta(max_length=SEATS_PER_COMMAND_MAX)]
OldSeat = Annotated[str, Meta(pattern="^[0-9]{1,7}" + END)]  # the key of a JSON object is text
Moves = Annotated[dict[OldSeat, SeatIndex], Meta(min_length=1, max_length=SEATS_PER_COMMAND_MAX)]


class OrdersQuery(Struct, frozen=True):
    """Which orders: `q` is part of a name, email or seat label, an order id, or its last 8 digits."""

    q: Text = ""
    event: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0
    status: Annotated[str, Meta(pattern="^(pending|confirmed|cancelled)?" + END)] = ""
    payment: Annotated[str, Meta(pattern="^(none|unpaid|paid|failed|refund_due|refunded)?" + END)] = ""
    stuck: Annotated[int, Meta(ge=0, le=1)] = 0
    cursor: Annotated[str, Meta(pattern="^([0-9a-f-]{36})?" + END)] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class AdminOrders(Struct, frozen=True):
    """Orders, the newest first. `next` is the cursor of those after them."""

    orders: list[AdminOrder]
    next: str | None


class CancelBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Why, for the log."""

    reason: Text = ""


class RefundBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which seats (none: all), and why."""

    seats: SeatList = []
    reason: Text = ""


class ReseatBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Old seat → new seat."""

    seats: Moves


class PayOutBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which refunds were handed out, by their ids."""

    refunds: Annotated[tuple[Annotated[int, Meta(ge=1, lt=1 << 53)], ...], Meta(min_length=1, max_length=100)]


def _act(
    verb: str, handle: Handle, summary: str, body: type | None, *refuses: str, **example: object
) -> Endpoint:
    return Endpoint(
        method="POST",
        path=f"{ONE}/{verb}",
        handle=handle,
        access=Access.box_office,
        critical=verb == "retry-payment",
        tag="box office",
        summary=summary,
        body=body,
        answer=Nothing if verb == "resend" else AdminOrder,
        refuses=refuses,
        example=example if body else None,
    )


def _read(at: str, handle: Handle, summary: str, answer: type, query: type | None = None) -> Endpoint:
    return Endpoint(
        method="GET",
        path=at,
        handle=handle,
        access=Access.viewer,
        tag="box office",
        summary=summary,
        query=query,
        answer=answer,
        refuses=() if query else ("order_not_found",),
    )


class OrderDesk:
    """Handles the endpoints."""

    def __init__(self, stores: Stores, cashier: Cashier) -> None:
        self._stores = stores
        self._cashier = cashier

    def endpoints(self) -> list[Endpoint]:
        """All of them."""
        return [
            _read(PATH, self.list, "The orders", AdminOrders, OrdersQuery),
            _read(ONE, self.show, "One order, with its payments and its history", AdminOrder),
            _act("cancel", self.cancel, "Cancel an order", CancelBody, *GIVES_BACK, reason="Asked by phone"),
            _act(
                "refund",
                self.refund,
                "Take some seats back",
                RefundBody,
                *GIVES_BACK,
                seats=[4],
                reason="Ill",
            ),
            _act(
                "reseat",
                self.reseat,
                "Move to other seats",
                ReseatBody,
                *GONE,
                *TAKING,
                "cannot_reseat",
                seats={"4": 9},
            ),
            _act("mark-paid", self.mark_paid, "Paid at the door", None, "order_not_found", "not_unpaid"),
            _act(
                "retry-payment",
                self.retry_payment,
                "Try again what is stuck of its money",
                None,
                "order_not_found",
                "not_stuck",
            ),
            _act(
                "pay-out",
                self.pay_out,
                "Refunds of what was paid at the door were handed out",
                PayOutBody,
                "order_not_found",
                "refund_not_owed",
                refunds=[7],
            ),
            _act("resend", self.resend, "Mail the confirmation again", None, *GONE, "no_address"),
        ]

    async def list(self, call: Call) -> AdminOrders:
        query: OrdersQuery = call.query
        wanted = Filter(
            q=query.q.strip(),
            event_id=query.event or None,
            status=query.status,
            payment=query.payment,
            stuck=bool(query.stuck),
            after=_order_id(query.cursor) if query.cursor else None,
            limit=query.limit + 1,
        )
        found = await box_office.listed(self._stores.pool, wanted)
        shown = found[: query.limit]
        return AdminOrders(shown, str(shown[-1].id) if len(found) > len(shown) else None)

    async def show(self, call: Call) -> AdminOrder:
        return await order_page(self._stores, _order_id(call.request.path_params["order_id"]))

    async def cancel(self, call: Call) -> AdminOrder:
        order_id = await self._to_give_back(call)
        await BoxOffice(self._stores, who(call)).cancel(order_id, (), call.body.reason, "cancel")
        return await order_page(self._stores, order_id)

    async def refund(self, call: Call) -> AdminOrder:
        order_id = await self._to_give_back(call)
        seats = tuple(call.body.seats)
        await BoxOffice(self._stores, who(call)).cancel(order_id, seats, call.body.reason, "refund")
        return await order_page(self._stores, order_id)

    async def _to_give_back(self, call: Call) -> UUID:
        """The order that is to be cancelled, in whole or in part; money that goes back asks for a password."""
        order = await box_office.get(self._stores.pool, _order_id(call.request.path_params["order_id"]))
        if order.payment_status == "paid":
            check_proof(call.caller.user)
        return order.id

    async def reseat(self, call: Call) -> AdminOrder:
        order_id = _order_id(call.request.path_params["order_id"])
        order = await box_office.get(self._stores.pool, order_id)
        moves = {int(old): new for old, new in call.body.seats.items()}
        await BoxOffice(self._stores, who(call)).reseat(order.event_id, order_id, moves)
        return await order_page(self._stores, order_id)

    async def mark_paid(self, call: Call) -> AdminOrder:
        order_id = _order_id(call.request.path_params["order_id"])
        await BoxOffice(self._stores, who(call)).mark_paid(order_id)
        return await order_page(self._stores, order_id)

    async def retry_payment(self, call: Call) -> AdminOrder:
        order_id = _order_id(call.request.path_params["order_id"])
        await BoxOffice(self._stores, who(call)).retry_payment(order_id)
        await self._cashier.retry(order_id)
        return await order_page(self._stores, order_id)

    async def pay_out(self, call: Call) -> AdminOrder:
        order_id = _order_id(call.request.path_params["order_id"])
        await BoxOffice(self._stores, who(call)).pay_out(order_id, call.body.refunds)
        return await order_page(self._stores, order_id)

    async def resend(self, call: Call) -> Nothing:
        order = await box_office.get(self._stores.pool, _order_id(call.request.path_params["order_id"]))
        if not order.email:
            raise Refused("no_address")
        async with connection(self._stores.pool) as conn, conn.transaction():
            matter = (await letters.matters(conn, [order.id]))[order.id]
            letter = write(self._stores.settings, "confirmed", matter)
            if letter is None:
                raise Refused("order_not_active")
            await mails.enqueue(conn, order.email, *letter)
            await audit_log.record(
                conn,
                user_id=who(call),
                verb="resend",
                object="order",
                event_id=order.event_id,
                order_id=order.id,
                details={"to": order.email},
            )
        return Nothing()


async def order_page(stores: Stores, order_id: UUID) -> AdminOrder:
    """One order with its payments and its history. Refuses with order_not_found."""
    order = await box_office.get(stores.pool, order_id)
    entries = await audit_log.entries(stores.pool, order_id=order_id, limit=HISTORY_SHOWN_MAX)
    history = [
        {"at": entry.at, "who": entry.user, "what": entry.verb, "details": entry.details} for entry in entries
    ]
    return structs.replace(order, history=history)


def _order_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Refused("order_not_found") from None
