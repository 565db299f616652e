"""Payments: every order of messages, expiry, cancelling and crash; the money is there after each step."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from checkout_world import Shop, an_order, refused, until
from payment_world import CARD, Silent, Till, open_till

from seatmap.booking.commands import Begin, Cancel, Hold, Take
from seatmap.checkout.payment import Cashier, _body, _visitor
from seatmap.checkout.rebuild import rebuild
from seatmap.checkout.reconcile import differences
from seatmap.checkout.resolve import resolve
from seatmap.config import Settings
from seatmap.errors import Unavailable
from seatmap.ledger import events, payments
from seatmap.ledger.payments import Payment
from seatmap.model import Status


@pytest.fixture
async def till(settings: Settings) -> AsyncIterator[Till]:
    async with open_till(settings) as till:
        yield till


# ---- the way of an order ----


async def test_a_paid_order_from_the_hold_to_the_seat(till: Till) -> None:
    order = await till.order("ann", 2, 3)
    seen = await till.read(order, "ann")
    assert (seen.status, seen.payment_status, seen.payment_method) == ("pending", "unpaid", CARD)
    assert seen.checkout is not None
    assert seen.checkout.url.startswith("/static/test-card.html?session=")
    assert 0 < (seen.pay_by_ms or 0) <= 900_000
    assert await till.shop.owners() == dict.fromkeys((2, 3), f"c|{order.order_id.hex}")
    assert await till.shop.world.status(2) == Status.held
    await till.agree()
    settled = await till.say(await till.payment(order), "captured")
    assert settled.result == "paid"
    assert await till.shop.owners() == dict.fromkeys((2, 3), f"b|{order.order_id.hex}")
    seen = await till.read(order, "ann")
    assert (seen.status, seen.payment_status, seen.checkout) == ("confirmed", "paid", None)
    await till.balanced()
    await till.agree()


async def test_claimed_seats_are_nobody_elses_and_count_as_the_visitors(till: Till) -> None:
    await till.order("ann", 2, 3)
    assert await refused(till.shop.hold("bob", 2)) == "seat_taken"
    assert await refused(till.shop.hold("ann", 4, 5, 6)) == "too_many_seats"
    assert await till.shop.hold("ann", 4, 5)


async def test_the_ways_to_pay_of_an_event(till: Till) -> None:
    free = await till.order("ann", 1, method="free")
    assert (await till.read(free, "ann")).payment_status == "none"
    door = await till.order("bob", 2, method="door")
    seen = await till.read(door, "bob")
    assert (seen.status, seen.payment_status, seen.payment_method) == ("confirmed", "unpaid", "door")
    order = an_order(await till.shop.hold("eve", 3), 3, payment_method="cowries")
    assert await refused(till.shop.book("eve", order)) == "method_not_offered"
    first = await till.order("eve", 3, method="")
    assert (await till.read(first, "eve")).payment_method == CARD


async def test_a_fee_is_part_of_the_price(till: Till) -> None:
    await till.shop.sql("UPDATE events SET fee_per_seat = 150 WHERE id = $1", till.shop.event_id)
    order = an_order(await till.shop.hold("ann", 3), 3)
    assert await refused(till.shop.book("ann", order)) == "price_changed"
    order = an_order(await till.shop.hold("ann", 3), 3, total=1150)
    await till.shop.book("ann", order)
    assert (await till.payment(order)).amount == 1150


# ---- every order of what may happen ----

STEPS = ("authorized", "captured", "failed", "expire", "cancel")


def expected(steps: tuple[str, ...]) -> tuple[str, str]:
    """What the payment and the order that it is for stand at in the end."""
    payment, order, why, paid = "created", "pending", "", False
    for step in steps:
        if step == "authorized" and payment == "created":
            payment = "authorized"
        elif step == "captured" and not paid:
            paid = True
            given_back = order == "cancelled" and why == "cancel"
            payment, order = ("refund_due", "cancelled") if given_back else ("captured", "confirmed")
        elif step in ("failed", "expire") and order == "pending":
            payment, order, why = ("failed" if step == "failed" else "expired"), "cancelled", step
        elif step == "cancel" and order == "pending":
            payment, order, why = "expired", "cancelled", step
        elif step == "cancel" and order == "confirmed" and why == "":
            payment, order = "refund_due", "cancelled"
    return payment, order


SEQUENCES = [way for n in range(1, 5) for way in itertools.permutations(STEPS, n)]


@pytest.mark.parametrize("kind", [Cashier, Silent], ids=["alive", "dies before Redis"])
async def test_every_order_of_messages_expiry_and_cancelling(settings: Settings, kind: type[Cashier]) -> None:
    async with open_till(settings, 2 * len(SEQUENCES)) as till:
        cashier = till.other(kind)
        for number, steps in enumerate(SEQUENCES):
            visitor = f"visitor-{number}"
            order = await till.order(visitor, 2 * number)
            payment = await till.payment(order)
            for step in steps:
                if kind is Silent:  # the reconciler comes by before a late payment does
                    await till.agree()
                if step == "expire":
                    await till.expire(order.order_id, by=cashier)
                elif step == "cancel":
                    await till.cancel(visitor, order)
                else:
                    await till.say(payment, step, by=cashier)
            await till.balanced()
            status, standing, _ = await till.state(payment.id)
            assert (status, standing) == expected(steps), steps
        await till.cashier.beat()
        await till.balanced()
        await till.agree()
        assert await payments.refunds_to_send(till.pool) == []
        assert not await till.value("SELECT count(*) FROM payments WHERE status = 'refund_due'")


# ---- messages that are not to be believed, or come again ----


async def test_a_message_counts_once(till: Till) -> None:
    order = await till.order("ann", 3)
    payment = await till.payment(order)
    delivery = till.card.message(payment.session, "captured", payment.amount, payment.currency)
    told = await asyncio.gather(
        *(till.cashier.receive(CARD, delivery.headers, delivery.body) for _ in range(5))
    )
    assert sorted(settled.result for settled in told) == ["duplicate"] * 4 + ["paid"]
    assert (await till.say(payment, "captured")).result == "noted"
    await till.balanced()


@pytest.mark.parametrize("forgery", ["no", "other key", "old", "other body", "rubbish", "not ascii"])
async def test_forged_messages_are_refused(till: Till, forgery: str, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = await till.payment(await till.order("ann", 3))
    if forgery == "old":
        long_ago = time.time() - 301
        monkeypatch.setattr(time, "time", lambda: long_ago)
    delivery = till.card.message(payment.session, "captured", payment.amount, payment.currency)
    monkeypatch.undo()
    headers, body = delivery.headers, delivery.body
    (name, value), *_ = headers.items()
    headers = {
        "no": {},
        "other key": {name: value[:-1] + ("0" if value[-1] != "0" else "1")},
        "rubbish": {name: "t=x,,v1"},
        "not ascii": {name: "t=1,v1=é"},
    }.get(forgery, headers)
    if forgery == "other body":
        body = body.replace(b"captured", b"failed")
    assert await refused(till.cashier.receive(CARD, headers, body)) == "bad_signature"
    assert (await till.state(payment.id))[0] == "created"


@pytest.mark.parametrize("wrong", [{"amount": 999}, {"currency": "USD"}], ids=["amount", "currency"])
async def test_another_sum_confirms_nothing_and_is_shown(till: Till, wrong: dict[str, object]) -> None:
    order = await till.order("ann", 3)
    payment = await till.payment(order)
    assert (await till.say(payment, "captured", **wrong)).result == "stuck"
    assert await till.state(payment.id) == ("stuck", "pending", "unpaid")
    await till.expire(order.order_id)
    assert await till.state(payment.id) == ("stuck", "cancelled", "unpaid")
    await till.agree()


async def test_a_message_about_nothing_is_asked_for_again(till: Till) -> None:
    """It may be faster than the session's being written down; the provider sends it again."""
    delivery = till.card.message("no-session", "captured", 1, "EUR")
    assert await refused(till.cashier.receive(CARD, delivery.headers, delivery.body)) == "payment_not_found"
    assert not await till.value("SELECT count(*) FROM payment_messages")


