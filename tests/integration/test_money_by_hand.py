"""Money that waits for a person: tried again, or handed out at the door; pressed twice, it moves once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from admin_world import Office, open_office
from checkout_world import refused
from payment_world import Till, open_till
from site_clients import make_event, order
from staff_world import make_user

from seatmap.checkout.box_office import BoxOffice
from seatmap.config import Settings
from seatmap.errors import Refused, Unavailable
from seatmap.ledger import box_office, payments, sales
from seatmap.ledger.payments import Payment, Refund
from seatmap.model import Role


@pytest.fixture
async def till(settings: Settings) -> AsyncIterator[Till]:
    async with open_till(settings) as till:
        yield till


async def desks(till: Till, count: int = 2) -> list[BoxOffice]:
    """Several people of the box office."""
    people = [await make_user(till.pool, Role.box_office, f"{n}@example.org") for n in range(count)]
    return [BoxOffice(till.shop.stores, person.id) for person in people]


async def paid(till: Till, *seats: int) -> tuple[Any, Payment]:
    made = await till.order("ann", *seats)
    payment = await till.payment(made)
    await till.say(payment, "captured")
    return made, payment


async def verbs(till: Till) -> list[str]:
    return [row[0] for row in await till.shop.sql("SELECT verb FROM audit_log ORDER BY id")]


async def paid_back(till: Till) -> int:
    return int(await till.value("SELECT coalesce(sum(amount), 0) FROM test_card_refunds"))


async def test_a_refund_that_the_provider_would_not_make(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(refund: Refund) -> None:
        raise Refused("payment_closed", "The card was closed.")

    made, payment = await paid(till, 2, 3)
    ann, bob = await desks(till)
    monkeypatch.setattr(till.card, "refund", never)
    await ann.cancel(made.order_id, (2,), "Ill", "refund")
    await ann.cancel(made.order_id, (), "", "cancel")
    await till.cashier.send_refunds()
    assert (await till.state(payment.id))[0] == "stuck"
    assert (await box_office.get(till.pool, made.order_id)).stuck
    monkeypatch.undo()
    told = await asyncio.gather(
        *(desk.retry_payment(made.order_id) for desk in (ann, bob, ann)), return_exceptions=True
    )
    assert all(isinstance(one, Refused) and one.code == "not_stuck" for one in told if one is not None)
    await asyncio.gather(*(till.cashier.retry(made.order_id) for _ in range(3)))
    assert await till.state(payment.id) == ("refunded", "cancelled", "refunded")
    assert await paid_back(till) == payment.amount
    assert await refused(ann.retry_payment(made.order_id)) == "not_stuck"
    assert (await verbs(till)).count("retry_payment") == sum(one is None for one in told) >= 1
    await till.balanced()


async def test_a_refund_that_two_send_and_one_hears_refused(till: Till) -> None:
    """A call may take so long that another process sends it again; the word that it was paid stands."""
    made, payment = await paid(till, 2)
    ann, _ = await desks(till)
    await ann.cancel(made.order_id, (), "", "cancel")
    [refund] = await payments.refunds_to_send(till.pool)
    await payments.refund_ended(till.pool, refund.id, done=False)
    assert (await till.state(payment.id))[0] == "stuck"
    await till.card.refund(refund)
    await payments.refund_ended(till.pool, refund.id, done=True)
    await payments.refund_ended(till.pool, refund.id, done=False)
    assert await till.state(payment.id) == ("refunded", "cancelled", "refunded")
    assert await refused(ann.retry_payment(made.order_id)) == "not_stuck"
    assert await paid_back(till) == payment.amount
    await till.balanced()


async def test_a_part_that_the_provider_would_not_pay_back(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(refund: Refund) -> None:
        raise Refused("payment_closed")

    made, payment = await paid(till, 2, 3)
    (ann,) = await desks(till, 1)
    monkeypatch.setattr(till.card, "refund", never)
    await ann.cancel(made.order_id, (2,), "Ill", "refund")
    await till.cashier.send_refunds()
    monkeypatch.undo()
    assert (await box_office.get(till.pool, made.order_id)).stuck
    assert (await sales.of_event(till.pool, till.shop.event_id)).stuck == 1
    await ann.retry_payment(made.order_id)
    await till.cashier.retry(made.order_id)
    assert (await sales.of_event(till.pool, till.shop.event_id)).stuck == 0
    assert await till.state(payment.id) == ("captured", "confirmed", "paid")
    assert not (await box_office.get(till.pool, made.order_id)).stuck
    await till.balanced()


@pytest.mark.parametrize("expired", [False, True])
async def test_another_sum_goes_back_as_it_came(till: Till, expired: bool) -> None:
    made = await till.order("ann", 3)
    payment = await till.payment(made)
    await till.say(payment, "captured", amount=999)
    if expired:
        await till.expire(made.order_id)
    (seen,) = await box_office.listed(till.pool, box_office.Filter(stuck=True))
    assert seen.id == made.order_id
    ann, bob = await desks(till)
    await asyncio.gather(*(desk.retry_payment(made.order_id) for desk in (ann, bob)), return_exceptions=True)
    await till.cashier.retry(made.order_id)
    assert await till.state(payment.id) == ("refunded", "cancelled", "refunded")
    assert await paid_back(till) == 999
    assert await till.shop.owners() == {}
    (record,) = (await box_office.get(till.pool, made.order_id)).payments or []
    assert (record.amount, record.received, record.refunded) == (999, 999, 999)
    await till.balanced()
    await till.agree()


async def test_no_sum_that_never_came_goes_back(till: Till) -> None:
    made = await till.order("ann", 3)
    await till.say(await till.payment(made), "captured", amount=0)
    (ann,) = await desks(till, 1)
    await ann.retry_payment(made.order_id)
    await till.cashier.retry(made.order_id)
    assert await till.value("SELECT count(*) FROM refunds") == 0


async def test_an_order_that_could_not_be_ended(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(payment: Payment) -> None:
        raise Unavailable("The card company is away.")

    made = await till.order("ann", 3)
    (ann,) = await desks(till, 1)
    assert await refused(ann.retry_payment(made.order_id)) == "not_stuck"
    monkeypatch.setattr(till.card, "end", away)
    await till.shop.sql("UPDATE orders SET pay_by = now() - interval '11 minutes'")
    await ann.retry_payment(made.order_id)
    with pytest.raises(Unavailable, match="The card company is away"):
        await till.cashier.retry(made.order_id)
    monkeypatch.undo()
    await till.cashier.retry(made.order_id)
    assert (await till.state((await till.payment(made)).id))[:2] == ("expired", "cancelled")
    await till.agree()


# ---- at the door ----


@pytest.fixture
async def office(settings: Settings) -> AsyncIterator[Office]:
    async with open_office(settings, Role.box_office) as office:
        yield office


async def at_the_door(office: Office, settings: Settings) -> str:
    """Two seats, paid at the door: the order's address."""
    event_id = await make_event(settings)
    await office.sql("UPDATE events SET payment_methods = '{door}' WHERE id = $1", event_id)
    page = await office.site.page(event_id)
    made = await page.ask("book", **order(await page.ask("hold", seats=[2, 3])))
    path = f"/orders/{made['id']}"
    await office.call("POST", f"{path}/mark-paid")
    return path


