"""An event that costs money, with a test card to pay it, for the tests of payments."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
from checkout_world import Shop, an_order, open_shop

from seatmap.booking.commands import Finish, Settle
from seatmap.checkout.payment import Cashier
from seatmap.checkout.providers.door import Door
from seatmap.checkout.providers.test_card import TestCard
from seatmap.checkout.reconcile import differences, repair
from seatmap.config import Settings
from seatmap.ledger import orders, payments
from seatmap.ledger.payments import Payment, Settled
from seatmap.model import Order
from seatmap.protocol import Book, Cancel

CARD = "test_card"


class Silent(Cashier):
    """A process that dies before it has told Redis anything."""

    async def _tell(self, event_id: int, command: Settle | Finish) -> None:
        return


class Till:
    """A shop whose orders are paid by the test card."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.pool = shop.stores.pool
        self.card = TestCard(self.pool, b"secret")
        self.cashier = self.other(Cashier)

    def other(self, kind: type[Cashier]) -> Cashier:
        return kind(self.shop.stores, {CARD: self.card, "door": Door()})

    async def order(self, visitor: str, *seats: int, method: str = CARD) -> Book:
        """Booked, and its page opened."""
        order = an_order(await self.shop.hold(visitor, *seats), *seats, payment_method=method)
        await self.shop.book(visitor, order)
        await self.shop.checkout.close()
        await self.read(order, visitor)
        return order

    async def read(self, order: Book, visitor: str) -> Order:
        found = await orders.get(self.pool, order.order_id, visitor)
        assert found is not None
        return await self.cashier.with_page(found)

    async def payment(self, order: Book) -> Payment:
        found = await payments.of_order(self.pool, order.order_id)
        assert found is not None
        return found

    async def value(self, statement: str, *arguments: Any) -> Any:
        rows = await self.shop.sql(statement, *arguments)
        return rows[0][0] if rows else None

    async def say(
        self, payment: Payment, outcome: str, *, by: Cashier | None = None, **changes: Any
    ) -> Settled:
        """A new message of the card about a payment."""
        fields = {"amount": payment.amount, "currency": payment.currency} | changes
        delivery = self.card.message(payment.session, outcome, **fields)
        return await (by or self.cashier).receive(CARD, delivery.headers, delivery.body)

    async def time_is_over(self, order_id: UUID) -> None:
        await self.shop.sql("UPDATE orders SET pay_by = now() - interval '1 second' WHERE id = $1", order_id)

    async def expire(self, order_id: UUID, *, by: Cashier | None = None) -> int:
        await self.time_is_over(order_id)
        return await (by or self.cashier).expire()

    async def cancel(self, visitor: str, order: Book) -> None:
        await self.shop.checkout.cancel(visitor, Cancel(order_id=order.order_id))
        await self.shop.checkout.close()

    async def state(self, payment_id: int) -> tuple[str, str, str]:
        """Of the payment, its order and what the order says of its payment."""
        rows = await self.shop.sql(
            "SELECT p.status, o.status, o.payment_status FROM payments p JOIN orders o ON o.id = p.order_id"
            " WHERE p.id = $1",
            payment_id,
        )
        return tuple(rows[0])

    async def balanced(self) -> None:
        """Captured = seats owned + refunds, for every payment; nothing is paid back twice."""
        rows = await self.shop.sql(
            """
            SELECT p.id, p.amount, p.status, p.reseat_order_id IS NOT NULL AS waits,
                (SELECT coalesce(sum(b.price), 0) FROM bookings b
                    WHERE b.order_id = p.order_id AND b.status = 'confirmed') AS owned,
                (SELECT coalesce(sum(r.amount), 0) FROM refunds r WHERE r.payment_id = p.id) AS back,
                (SELECT coalesce(sum(r.amount), 0) FROM refunds r
                    WHERE r.payment_id = p.id AND r.status = 'done') AS paid_back,
                (SELECT coalesce(sum(c.amount), 0) FROM test_card_refunds c
                    WHERE c.session = p.session) AS card_paid_back
            FROM payments p WHERE p.provider = 'test_card'
            """
        )
        for row in rows:
            captured = row["amount"] if row["status"] in ("captured", "refund_due", "refunded") else 0
            in_hand = row["amount"] if row["waits"] else 0
            assert captured == row["owned"] + row["back"] + in_hand, dict(row)
            assert row["paid_back"] <= row["card_paid_back"] <= row["back"], dict(row)

    async def agree(self) -> None:
        """After what the reconciler does, Redis says of every seat what Postgres says, counts included."""
        for _ in range(3):
            found = await differences(self.shop.stores, self.shop.event_id)
            await repair(self.shop.stores, self.shop.event_id, found)
        assert await differences(self.shop.stores, self.shop.event_id) == []
        claims = await self.shop.sql("SELECT id, visitor FROM orders WHERE status = 'pending'")
        self.shop.world.claimants = {row["id"].hex: row["visitor"] for row in claims}
        grace_ms = self.shop.stores.settings.grace_ms
        self.shop.world.limits = msgspec.structs.replace(self.shop.world.limits, grace_ms=grace_ms)
        await self.shop.world.check()


@asynccontextmanager
async def open_till(settings: Settings, count: int = 20, **changes: Any) -> AsyncIterator[Till]:
    async with open_shop(settings, count, **changes) as shop:
        await shop.sql(
            "UPDATE events SET payment_methods = '{test_card,door,free}' WHERE id = $1", shop.event_id
        )
        yield Till(shop)