# ---- expiry ----


async def test_expiry_asks_the_provider_first_and_believes_it(till: Till) -> None:
    """Paid, but the message was lost: the session says so when it is ended."""
    order = await till.order("ann", 3)
    payment = await till.payment(order)
    await till.card.press(payment, "approve")
    assert await till.expire(order.order_id) == 0
    assert await till.state(payment.id) == ("captured", "confirmed", "paid")
    await till.balanced()


async def test_a_provider_that_is_away_keeps_the_seats_claimed(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(payment: Payment) -> None:
        raise Unavailable("The card company is away.")

    order = await till.order("ann", 3)
    monkeypatch.setattr(till.card, "end", away)
    assert await till.expire(order.order_id) == 0
    assert (await till.read(order, "ann")).status == "pending"
    monkeypatch.undo()
    assert await till.cashier.expire() == 1
    assert await till.shop.owners() == {}
    await till.agree()


async def test_two_workers_expire_and_a_payment_comes(till: Till) -> None:
    """Exactly one of paid and expired wins; the money is right whichever it is."""
    orders = [await till.order(f"visitor-{seat}", seat) for seat in range(10)]
    paid = [await till.payment(order) for order in orders]
    for order in orders:
        await till.time_is_over(order.order_id)
    other = till.other(Cashier)
    await asyncio.gather(
        till.cashier.beat(), other.beat(), *(till.say(payment, "captured") for payment in paid)
    )
    await asyncio.gather(till.cashier.beat(), other.beat())
    await till.balanced()
    for payment in paid:
        assert (await till.state(payment.id))[:2] == ("captured", "confirmed")
    await till.agree()


# ---- late payments ----


async def ran_out(till: Till, *seats: int) -> Payment:
    order = await till.order("ann", *seats)
    payment = await till.payment(order)
    await till.expire(order.order_id)
    return payment


async def test_a_late_payment_of_seats_that_were_sold_goes_back(till: Till) -> None:
    payment = await ran_out(till, 3)
    await till.order("bob", 3, method="free")
    assert (await till.say(payment, "captured")).result == "late"
    assert await till.state(payment.id) == ("refund_due", "cancelled", "refund_due")
    assert await till.cashier.send_refunds() == 1
    assert await till.state(payment.id) == ("refunded", "cancelled", "refunded")
    await till.balanced()
    await till.agree()


async def test_a_late_payment_while_its_buyer_holds_other_seats(till: Till) -> None:
    payment = await ran_out(till, 3)
    hold_id = await till.shop.hold("ann", 5)
    await till.say(payment, "captured")
    assert (await till.state(payment.id))[:2] == ("captured", "confirmed")
    assert (await till.shop.mine("ann")).hold_id == hold_id
    moved = await till.value("SELECT order_id FROM payments WHERE id = $1", payment.id)
    assert await till.value("SELECT visitor FROM orders WHERE id = $1", moved) == "ann"
    await till.cancel("ann", an_order("", 3, order_id=UUID(int=moved.int)))
    assert (await till.state(payment.id))[0] == "refund_due"
    await till.balanced()
    await till.agree()


class DiesAfterBegin(Cashier):
    async def reseat_late(self) -> int:
        for late in await payments.late(self._stores.pool):
            decide = self._stores.desk.decide
            mine = (await decide(late.event_id, Hold(_visitor(late), "", late.seats))).mine
            begin = Begin(_visitor(late), mine.hold_id, late.order_id.hex, _body(late).hex(), late.seats)
            await decide(late.event_id, begin)
        return 0


@pytest.mark.parametrize("resolved", [False, True])
async def test_a_crash_while_a_late_payment_takes_its_seats(till: Till, resolved: bool) -> None:
    payment = await ran_out(till, 3)
    await till.say(payment, "captured", by=till.other(DiesAfterBegin))
    await till.balanced()
    if resolved:  # the tombstone was first: the money goes back
        await till.shop.settle()
    await till.cashier.beat()
    status = (await till.state(payment.id))[0]
    assert status == ("refunded" if resolved else "captured")
    await till.balanced()
    await resolve(till.shop.stores, till.shop.event_id)
    await till.shop.world.age(3_600_000)
    await till.shop.hold("bob", 4)  # sweeps nothing, but the hold of the late order has ended
    await till.agree()


async def test_two_workers_take_the_same_late_payments(till: Till) -> None:
    late = [await ran_out_of(till, f"visitor-{seat}", seat) for seat in range(8)]
    for payment in late:
        await till.say(payment, "captured", by=till.other(Idle))
    await asyncio.gather(*(till.other(Cashier).reseat_late() for _ in range(2)))

    async def decided() -> bool:
        await till.cashier.reseat_late()
        return not await payments.late(till.pool)

    await until(decided)
    await till.cashier.beat()
    await till.balanced()
    await till.shop.settle(0)
    await till.shop.world.age(3_600_000)
    await till.agree()


class Idle(Cashier):
    async def reseat_late(self) -> int:
        return 0


async def ran_out_of(till: Till, visitor: str, seat: int) -> Payment:
    order = await till.order(visitor, seat)
    payment = await till.payment(order)
    await till.expire(order.order_id)
    return payment


# ---- the event is cancelled in the middle; a rebuild ----


async def test_paying_for_a_cancelled_event_is_paid_back_in_the_same_breath(till: Till) -> None:
    order = await till.order("ann", 3)
    payment = await till.payment(order)
    await events.cancel(till.pool, till.shop.event_id)
    assert (await till.say(payment, "captured")).result == "refund"
    assert await till.state(payment.id) == ("refund_due", "cancelled", "refund_due")
    await till.balanced()


async def test_a_rebuild_keeps_claims_and_counts(till: Till) -> None:
    order = await till.order("ann", 2, 3)
    hold_id = await till.shop.hold("ann", 5)
    await rebuild(till.shop.stores, till.shop.event_id)
    assert (await till.shop.owners())[2] == f"c|{order.order_id.hex}"
    assert (await till.shop.mine("ann")).hold_id == hold_id
    assert await refused(till.shop.hold("ann", 6, 7)) == "too_many_seats"
    await till.agree()
    await till.say(await till.payment(order), "captured")
    await till.shop.hold("ann", 6, 7)
    await till.agree()


async def test_the_resolver_claims_what_is_pending(till: Till) -> None:
    """A crash between the commit and FINISH."""

    shop: Shop = till.shop
    order = an_order(await shop.hold("ann", 3), 3)
    shop.checkout._later = lambda *_: None  # type: ignore[method-assign]
    await shop.book("ann", order)
    assert (await shop.owners())[3].startswith("p|")
    await shop.settle()
    assert await shop.owners() == {3: f"c|{order.order_id.hex}"}
    await till.agree()


async def test_the_money_is_faster_than_the_claim(till: Till) -> None:
    shop = till.shop
    order = an_order(await shop.hold("ann", 3), 3)
    shop.checkout._later = lambda *_: None  # type: ignore[method-assign]
    await shop.book("ann", order)
    await till.read(order, "ann")
    await till.say(await till.payment(order), "captured")
    assert await shop.owners() == {3: f"b|{order.order_id.hex}"}
    await till.agree()


@pytest.mark.parametrize("wrong", ["free", "paid", "ended", "nobodys"])
async def test_a_claim_about_which_the_stores_differ_is_mended_with_its_count(till: Till, wrong: str) -> None:
    """Rule 18. `agree` compares the visitors' counts, too."""
    order = await till.order("ann", 3)
    tell, shop = till.shop.stores.desk.decide, till.shop
    if wrong == "free":
        await tell(shop.event_id, Cancel(order.order_id.hex, "ann", (3,)))
    elif wrong == "paid":
        await till.say(await till.payment(order), "captured", by=till.other(Silent))
    elif wrong == "ended":
        await till.expire(order.order_id, by=till.other(Silent))
    else:
        await tell(shop.event_id, Take(order.order_id.hex, "ann", (5,)))
    assert len(await differences(shop.stores, shop.event_id)) == 1
    await till.agree()
    assert (await shop.owners()).get(3) == {
        "free": f"c|{order.order_id.hex}",
        "paid": f"b|{order.order_id.hex}",
        "nobodys": f"c|{order.order_id.hex}",
    }.get(wrong)
