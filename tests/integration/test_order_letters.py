"""Which mails buyers get about their orders, and which they do not."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from letter_world import ADA, ask_for, buy, due, posted
from payment_world import CARD, Till, open_till
from staff_world import make_user

from seatmap.checkout.box_office import BoxOffice
from seatmap.checkout.cancel_event import canceller
from seatmap.checkout.counter_sale import CounterSale, CounterSales
from seatmap.config import Settings
from seatmap.ledger import claims, events
from seatmap.ledger.pool import connection
from seatmap.model import Role

SHOW = "\n\n  Show\n  Wed 1 May 2030, 19:00 (UTC)\n\n"
SEATS = "  Hall, row A, seat 3 · front · 20.00 EUR\n  Hall, row A, seat 4 · back · 10.00 EUR\n  Total: 30.00 EUR\n\n"
TO_PAY = {
    "free": "There is nothing to pay.",
    "door": "You pay at the door: please bring 30.00 EUR.",
    CARD: "It is paid.",
}
OWED = {
    "free": "Nothing was paid, so nothing is owed.",
    "door": "Nothing was paid, so nothing is owed.",
    CARD: "In all, you get 30.00 EUR back: it comes the way that you paid.",
}


@pytest.fixture
async def till(settings: Settings) -> AsyncIterator[Till]:
    async with open_till(settings) as till:
        yield till


async def office(till: Till) -> BoxOffice:
    return BoxOffice(till.shop.stores, (await make_user(till.pool, Role.box_office)).id)


async def cancel_event(till: Till) -> None:
    await events.cancel(till.pool, till.shop.event_id)
    job = canceller(till.shop.stores)
    await job(till.pool, 0, b'{"event_id": %d}' % till.shop.event_id)


# ---- confirmed ----


@pytest.mark.parametrize("method", TO_PAY)
async def test_an_order_is_confirmed_once(till: Till, method: str) -> None:
    order = await buy(till, "ann", 2, 3, method=method)
    (mail,) = await posted(till)
    assert (mail.to, mail.subject) == (ADA, "Your seats for Show")
    ends = f"{TO_PAY[method]}\n\nYour order: {order.order_id}\n"
    assert mail.text == f"Dear Ada,\n\nyour seats are booked:{SHOW}{SEATS}{ends}"
    assert await posted(till) == []
    await (await office(till)).cancel(order.order_id, (), "", "cancel")
    await till.cashier.beat()
    assert len(await posted(till)) == 1
    assert await due(till) == 0


@pytest.mark.parametrize(("paid", "said"), [(True, TO_PAY[CARD]), (False, TO_PAY["door"])])
async def test_who_buys_over_the_counter_is_mailed_if_there_is_an_address(
    till: Till, paid: bool, said: str
) -> None:
    counter = CounterSales(till.shop.stores, (await make_user(till.pool, Role.box_office)).id)
    await till.shop.sql("UPDATE events SET payment_methods = '{test_card,door}'")
    for seats, total, email in (((2, 3), 3000, ADA), ((4,), 2000, "")):
        sale = CounterSale(
            order_id=uuid4(),
            event_id=till.shop.event_id,
            seats=seats,
            total=total,
            name="Ada",
            email=email,
            paid=paid,
        )
        await counter.sell(sale)
    (mail,) = await posted(till)
    assert mail.to == ADA
    assert SEATS + said in mail.text


@pytest.mark.parametrize("end", ["expired", "failed", "buyer", "staff", "event"])
async def test_an_order_that_ends_unpaid_is_nothing_to_write_about(till: Till, end: str) -> None:
    order = await ask_for(till, "ann", 2, 3)
    assert await due(till) == 0
    match end:
        case "expired":
            await till.expire(order.order_id)
        case "failed":
            await till.say(await till.payment(order), "failed")
        case "buyer":
            await till.cancel("ann", order)
        case "staff":
            await (await office(till)).cancel(order.order_id, (), "", "cancel")
        case "event":
            await cancel_event(till)
    assert await till.value("SELECT cancel_reason FROM orders") == end
    assert await due(till) == 0


async def test_nobody_is_written_to_without_an_address(till: Till) -> None:
    order = await buy(till, "ann", 2, 3, email="")
    paid = await buy(till, "bob", 4, 5, method=CARD, email="")
    desk = await office(till)
    await desk.cancel(order.order_id, (2,), "", "refund")
    for gone in (order, paid):
        await desk.cancel(gone.order_id, (), "", "cancel")
    assert await due(till) == 0


@pytest.mark.parametrize("address", ["ada@example.org", "ada@mail.EXAMPLE.com", "ada@seats.test"])
async def test_nobody_reads_what_is_sent_to_an_example(till: Till, address: str) -> None:
    await buy(till, "ann", 2, email=address)
    await buy(till, "bob", 3)
    assert [mail.to for mail in await posted(till)] == [ADA]
    assert await due(till) == 0


# ---- ended ----


async def end(till: Till, why: str, method: str) -> str:
    """An order that was confirmed, and then ended: the id."""
    order = await buy(till, "ann", 2, 3, method=method)
    await posted(till)
    match why:
        case "buyer":
            await till.cancel("ann", order)
        case "staff":
            await (await office(till)).cancel(order.order_id, (), "Ill", "cancel")
        case "event":
            await cancel_event(till)
    return str(order.order_id)


@pytest.mark.parametrize("method", OWED)
@pytest.mark.parametrize(
    ("why", "subject", "begins"),
    [
        ("buyer", "You gave back your seats for Show", "you gave back your seats:"),
        ("staff", "Your seats for Show are cancelled", "the box office has cancelled your seats:"),
        ("event", "Show is cancelled", "the event is cancelled, and your seats with it:"),
    ],
)
async def test_an_order_that_ends_says_by_whom_and_what_of_the_money(
    till: Till, why: str, subject: str, begins: str, method: str
) -> None:
    order_id = await end(till, why, method)
    (mail,) = await posted(till)
    assert (mail.to, mail.subject) == (ADA, subject)
    ends = f"{OWED[method]}\n\nYour order: {order_id}\n"
    assert mail.text == f"Dear Ada,\n\n{begins}{SHOW}{SEATS}{ends}"
    await till.cashier.beat()
    assert await posted(till) == []


async def test_what_was_paid_at_the_door_is_handed_back(till: Till) -> None:
    order = await buy(till, "ann", 2, 3, method="door")
    desk = await office(till)
    await desk.mark_paid(order.order_id)
    (mail,) = await posted(till)
    assert "It is paid." in mail.text
    await desk.cancel(order.order_id, (), "", "cancel")
    (mail,) = await posted(till)
    assert "In all, you get 30.00 EUR back: the box office hands it to you." in mail.text


async def test_an_order_that_ended_before_its_letter_was_made_is_not_confirmed(till: Till) -> None:
    order = await buy(till, "ann", 2, 3)
    await till.cancel("ann", order)
    assert [mail.subject for mail in await posted(till)] == ["You gave back your seats for Show"]
    assert await due(till) == 0


# ---- late money ----


async def test_late_money_takes_the_seats_again_and_is_confirmed(till: Till) -> None:
    order = await ask_for(till, "ann", 2, 3)
    payment = await till.payment(order)
    await till.expire(order.order_id)
    assert (await till.say(payment, "captured")).result == "late"
    await till.cashier.beat()
    (mail,) = await posted(till)
    assert mail.subject == "Your seats for Show"
    assert SEATS + "It is paid." in mail.text
    assert str(order.order_id) not in mail.text  # a new order has them


async def test_late_money_that_goes_back_is_told(till: Till) -> None:
    order = await ask_for(till, "ann", 2, 3)
    payment = await till.payment(order)
    await till.expire(order.order_id)
    await buy(till, "bob", 3, email="")
    await till.say(payment, "captured")
    for _ in range(2):
        await till.cashier.beat()
    (mail,) = await posted(till)
    assert mail.subject == "Your payment for Show goes back"
    assert mail.text.startswith("Dear Ada,\n\nyour payment came when your seats were not kept any more:")
    assert OWED[CARD] in mail.text
    assert await due(till) == 0


async def test_another_sum_than_was_asked_for_goes_back_as_it_came(till: Till) -> None:
    order = await ask_for(till, "ann", 2, 3)
    await till.say(await till.payment(order), "captured", amount=700, currency="USD")
    assert await due(till) == 0
    await (await office(till)).retry_payment(order.order_id)
    (mail,) = await posted(till)
    assert mail.subject == "Your seats for Show are cancelled"
    assert "In all, you get 7.00 USD back" in mail.text


# ---- changed ----


async def test_who_loses_some_seats_is_told_what_is_left(till: Till) -> None:
    order = await buy(till, "ann", 2, 3, 4, method=CARD)
    await posted(till)
    await (await office(till)).cancel(order.order_id, (2, 4), "", "refund")
    (mail,) = await posted(till)
    assert mail.subject == "Your seats for Show have changed"
    left = "  Hall, row A, seat 4 · back · 10.00 EUR\n  Total: 10.00 EUR\n\n"
    assert f"your seats have changed. These are yours now:{SHOW}{left}" in mail.text
    assert "It is paid. In all, you get 40.00 EUR back" in mail.text
    await till.cancel("ann", order)
    (mail,) = await posted(till)
    assert "seat 4" in mail.text
    assert "seat 3" not in mail.text  # which was given back before
    assert "In all, you get 50.00 EUR back" in mail.text


@pytest.mark.parametrize("moves", [{2: 6}, {2: 6, 3: 7}], ids=["one", "all"])
async def test_who_is_moved_is_told_where_to(till: Till, moves: dict[int, int]) -> None:
    order = await buy(till, "ann", 2, 3)
    await posted(till)
    await (await office(till)).reseat(till.shop.event_id, order.order_id, moves)
    (mail,) = await posted(till)
    assert mail.subject == "Your seats for Show have changed"
    seats = sorted({2, 3} - moves.keys() | set(moves.values()))
    assert [f"seat {seat + 1} " in mail.text for seat in range(10)] == [seat in seats for seat in range(10)]


async def test_an_order_that_becomes_an_accounts_has_not_changed(till: Till) -> None:
    order = await buy(till, "ann", 2, 3)
    await (await office(till)).cancel(order.order_id, (2,), "", "refund")
    await posted(till)
    user = await make_user(till.pool, Role.buyer, ADA)
    async with connection(till.pool) as conn:
        assert await claims.claim(conn, user.id, ADA) == 1
    assert await due(till) == 0
