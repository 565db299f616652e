"""What breaks between the steps of book and cancel, and who settles it."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from checkout_world import (
    Forgetful,
    Interrupted,
    Paused,
    Shop,
    an_order,
    open_shop,
    refused,
    stopped,
    through,
    without_postgres,
)

from seatmap.booking.commands import Begin, Hold
from seatmap.checkout.resolve import resolve
from seatmap.config import Settings
from seatmap.embedded import Embedded
from seatmap.errors import Unavailable
from seatmap.ledger import orders
from seatmap.protocol import Cancel


@pytest.fixture
async def shop(settings: Settings) -> AsyncIterator[Shop]:
    async with open_shop(settings) as shop:
        yield shop


# ---- crashes, and the resolver (rule 17) ----


async def test_crash_between_begin_and_postgres(shop: Shop) -> None:
    """Nobody retries: the tombstone is planted and the seats return to their hold."""
    order = an_order(await shop.hold("ann", 3), 3)
    broken = through(shop.stores, Interrupted(shop.stores.pool, committed=False))
    with pytest.raises(Unavailable):
        await shop.book("ann", order, by=broken)
    assert (await shop.mine("ann")).order_id == order.order_id.hex
    await shop.settle()
    assert await shop.verdict(order) == ("aborted", "order_aborted")
    assert (await shop.mine("ann")).seats == (3,)
    assert await refused(shop.book("ann", order)) == "order_aborted"
    await shop.check()


async def test_crash_between_begin_and_postgres_of_a_hold_that_has_ended(shop: Shop) -> None:
    order = an_order(await shop.hold("ann", 3), 3)
    with pytest.raises(Unavailable):
        await shop.book("ann", order, by=through(shop.stores, Interrupted(shop.stores.pool, committed=False)))
    await shop.world.age(3_600_000)
    await shop.settle()
    assert await shop.owners() == {}
    await shop.check()


async def test_crash_between_the_commit_and_redis(shop: Shop) -> None:
    """P2: acknowledged or not, what was committed is booked."""
    order = an_order(await shop.hold("ann", 3), 3)
    with pytest.raises(Unavailable):
        await shop.book("ann", order, by=through(shop.stores, Interrupted(shop.stores.pool, committed=True)))
    assert await shop.owners() == {3: f"p|{order.order_id.hex}"}
    await shop.settle()
    assert await shop.owners() == {3: f"b|{order.order_id.hex}"}
    assert await shop.book("ann", order) is False
    await shop.check()


async def test_retry_before_the_resolver_goes_on_where_the_first_try_ended(shop: Shop) -> None:
    order = an_order(await shop.hold("ann", 3), 3)
    with pytest.raises(Unavailable):
        await shop.book("ann", order, by=through(shop.stores, Interrupted(shop.stores.pool, committed=False)))
    await shop.book("ann", order)
    await shop.checkout.close()
    assert list(await shop.bookings()) == [3]
    assert await resolve(shop.stores, shop.event_id) == 0
    await shop.check()


async def test_the_resolver_before_a_late_commit(shop: Shop) -> None:
    """Rule 17: whichever of tombstone and booking comes first has won."""
    order = an_order(await shop.hold("ann", 3), 3)
    ledger = Paused(shop.stores.pool)
    late = asyncio.ensure_future(shop.book("ann", order, by=through(shop.stores, ledger)))
    await ledger.reached.wait()
    await shop.settle()
    await shop.world.age(3_600_000)
    winner = await shop.sell("bob", 3)
    ledger.let_through.set()
    assert await refused(late) == "order_aborted"
    assert await shop.bookings() == {3: winner.order_id}
    await shop.check()


async def test_the_resolver_finds_a_commit_that_was_cancelled_since(shop: Shop) -> None:
    """Rule 17: what the bookings say now, not what the verdict was."""
    order = an_order(await shop.hold("ann", 3), 3)
    await shop.book("ann", order, by=Forgetful(shop.stores))
    await orders.cancel(shop.stores.pool, order.order_id, "ann")
    await shop.settle()
    assert await shop.owners() == {}
    await shop.check()


async def test_the_resolver_settles_an_order_id_that_was_used_before(shop: Shop) -> None:
    """The verdict is that of another body: this one is refused and its seats go back."""
    sold = await shop.sell("ann", 3)
    hold_id = await shop.hold("ann", 4)
    begin = Begin("ann", hold_id, sold.order_id.hex, uuid4().bytes.hex(), (4,))
    await shop.stores.desk.decide(shop.event_id, begin)
    await shop.settle()
    assert (await shop.mine("ann")).seats == (4,)
    await shop.check()


async def test_the_resolver_leaves_young_orders_alone(settings: Settings) -> None:
    async with open_shop(settings, resolve_after_ms=600_000) as shop:
        order = an_order(await shop.hold("ann", 3), 3)
        broken = through(shop.stores, Interrupted(shop.stores.pool, committed=False))
        with pytest.raises(Unavailable):
            await shop.book("ann", order, by=broken)
        assert await resolve(shop.stores, shop.event_id) == 0
        assert await shop.verdict(order) is None


# ---- cancel ----


async def test_cancel_gives_the_seats_back_and_repeats(shop: Shop) -> None:
    order = await shop.sell("ann", 3, 4)
    for _ in range(2):
        await shop.checkout.cancel("ann", Cancel(order_id=order.order_id))
    await shop.checkout.close()
    assert await shop.bookings() == {}
    assert await shop.owners() == {}
    await shop.sell("bob", 3)
    await shop.checkout.cancel("ann", Cancel(order_id=order.order_id))
    await shop.check()


async def test_cancel_of_what_is_not_mine_or_no_order(shop: Shop) -> None:
    order = await shop.sell("ann", 3)
    assert await refused(shop.checkout.cancel("bob", Cancel(order_id=order.order_id))) == "order_not_found"
    assert await refused(shop.checkout.cancel("ann", Cancel(order_id=uuid4()))) == "order_not_found"
    lost = an_order("9-9", 4)
    assert await refused(shop.book("ann", lost)) == "hold_expired"
    assert await refused(shop.checkout.cancel("ann", Cancel(order_id=lost.order_id))) == "order_not_active"
    await shop.check()


async def test_a_late_finish_does_not_take_a_cancelled_seat_back(shop: Shop) -> None:
    order = an_order(await shop.hold("ann", 3), 3)
    forgetful = Forgetful(shop.stores)
    await shop.book("ann", order, by=forgetful)
    await shop.checkout.cancel("ann", Cancel(order_id=order.order_id))
    await shop.checkout.close()
    winner = await shop.sell("bob", 3)
    (finish,) = forgetful.untold
    assert (await shop.stores.desk.decide(shop.event_id, finish)).word == "GONE"
    assert await shop.owners() == {3: f"b|{winner.order_id.hex}"}
    await shop.check()


async def test_a_late_cancel_does_not_free_a_seat_that_was_sold_since(shop: Shop) -> None:
    order = await shop.sell("ann", 3)
    forgetful = Forgetful(shop.stores)
    await forgetful.cancel("ann", Cancel(order_id=order.order_id))
    await shop.checkout.cancel("ann", Cancel(order_id=order.order_id))
    await shop.checkout.close()
    await shop.sell("bob", 3)
    (cancel,) = forgetful.untold
    assert (await shop.stores.desk.decide(shop.event_id, cancel)).fields == ("0",)
    await shop.check()


async def test_cancel_before_redis_knows_that_it_was_booked(shop: Shop) -> None:
    order = an_order(await shop.hold("ann", 3), 3)
    await shop.book("ann", order, by=Forgetful(shop.stores))
    await shop.checkout.cancel("ann", Cancel(order_id=order.order_id))
    await shop.checkout.close()
    assert await shop.owners() == {}
    await shop.hold("ann", 5)
    await shop.check()


async def test_cancel_while_the_order_is_being_decided(shop: Shop) -> None:
    """There is nothing to cancel yet, and the order goes on."""
    order = an_order(await shop.hold("ann", 3), 3)
    ledger = Paused(shop.stores.pool)
    booking = asyncio.ensure_future(shop.book("ann", order, by=through(shop.stores, ledger)))
    await ledger.reached.wait()
    assert await refused(shop.checkout.cancel("ann", Cancel(order_id=order.order_id))) == "order_not_found"
    ledger.let_through.set()
    assert await booking is True


# ---- a store is away ----


async def test_postgres_is_away(settings: Settings, servers: Embedded) -> None:
    """Rule 12: unknown is not refused; the seats stay the buyer's, and the retry settles it."""
    async with open_shop(settings, resolve_after_ms=600_000) as shop:
        order = an_order(await shop.hold("ann", 3), 3)
        lost = an_order("9-9", 4)
        with without_postgres(servers):
            with pytest.raises(Unavailable):
                await shop.book("ann", order)
            with pytest.raises(Unavailable):
                await shop.book("bob", lost)
            assert (await shop.mine("ann")).order_seats == (3,)
            assert (
                await refused(shop.stores.desk.decide(shop.event_id, Hold("bob", "", (3,)))) == "seat_taken"
            )
            assert await shop.hold("bob", 4), "holds go on"
            assert await resolve(shop.stores, shop.event_id) == 0
        await shop.healed()
        await shop.book("ann", order)
        assert await refused(shop.book("bob", lost)) == "hold_expired"
        assert await shop.bookings() == {3: order.order_id}
        await shop.check()


