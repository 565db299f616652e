"""What payment providers say, and the page of the test card."""

import asyncio
import logging

from msgspec import Struct

from seatmap.checkout.payment import Cashier
from seatmap.checkout.providers.test_card import Delivery, Outcome, TestCard
from seatmap.checkout.stores import Stores
from seatmap.errors import SeatmapError
from seatmap.ledger import payments
from seatmap.web.endpoint import Access, Call, Endpoint
from seatmap.web.guard import BODY_BYTES_MAX, read_body

BEAT_SECONDS = 5.0  # the worker is faster; this is for when no worker lives
TEST_CARD = "test_card"

log = logging.getLogger(__name__)


class Received(Struct, frozen=True):
    """What a message did; duplicate where it had come before."""

    result: str


class Pressed(Struct, frozen=True):
    """How the buyer wants the payment of the test card to go."""

    outcome: Outcome


class TestCardView(Struct, frozen=True):
    """What the test card's page shows."""

    __test__ = False  # pytest collects what is called so

    event_name: str
    amount: int
    currency: str
    status: str
    order_id: str


class Payments:
    """The endpoints of payment, and their slow beat."""

    def __init__(self, stores: Stores, cashier: Cashier) -> None:
        self._stores = stores
        self._cashier = cashier
        self._sending: set[asyncio.Task[None]] = set()

    def endpoints(self) -> list[Endpoint]:
        """All of them."""
        card = "/api/payments/test-card/{session}"
        return [
            Endpoint(
                method="POST",
                path="/api/payments/{provider}/webhook",
                handle=self.webhook,
                access=Access.public,
                tag="payments",
                summary="A payment provider's signed message",
                answer=Received,
                refuses=("bad_signature", "invalid", "payment_not_found", "method_not_offered"),
            ),
            Endpoint(
                method="GET",
                path=card,
                handle=self.show,
                access=Access.public,
                tag="payments",
                summary="What is to be paid with the test card",
                answer=TestCardView,
                refuses=("payment_not_found",),
            ),
            Endpoint(
                method="POST",
                path=card,
                handle=self.press,
                access=Access.public,
                tag="payments",
                summary="Pay with the test card, or try what else may happen",
                body=Pressed,
                answer=TestCardView,
                refuses=("payment_not_found", "payment_closed"),
                example={"outcome": "approve"},
            ),
        ]

    async def run(self) -> None:
        """The slow beat, until cancelled."""
        while True:
            try:
                await self._cashier.beat()
            except Exception:
                log.exception("payments: this round failed")
            await asyncio.sleep(BEAT_SECONDS)

    async def webhook(self, call: Call) -> Received:
        body = await read_body(call.request, BODY_BYTES_MAX)
        name = call.request.path_params["provider"]
        return Received((await self._cashier.receive(name, call.request.headers, body)).result)

    async def show(self, call: Call) -> TestCardView:
        payment = await payments.of_session(self._stores.pool, TEST_CARD, call.request.path_params["session"])
        return TestCardView(
            payment.event_name, payment.amount, payment.currency, payment.status, str(payment.order_id)
        )

    async def press(self, call: Call) -> TestCardView:
        session = call.request.path_params["session"]
        payment = await payments.of_session(self._stores.pool, TEST_CARD, session)
        card = self._cashier.provider(TEST_CARD)
        assert isinstance(card, TestCard)
        for delivery in await card.press(payment, call.body.outcome):
            if delivery.after_s:
                task = asyncio.get_running_loop().create_task(self._deliver_later(delivery))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
            else:
                await self._cashier.receive(TEST_CARD, delivery.headers, delivery.body)
        return await self.show(call)

    async def _deliver_later(self, delivery: Delivery) -> None:
        await asyncio.sleep(delivery.after_s)
        try:
            await self._cashier.receive(TEST_CARD, delivery.headers, delivery.body)
        except SeatmapError as error:
            log.warning("a message of the test card was not taken: %s", error)
