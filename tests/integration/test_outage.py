"""While a store is down: what goes on, what is refused at once, and that it heals by itself."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from checkout_world import Interrupted, an_order, open_shop, stopped, through, until, without_postgres
from payment_world import open_till
from site_clients import Refusal, make_event, visited_site
from site_clients import order as an_order_of

from seatmap.booking.commands import Hold, Sustain
from seatmap.checkout import payment as payment_module
from seatmap.config import Settings
from seatmap.embedded import Embedded
from seatmap.errors import Recovering, Unavailable
from seatmap.worker.run import Worker

OPENED_SECONDS = 10.0  # a second, on a machine that has nothing else to do
PATIENT_MS = 60_000  # what a call would wait without a breaker


@contextmanager
def frozen_postgres(servers: Embedded) -> Iterator[None]:
    """Postgres is there and answers nothing, on old connections and new ones."""
    parent = psutil.Process(servers.pids["postgres"])
    frozen = [parent.pid, *(child.pid for child in parent.children(recursive=True))]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)


async def test_a_silent_postgres_keeps_nobody_waiting(settings: Settings, servers: Embedded) -> None:
    """Row 23: orders under way and later ones are answered as soon as it is known, and booked afterwards."""
    async with open_shop(settings, ledger_timeout_ms=PATIENT_MS) as shop:
        orders = {name: an_order(await shop.hold(name, seat), seat) for seat, name in enumerate("abc")}
        with frozen_postgres(servers):
            began = time.monotonic()
            under_way = [asyncio.ensure_future(shop.book(name, orders[name])) for name in "ab"]
            for found in await asyncio.gather(*under_way, return_exceptions=True):
                assert isinstance(found, Unavailable)
            assert shop.stores.pool.breaker.is_open
            with pytest.raises(Unavailable):
                await shop.book("c", orders["c"])
            assert time.monotonic() - began < OPENED_SECONDS
            assert (await shop.mine("c")).seats == (2,), "nothing was begun"
            assert await shop.hold("d", 4), "holds go on"
        await shop.healed()
        for name, order in orders.items():
            await shop.book(name, order)
        await shop.checkout.close()
        assert await shop.bookings() == {i: orders[name].order_id for i, name in enumerate("abc")}
        await shop.check()


async def test_a_silent_redis_keeps_nobody_waiting(settings: Settings, servers: Embedded) -> None:
    async with open_shop(settings, command_timeout_ms=PATIENT_MS) as shop:
        breaker = shop.stores.redis.breaker

        async def opened() -> bool:
            return breaker.is_open

        with stopped(servers):
            await until(opened)
            began = time.monotonic()
            for _ in range(100):
                with pytest.raises(Unavailable):
                    await shop.hold("ann", 3)
            assert time.monotonic() - began < OPENED_SECONDS
        await shop.healed()
        await shop.sell("ann", 3)
        await shop.check()


async def test_holds_in_checkout_are_extended_once(settings: Settings, servers: Embedded) -> None:
    async with open_shop(settings, hold_seconds=100, extend_seconds=50) as shop:
        order = an_order(await shop.hold("ann", 3), 3)
        await shop.hold("bob", 4)

        async def opened() -> bool:
            return shop.stores.pool.breaker.is_open

        with without_postgres(servers):
            await until(opened)
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await shop.book("ann", order)
            ann, bob = await shop.mine("ann"), await shop.mine("bob")
        assert (ann.seats, ann.extendable, bob.extendable) == ((3,), False, True), "only whoever pays"
        assert 100_000 < ann.expires_in_ms <= 150_000
        await shop.healed()
        await shop.book("ann", order)
        await shop.check()


async def test_an_order_that_was_begun_is_extended_and_finds_its_hold_again(settings: Settings) -> None:
    async with open_shop(settings, hold_seconds=100, extend_seconds=50) as shop:
        order = an_order(await shop.hold("ann", 3), 3)
        with pytest.raises(Unavailable):
            await shop.book(
                "ann", order, by=through(shop.stores, Interrupted(shop.stores.pool, committed=False))
            )
        (record,) = [
            text for name, text in (await shop.world.hash(shop.world.keys.orders)).items() if name != "-"
        ]
        assert record.split("|")[3] == "1", "by the book that failed"
        await shop.world.age(90_000)
        for _ in range(3):
            await shop.stores.desk.decide(shop.event_id, Sustain("ann"))
        await shop.world.age(30_000)
        await shop.settle()
        mine = await shop.mine("ann")
        assert (mine.seats, mine.extendable) == ((3,), False)
        assert 0 < mine.expires_in_ms <= 30_000


async def test_a_hold_that_is_over_is_not_extended(settings: Settings) -> None:
    async with open_shop(settings, hold_seconds=100, extend_seconds=50) as shop:
        await shop.hold("ann", 3)
        await shop.world.age(110_000)
        await shop.stores.desk.decide(shop.event_id, Sustain("ann"))
        assert (await shop.stores.desk.decide(shop.event_id, Hold("bob", "", (3,)))).word == "OK"


async def test_bookings_are_read_while_redis_is_away(settings: Settings, servers: Embedded) -> None:
    event = await make_event(settings)
    async with visited_site(settings) as site:
        ada = site.visitor()
        booked = await ada.post(event, "book", an_order_of(await ada.post(event, "hold", {"seats": [1]})))
        with stopped(servers):
            (shown,) = (await ada.get("/api/orders"))["orders"]
            assert shown["id"] == booked["id"]
            assert (await ada.get(f"/api/orders/{booked['id']}"))["status"] == "confirmed"
            with pytest.raises(Refusal) as refusal:
                await ada.post(event, "hold", {"seats": [2]})
            assert (refusal.value.status, refusal.value.problem["temporary"]) == (503, True)


async def test_a_late_payment_while_redis_stays_away_goes_back(
    settings: Settings, servers: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 14. It waits for Redis a while, since nobody else may have its seats yet."""
    async with open_till(settings) as till:
        bought = await till.order("ann", 3)
        payment = await till.payment(bought)
        await till.expire(bought.order_id)
        with stopped(servers):
            await till.say(payment, "captured")
            assert (await till.state(payment.id))[0] == "captured"
            monkeypatch.setattr(payment_module, "LATE_PATIENCE_S", -1.0)
            await till.cashier.reseat_late()
            assert (await till.state(payment.id))[0] == "refund_due"
        await till.shop.healed()
        assert await till.cashier.send_refunds() == 1
        await till.balanced()
        await till.agree()