async def test_redis_is_away_when_the_verdict_is_there(settings: Settings, servers: Embedded) -> None:
    """The acknowledgement does not wait for Redis; what it missed is the resolver's."""
    async with open_shop(settings, command_timeout_ms=300) as shop:
        order = an_order(await shop.hold("ann", 3), 3)
        ledger = Paused(shop.stores.pool)
        process = through(shop.stores, ledger)
        booking = asyncio.ensure_future(shop.book("ann", order, by=process))
        await ledger.reached.wait()
        with stopped(servers):
            ledger.let_through.set()
            assert await booking is True
            await process.close()
        await shop.healed()
        assert await shop.owners() == {3: f"p|{order.order_id.hex}"}
        await shop.settle()
        await shop.check()


async def test_redis_is_away_before_the_order_began(settings: Settings, servers: Embedded) -> None:
    """Rule 12: nothing is known, so nothing is written; the retry books."""
    async with open_shop(settings, command_timeout_ms=300) as shop:
        order = an_order(await shop.hold("ann", 3), 3)
        with stopped(servers), pytest.raises(Unavailable):
            await shop.book("ann", order)
        await shop.healed()
        assert await shop.verdict(order) is None
        assert (await shop.mine("ann")).seats == (3,)
        assert await shop.book("ann", order)
        await shop.check()
