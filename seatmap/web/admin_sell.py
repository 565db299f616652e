"""The endpoint of sales over the counter."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct, structs

from seatmap.checkout.counter_sale import CounterSale, CounterSales
from seatmap.checkout.stores import Stores
from seatmap.ledger.box_office import AdminOrder
from seatmap.model import SEATS_PER_COMMAND_MAX
from seatmap.protocol import EmailIfAny, Name
from seatmap.web.admin_event import who
from seatmap.web.admin_events import event_number
from seatmap.web.admin_orders import TAKING, SeatIndex, order_page
from seatmap.web.endpoint import Access, Call, Endpoint


class SaleBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which seats, for how much (minor units, fees included), and for whom. The caller makes `order_id` and keeps it.

    `paid`: the money was taken; else it is still to come, as from a buyer who pays at the door.
    """

    order_id: UUID
    seats: Annotated[tuple[SeatIndex, ...], Meta(min_length=1, max_length=SEATS_PER_COMMAND_MAX)]
    total: Annotated[int, Meta(ge=0, lt=1 << 53)]
    name: Name
    email: EmailIfAny = ""
    paid: bool = True


class CounterDesk:
    """Handles the endpoint."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def endpoints(self) -> list[Endpoint]:
        """All of them."""
        sell = Endpoint(
            method="POST",
            path="/api/admin/events/{event_id}/sell",
            handle=self.sell,
            access=Access.box_office,
            tag="box office",
            summary="Sell seats over the counter",
            body=SaleBody,
            answer=AdminOrder,
            refuses=(
                "event_not_found",
                *TAKING,
                "price_changed",
                "too_many_seats",
                "method_not_offered",
                "order_reused",
                "wrong_epoch",
            ),
            example={
                "order_id": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
                "seats": [4, 5],
                "total": 5000,
                "name": "Ada Lovelace",
                "email": "ada@example.org",
            },
        )
        return [sell]

    async def sell(self, call: Call) -> AdminOrder:
        sale = CounterSale(event_id=event_number(call), **structs.asdict(call.body))
        await CounterSales(self._stores, who(call)).sell(sale)
        return await order_page(self._stores, sale.order_id)