async def test_cash_is_handed_back_once_and_by_somebody(office: Office, settings: Settings) -> None:
    path = await at_the_door(office, settings)
    part = await office.call("POST", f"{path}/refund", {"seats": [2]})
    assert (part["to_pay_out"], part["stuck"], part["payment_status"]) == (1500, False, "paid")
    assert [row["id"] for row in (await office.get("/orders?stuck=1"))["orders"]] == [part["id"]]
    whole = await office.call("POST", f"{path}/cancel", {})
    assert (whole["to_pay_out"], whole["payment_status"]) == (3000, "refund_due")
    first, second = (refund["id"] for refund in whole["payments"][0]["refunds"])
    assert await office.code("POST", f"{path}/retry-payment") == "not_stuck"

    codes = await asyncio.gather(
        *(office.code("POST", f"{path}/pay-out", {"refunds": [first]}) for _ in range(3))
    )
    assert sorted(codes) == ["", "refund_not_owed", "refund_not_owed"]
    assert await office.code("POST", f"{path}/pay-out", {"refunds": [first, second]}) == "refund_not_owed"
    assert (await office.get(path))["to_pay_out"] == 1500
    done = await office.call("POST", f"{path}/pay-out", {"refunds": [second]})
    assert (done["to_pay_out"], done["payment_status"]) == (0, "refunded")
    (payment,) = done["payments"]
    assert payment["status"] == "refunded"
    assert {(refund["status"], refund["paid_out_by"]) for refund in payment["refunds"]} == {
        ("done", "box_office")
    }
    assert all(refund["paid_out_at"] for refund in payment["refunds"])
    assert [entry["what"] for entry in done["history"]].count("pay_out") == 2
    assert (await office.get("/orders?stuck=1"))["orders"] == []


async def test_nobody_pays_out_what_is_another_orders(office: Office, settings: Settings) -> None:
    mine, other = await at_the_door(office, settings), await at_the_door(office, settings)
    owed = await office.call("POST", f"{other}/cancel", {})
    refund = owed["payments"][0]["refunds"][0]["id"]
    assert await office.code("POST", f"{mine}/pay-out", {"refunds": [refund]}) == "refund_not_owed"
    nobody = "/orders/0192f0c1-2b3c-7d4e-8f50-617283940516"
    assert await office.code("POST", f"{nobody}/pay-out", {"refunds": [refund]}) == "order_not_found"
    assert await office.code("POST", f"{nobody}/retry-payment") == "order_not_found"
    assert (await office.get(other))["to_pay_out"] == 3000
