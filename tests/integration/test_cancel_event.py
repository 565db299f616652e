"""A cancelled event: nothing is sold after it, every order is cancelled and every payment owed back, once."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from checkout_world import an_order, refused
from payment_world import Till, open_till
from redis.asyncio import Redis

from seatmap.checkout.cancel_event import canceller
from seatmap.checkout.reconcile import differences
from seatmap.config import Settings
from seatmap.ledger import events
from seatmap.ledger.jobs import count_by_state as jobs_by_state
from seatmap.ledger.tasks import CANCEL_ORDERS
from seatmap.worker import jobs
from seatmap.worker.run import Worker

BOOKINGS, CHUNK_S = 50_000, 60.0


@pytest.fixture
async def till(settings: Settings) -> AsyncIterator[Till]:
    async with open_till(settings) as till:
        yield till


async def work(till: Till, workers: int = 1) -> None:
    others = {CANCEL_ORDERS: canceller(till.shop.stores)}
    run = [
        jobs.run(till.pool, till.shop.stores.settings, asyncio.Event(), drain=True, others=others)
        for _ in range(workers)
    ]
    await asyncio.gather(*run)


async def test_orders_of_every_kind(till: Till) -> None:
    paid = await till.order("ann", 2, 3)
    payment = await till.payment(paid)
    await till.say(payment, "captured")
    pending = await till.payment(await till.order("bob", 4))
    await till.order("eve", 5, method="free")
    door = await till.payment(await till.order("zoe", 6, method="door"))
    await events.cancel(till.pool, till.shop.event_id)
    order = an_order("", 7)
    assert await refused(till.shop.book("kim", order)) in ("hold_expired", "not_on_sale", "wrong_epoch")
    await work(till)
    await till.cashier.beat()
    assert await till.state(payment.id) == ("refunded", "cancelled", "refunded")
    assert await till.state(pending.id) == ("expired", "cancelled", "unpaid")
    assert await till.state(door.id) == ("expired", "cancelled", "unpaid")
    assert await till.shop.bookings() == {}
    assert await till.shop.owners() == {}
    assert (await till.say(pending, "captured")).result == "refund"
    await till.balanced()
    await till.agree()


async def test_an_event_that_is_deleted_before_its_orders_are_cancelled(till: Till) -> None:
    """What is left of it in Redis ends with the job."""
    await till.order("ann", 2, method="free")
    await events.cancel(till.pool, till.shop.event_id)
    await till.shop.sql("UPDATE events SET deleted_at = now()")
    await work(till)
    assert await jobs_by_state(till.pool) == {"queued": 0, "running": 0, "done": 1, "failed": 0}
    assert await till.shop.bookings() == {}


async def test_redis_that_goes_back_in_time_after_it_follows(till: Till) -> None:
    """A replica that takes over may know nothing of the end; nobody compares the seats of a cancelled event."""
    await till.order("eve", 5, method="free")
    stores, event_id = till.shop.stores, till.shop.event_id
    async with Redis.from_url(stores.settings.redis_url) as redis:
        then = {key: await redis.dump(key) for key in await redis.keys(f"*{{seatmap:{event_id}}}*")}
        await events.cancel(till.pool, event_id)
        await work(till)
        assert await differences(stores, event_id) == []
        await redis.delete(*await redis.keys(f"*{{seatmap:{event_id}}}*"))
        for key, value in then.items():
            await redis.restore(key, 0, value)
    assert await differences(stores, event_id) != []
    await Worker(stores)._follow_closed()
    assert await differences(stores, event_id) == []
    rebuilt = stores.counts["rebuilds"]
    await Worker(stores)._follow_closed()
    assert stores.counts["rebuilds"] == rebuilt, "it has caught up"


async def test_in_the_middle_of_the_rush_and_with_two_workers(till: Till) -> None:
    """Whoever was booked before has it cancelled and owed back; nobody is booked after."""

    async def buy(seat: int) -> None:
        payment = await till.payment(await till.order(f"visitor-{seat}", seat))
        await till.say(payment, "captured")

    buying = [asyncio.create_task(buy(seat)) for seat in range(20)]
    await buying[3]
    await events.cancel(till.pool, till.shop.event_id)
    job = canceller(till.shop.stores)
    payload = b'{"event_id": %d}' % till.shop.event_id
    await asyncio.gather(*(job(till.pool, number, payload) for number in range(2)))
    await asyncio.gather(*buying, return_exceptions=True)
    await till.shop.checkout.close()
    await asyncio.gather(job(till.pool, 1, payload), work(till))
    await asyncio.gather(*(till.cashier.beat() for _ in range(2)))
    assert await till.shop.bookings() == {}
    await till.balanced()
    assert not await till.value("SELECT count(*) FROM payments WHERE status IN ('captured', 'refund_due')")
    assert await till.value("SELECT count(*) FROM refunds") >= 1


async def test_where_postgres_is_slow_fewer_are_cancelled_at_once(settings: Settings) -> None:
    async with open_till(settings, 40, ledger_timeout_ms=1000) as till:
        for seat in range(40):
            await till.order(f"visitor-{seat}", seat, method="free")
        await till.shop.sql(
            """
            CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_sleep(0.05);
                RETURN NEW;
            END $$
            """
        )
        await till.shop.sql(
            "CREATE TRIGGER slowly BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION slowly()"
        )
        await events.cancel(till.pool, till.shop.event_id)
        async with asyncio.timeout(60):
            await work(till)
        assert await till.shop.bookings() == {}
        assert await till.value("SELECT state FROM jobs WHERE kind = 'cancel_orders'") == "done"


async def test_fifty_thousand_bookings(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """The figure: refunds owed within a minute."""
    async with open_till(settings, BOOKINGS, ledger_timeout_ms=20_000) as till:
        await till.shop.sql(
            """
            WITH made AS (
                INSERT INTO verdicts (order_id, event_id, visitor, body_hash, outcome)
                SELECT gen_random_uuid(), $1, 'visitor-' || n, '', 'committed' FROM generate_series(0, 12499) n
                RETURNING order_id, substr(visitor, 9)::int AS n, visitor
            ), ordered AS (
                INSERT INTO orders (id, event_id, visitor, name, email, status, total, currency, payment_status,
                    payment_method)
                SELECT order_id, $1, visitor, 'Ada', 'a@b', 'confirmed', 6000, 'EUR', 'paid', 'test_card' FROM made
            ), paid AS (
                INSERT INTO payments (order_id, provider, session, amount, currency, status)
                SELECT order_id, 'test_card', visitor, 6000, 'EUR', 'captured' FROM made
            )
            INSERT INTO bookings (order_id, event_id, seat, status, price, currency, seq_on)
            SELECT order_id, $1, 4 * n + k, 'confirmed', 1500, 'EUR', 0 FROM made, generate_series(0, 3) k
            """,
            till.shop.event_id,
        )
        await till.shop.sql("ANALYZE")
        began = time.monotonic()
        await events.cancel(till.pool, till.shop.event_id)
        told = time.monotonic() - began
        await work(till)
        took = time.monotonic() - began
        with capsys.disabled():
            print(  # noqa: T201
                f"\n50,000 bookings: acknowledged in {1000 * told:.0f} ms, refunds owed in {took:.1f} s"
            )
        assert took < CHUNK_S
        assert await till.value("SELECT sum(amount) FROM refunds WHERE status = 'due'") == 75_000_000
        assert await till.value("SELECT state FROM jobs WHERE kind = 'cancel_orders'") == "done"
        assert await till.shop.bookings() == {}