# ---- clocks ----


async def test_a_worker_rebuilds_an_event_whose_clock_went_far_back(settings: Settings) -> None:
    """It ran an hour ahead and was put right: event time would stand still, and no hold would ever end."""
    async with open_shop(settings) as shop:
        await shop.hold("ann", 3)
        meta = shop.world.keys.meta
        floor = int((await shop.world.hash(meta))["floor"]) + 3_600_000
        await shop.world.redis.command("HSET", meta, "floor", floor)
        with pytest.raises(Recovering):
            await shop.mine("ann")
        stop = asyncio.Event()
        working = asyncio.ensure_future(Worker(shop.stores).run(stop))

        async def open_again() -> bool:
            try:
                return (await shop.mine("ann")).seats == (3,)
            except Recovering:
                return False

        await until(open_again)
        stop.set()
        await working
        assert shop.stores.counts["rebuilds"] == 2


@pytest.mark.parametrize(("redis_s", "told"), [(1.5, True), (-1.5, True), (0.5, False)])
async def test_a_worker_says_that_the_clocks_differ(
    settings: Settings, caplog: pytest.LogCaptureFixture, redis_s: float, told: bool
) -> None:
    async with open_shop(settings) as shop:
        shop.stores.pool.breaker.clock_s = 0.0
        shop.stores.redis.breaker.clock_s = redis_s
        await Worker(shop.stores)._compare_clocks()
    assert ("the clock of Redis is" in caplog.text) is told
