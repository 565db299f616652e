"""A day's sales: money on the day on which it came or was owed back, and the seats that it was for."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import pytest
from admin_world import open_office
from ledger_world import BACK, FRONT
from payment_world import CARD, Till, open_till
from staff_world import make_user

from seatmap.checkout.box_office import BoxOffice
from seatmap.config import Settings
from seatmap.errors import Refused
from seatmap.ledger import box_office, claims, day_sales, events
from seatmap.ledger.day_sales import DaySales
from seatmap.ledger.pool import connection
from seatmap.model import Role
from seatmap.web.sales import bounds

NOW = datetime.now(UTC)
SINCE, UNTIL = NOW - timedelta(hours=12), NOW + timedelta(hours=12)


@pytest.fixture
async def till(settings: Settings) -> AsyncIterator[Till]:
    async with open_till(settings) as till:
        yield till


async def desk(till: Till) -> BoxOffice:
    return BoxOffice(till.shop.stores, (await make_user(till.pool, Role.box_office)).id)


async def today(till: Till) -> DaySales:
    return await day_sales.of(till.pool, SINCE, UNTIL)


def lines(sales: DaySales) -> dict[str, tuple[int, int, int, int]]:
    return {line.category: (line.sold, line.gross, line.returned, line.refunds) for line in sales.lines}


def methods(sales: DaySales) -> dict[str, tuple[int, int, int, int]]:
    return {line.method: (line.payments, line.gross, line.refunds, line.to_pay_out) for line in sales.methods}


async def test_what_was_paid_and_what_went_back(till: Till) -> None:
    made = await till.order("ann", 2, 3, 5)
    await till.say(await till.payment(made), "captured")
    await till.order("bob", 4)  # is not paid
    people = await desk(till)
    await people.cancel(made.order_id, (3,), "", "refund")
    sales = await today(till)
    assert lines(sales) == {"front": (1, FRONT, 0, 0), "back": (2, 2 * BACK, 1, BACK)}
    assert methods(sales) == {CARD: (1, FRONT + 2 * BACK, BACK, 0)}
    await people.cancel(made.order_id, (), "", "cancel")
    assert lines(await today(till)) == {"front": (1, FRONT, 1, FRONT), "back": (2, 2 * BACK, 2, 2 * BACK)}


async def test_at_the_door(till: Till) -> None:
    people = await desk(till)
    made, other = await till.order("ann", 2, 3, method="door"), await till.order("bob", 4, method="door")
    sales = await today(till)
    assert (lines(sales), methods(sales)) == ({}, {})
    assert [(line.orders, line.amount) for line in sales.unpaid] == [(2, 2 * FRONT + BACK)]
    await people.cancel(made.order_id, (3,), "", "refund")  # is not to be paid any more
    await people.mark_paid(made.order_id)
    sales = await today(till)
    assert lines(sales) == {"front": (1, FRONT, 0, 0)}
    assert [(line.orders, line.amount) for line in sales.unpaid] == [(1, FRONT)]
    await people.cancel(made.order_id, (), "", "cancel")
    await people.cancel(other.order_id, (), "", "cancel")
    sales = await today(till)
    assert lines(sales) == {"front": (1, FRONT, 1, FRONT)}
    assert methods(sales) == {"door": (1, FRONT, FRONT, FRONT)}
    (payment,) = (await box_office.get(till.pool, made.order_id)).payments or []
    await people.pay_out(made.order_id, tuple(refund.id for refund in payment.refunds))
    assert methods(await today(till)) == {"door": (1, FRONT, FRONT, 0)}


async def test_a_moved_seat_is_sold_once_and_given_back_once(till: Till) -> None:
    people = await desk(till)
    made = await till.order("ann", 3)
    await till.say(await till.payment(made), "captured")
    await people.reseat(till.shop.event_id, made.order_id, {3: 5})
    assert lines(await today(till)) == {"back": (1, BACK, 0, 0)}
    await people.cancel(made.order_id, (), "", "cancel")
    assert lines(await today(till)) == {"back": (1, BACK, 1, BACK)}


async def test_late_money_with_its_seats_and_without(till: Till) -> None:
    for visitor, seat in (("ann", 2), ("bob", 3)):
        made = await till.order(visitor, seat)
        payment = await till.payment(made)
        await till.expire(made.order_id)
        if seat == 3:
            await till.order("eve", 3, method="free")
        await till.say(payment, "captured")
    sales = await today(till)
    assert lines(sales) == {"front": (1, FRONT, 0, 0), "back": (1, 0, 0, 0), "": (0, BACK, 0, BACK)}
    assert methods(sales) == {CARD: (2, FRONT + BACK, BACK, 0)}


async def test_another_sum_and_a_cancelled_event(till: Till) -> None:
    wrong, late = await till.order("ann", 2), await till.order("bob", 4)
    await till.say(await till.payment(wrong), "captured", amount=777)
    people = await desk(till)
    await people.retry_payment(wrong.order_id)
    await events.cancel(till.pool, till.shop.event_id)
    await till.say(await till.payment(late), "captured")
    assert lines(await today(till)) == {"": (0, 777 + FRONT, 0, 777 + FRONT)}


async def test_free_seats_count_and_those_given_back(till: Till) -> None:
    made = await till.order("ann", 2, 3, method="free")
    people = await desk(till)
    await people.reseat(till.shop.event_id, made.order_id, {3: 5})
    await people.cancel(made.order_id, (2,), "", "refund")
    sales = await today(till)
    assert lines(sales) == {"front": (1, 0, 1, 0), "back": (1, 0, 0, 0)}
    assert sales.unpaid == []


async def test_a_finished_day_stays_as_it_was(till: Till) -> None:
    made = await till.order("ann", 2, method="free")
    await (await desk(till)).cancel(made.order_id, (), "", "cancel")
    await till.shop.sql("ALTER TABLE bookings DISABLE TRIGGER USER")
    await till.shop.sql("UPDATE bookings SET updated_at = updated_at - interval '2 days'")
    await till.shop.sql("ALTER TABLE bookings ENABLE TRIGGER USER")
    user = await make_user(till.pool, Role.buyer, "ann@example.org")
    [[email]] = await till.shop.sql("SELECT email FROM orders WHERE id = $1", made.order_id)
    async with connection(till.pool) as conn:
        assert await claims.claim(conn, user.id, email) == 1
    assert lines(await today(till)) == {"front": (1, 0, 0, 0)}, "given back two days ago"


async def test_each_on_its_own_day(till: Till) -> None:
    made = await till.order("ann", 2)
    await till.say(await till.payment(made), "captured")
    await till.shop.sql("UPDATE payments SET captured_at = captured_at - interval '2 days'")
    await (await desk(till)).cancel(made.order_id, (), "", "cancel")
    assert lines(await today(till)) == {"front": (0, 0, 1, FRONT)}
    two_days = timedelta(days=2)
    before = await day_sales.of(till.pool, SINCE - two_days, UNTIL - two_days)
    assert lines(before) == {"front": (1, FRONT, 0, 0)}
    other = await day_sales.of(till.pool, SINCE, UNTIL, till.shop.event_id + 1)
    assert (other.lines, other.methods, other.unpaid) == ([], [], [])


def test_a_day_has_as_many_hours_as_its_clocks_say() -> None:
    def hours(day: date) -> float:
        since, until = (moment.astimezone(UTC) for moment in bounds(day, "Europe/Berlin"))
        return (until - since) / timedelta(hours=1)

    assert [hours(date(2026, 3, 29)), hours(date(2026, 10, 25)), hours(date(2026, 11, 25))] == [23, 25, 24]
    assert bounds(date(2026, 7, 1), "Asia/Tokyo")[0].astimezone(UTC) == datetime(2026, 6, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "zone"),
    [
        (date(2026, 1, 1), "Mars/Base"),
        (date(2026, 1, 1), "../UTC"),
        (date.max, "UTC"),
        (date.min, "Asia/Tokyo"),
    ],
)
def test_no_such_day(day: date, zone: str) -> None:
    with pytest.raises(Refused, match=r"time zone"):
        bounds(day, zone)


async def test_viewers_may_look(settings: Settings) -> None:
    async with open_office(settings, Role.viewer) as office:
        found = await office.get("/sales?day=2026-11-25&timezone=Europe/Berlin")
        assert found["since"] == "2026-11-25T00:00:00+01:00"
        assert (found["lines"], found["methods"], found["unpaid"]) == ([], [], [])
        for query in ("", "?day=yesterday", "?day=2026-11-25&timezone=Mars/Base"):
            assert await office.code("GET", f"/sales{query}") == "invalid"
