"""The provider's sessions of orders that were cancelled before they were paid."""

from collections.abc import AsyncIterator

import pytest
from checkout_world import refused
from payment_world import CARD, Till, open_till

from seatmap.checkout.payment import Cashier
from seatmap.checkout.providers.test_card import TestCard
from seatmap.config import Settings
from seatmap.errors import Unavailable
from seatmap.ledger.payments import Message, Payment


@pytest.fixture
async def till(settings: Settings) -> AsyncIterator[Till]:
    async with open_till(settings) as till:
        yield till


async def test_money_whose_message_was_lost_goes_back_though_its_order_was_cancelled(till: Till) -> None:
    order = await till.order("ann", 2, 3)
    payment = await till.payment(order)
    await till.card.press(payment, "approve")  # and whoever was to take the message is dead
    await till.cancel("ann", order)
    assert await till.state(payment.id) == ("expired", "cancelled", "unpaid")
    await till.cashier.beat()
    assert await till.state(payment.id) == ("refunded", "cancelled", "refunded")
    assert await till.value("SELECT sum(amount) FROM test_card_refunds") == payment.amount
    await till.cashier.beat()
    assert await till.value("SELECT count(*) FROM test_card_refunds") == 1
    await till.balanced()
    await till.agree()


async def test_a_cancelled_order_cannot_be_paid_any_more(till: Till) -> None:
    order = await till.order("ann", 2, 3)
    payment = await till.payment(order)
    await till.cancel("ann", order)
    assert await till.cashier.end_sessions() == 1
    assert await till.cashier.end_sessions() == 0
    assert await refused(till.card.press(payment, "approve")) == "payment_closed"
    await till.balanced()


class Silent(TestCard):
    """A card company that does not answer."""

    async def end(self, payment: Payment) -> Message | None:
        raise Unavailable(f"nobody says anything about {payment.session}")


async def test_a_provider_that_does_not_answer_is_asked_again(till: Till) -> None:
    order = await till.order("ann", 2, 3)
    payment = await till.payment(order)
    await till.card.press(payment, "approve")
    await till.cancel("ann", order)
    assert await Cashier(till.shop.stores, {CARD: Silent(till.pool, b"secret")}).end_sessions() == 0
    assert await till.state(payment.id) == ("expired", "cancelled", "unpaid")
    assert await till.cashier.end_sessions() == 1
    assert (await till.state(payment.id))[0] == "refund_due"
    await till.balanced()


async def test_another_sum_of_which_only_the_ended_session_tells(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order ends with its time, and is not asked about for ever."""

    async def paid_otherwise(payment: Payment) -> Message:
        return Message(
            id="late", session=payment.session, outcome="captured", amount=777, currency=payment.currency
        )

    order = await till.order("ann", 3)
    payment = await till.payment(order)
    monkeypatch.setattr(till.card, "end", paid_otherwise)
    assert await till.expire(order.order_id) == 1
    assert await till.state(payment.id) == ("stuck", "cancelled", "unpaid")
    await till.agree()
