"""Sales over the counter: the box office books free seats, also those kept back, for whoever stands before it.

Redis claims the seats first, then Postgres books them. A crash in between leaves a claim of no order, which the
reconciler frees, or an order that Redis has not heard of, which it tells.
"""

import hashlib
from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec import Struct

from seatmap.booking.commands import Settle, Take
from seatmap.checkout.stores import Stores
from seatmap.checkout.taken import give_back
from seatmap.checkout.tell import tell
from seatmap.errors import Refused, Unavailable
from seatmap.failpoints import failpoint
from seatmap.ledger import audit_log, box_office, events, orders
from seatmap.ledger.orders import Purchase, Verdict
from seatmap.ledger.pool import connection

DOOR = "door"

_DETAILS = {
    "method_not_offered": "This event cannot be paid at the door. Add that to its ways to pay first.",
    "too_many_seats": "That is more seats than one order may have here. Sell them as several orders.",
}


class CounterSale(Struct, frozen=True, kw_only=True):
    """What is sold to whom: `total` in minor units. `paid`: the money is in the till; else it is still to come."""

    order_id: UUID
    event_id: int
    seats: tuple[int, ...]
    total: int
    name: str
    email: str  # empty: none was given
    paid: bool


class CounterSales:
    """Sells for the account `user_id`."""

    def __init__(self, stores: Stores, user_id: int) -> None:
        self._stores = stores
        self._user_id = user_id

    async def sell(self, sale: CounterSale) -> None:
        """Books the seats, all or none. Repeating it answers the same.

        Refuses with event_not_found, or with what `Take` and `book_orders` refuse for. Raises Unavailable where it is
        unknown.
        """
        event = await events.get(self._stores.pool, sale.event_id)
        if event is None:
            raise Refused("event_not_found")
        purchase = _purchase(sale, event.payment_methods)
        verdict = await orders.verdict(
            self._stores.pool, purchase.order_id, purchase.visitor, purchase.body_hash
        )
        if verdict is None:
            verdict = await self._take_and_book(sale, purchase)
        if verdict.outcome != "committed":
            raise Refused(verdict.reason, _DETAILS.get(verdict.reason, ""))

    async def _take_and_book(self, sale: CounterSale, purchase: Purchase) -> Verdict:
        await failpoint("sell.before_take")
        take = Take(purchase.order_id.hex, purchase.visitor, purchase.seats)
        taken = await self._stores.desk.decide(sale.event_id, take)
        await failpoint("sell.after_take")
        verdict = await self._book(sale, msgspec.structs.replace(purchase, epoch=taken.position.epoch))
        await failpoint("sell.after_commit")
        if verdict.outcome == "committed":
            settle = Settle(purchase.order_id.hex, purchase.visitor, purchase.seats, "moved")
            await tell(self._stores, sale.event_id, settle)
        else:
            order_id, visitor, seats = purchase.order_id, purchase.visitor, purchase.seats
            await give_back(self._stores, sale.event_id, order_id, visitor, seats)
        await failpoint("sell.after_settle")
        return verdict

    async def _book(self, sale: CounterSale, purchase: Purchase) -> Verdict:
        """The order, its money and its entry in the log, in one transaction."""
        async with connection(self._stores.pool) as conn, conn.transaction():
            verdict = (await orders.book(conn, sale.event_id, [purchase], 0)).get(purchase.order_id)
            if verdict is None:  # its double was faster
                raise Unavailable("This sale is being made already. Try again in a moment.")
            if verdict.outcome == "committed":
                if sale.paid and purchase.method == DOOR:
                    await box_office.mark_paid(conn, purchase.order_id)
                await audit_log.record(
                    conn,
                    user_id=self._user_id,
                    verb="sell",
                    object="order",
                    event_id=sale.event_id,
                    order_id=purchase.order_id,
                    details={"seats": sale.seats, "paid": sale.paid},
                )
            await failpoint("sell.before_commit")
        return verdict


def _purchase(sale: CounterSale, methods: Sequence[str]) -> Purchase:
    """The same for the same sale, so that a repetition is known."""
    return Purchase(
        order_id=sale.order_id,
        event_id=sale.event_id,
        epoch=0,
        visitor=f"counter-{sale.order_id.hex}",  # each customer is somebody else
        seats=sale.seats,
        total=sale.total,
        name=sale.name,
        email=sale.email,
        body_hash=hashlib.sha256(msgspec.json.encode(sale)).digest(),
        method=_method(sale.total, methods),
    )


def _method(total: int, methods: Sequence[str]) -> str:
    """At the door, unless there is nothing to pay or others than Seatmap see to the event's money."""
    if "free" in methods and (total == 0 or DOOR not in methods):
        return "free"
    return DOOR if total else ""
