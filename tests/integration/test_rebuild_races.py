"""Rebuilds that meet each other, a crash, a clock or sales (rules 1, 19 and 21)."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from checkout_world import Shop, an_order, open_shop, reopen, restart, until

from seatmap.checkout.rebuild import limits, open_event, rebuild
from seatmap.config import Settings
from seatmap.embedded import Embedded
from seatmap.errors import Recovering, Refused, SeatmapError
from seatmap.ledger import events


@pytest.fixture
async def shop(settings: Settings) -> AsyncIterator[Shop]:
    async with open_shop(settings) as shop:
        yield shop
        await shop.check()


# ---- two rebuilders (rule 19) ----


async def test_of_two_rebuilders_the_later_epoch_wins(shop: Shop) -> None:
    """The slower one does not step back behind what has been decided since."""
    stores, event_id = shop.stores, shop.event_id
    event = await events.get(stores.pool, event_id)
    assert event is not None
    slow = await events.raise_epoch(stores.pool, event_id)
    run_id = await stores.state.stage(event_id, slow, bytes(event.seat_count), {})
    fast = await rebuild(stores, event_id)
    assert fast is not None
    assert fast.epoch == slow + 1
    hold_id = await shop.hold("ann", 3)
    assert await stores.state.swap(event_id, slow, run_id, limits(event, stores.settings)) is None
    assert (await shop.mine("ann")).hold_id == hold_id
    assert await shop.world.redis.command("KEYS", f"*:{slow}") == []


async def test_rebuilders_at_once_end_in_the_highest_epoch(shop: Shop) -> None:
    await shop.sell("ann", 3)
    hold_id = await shop.hold("bob", 4)
    told = await asyncio.gather(*(rebuild(shop.stores, shop.event_id) for _ in range(5)))
    assert max(done.epoch for done in told if done) == (await shop.world.position()).epoch == 6
    assert (await shop.mine("bob")).hold_id == hold_id


async def test_staged_on_another_server_than_the_one_reached_now(shop: Shop, servers: Embedded) -> None:
    """A restart between staging and swapping: the swap must not adopt a state that nobody has checked."""
    stores, event_id = shop.stores, shop.event_id
    event = await events.get(stores.pool, event_id)
    assert event is not None
    epoch = await events.raise_epoch(stores.pool, event_id)
    run_id = await stores.state.stage(event_id, epoch, bytes(event.seat_count), {})
    await restart(servers)

    async def answered() -> bool:
        try:
            assert await stores.state.swap(event_id, epoch, run_id, limits(event, stores.settings)) is None
        except SeatmapError:
            return False  # a connection of before
        return True

    await until(answered)
    await reopen(shop)


async def test_a_rebuilder_that_dies_half_way_leaves_the_event_closed_until_the_next(shop: Shop) -> None:
    await shop.stores.state.mark_rebuilding(shop.event_id)
    await events.raise_epoch(shop.stores.pool, shop.event_id)
    with pytest.raises(Recovering):
        await shop.hold("ann", 3)
    assert await open_event(shop.stores, shop.event_id) is not None
    await shop.hold("ann", 3)


async def test_a_rebuild_that_left_redis_behind_postgres_is_made_again(shop: Shop) -> None:
    """The later of two rebuilders raised the epoch and died, the earlier one swapped: nothing could be sold."""
    hold_id = await shop.hold("ann", 3)
    await events.raise_epoch(shop.stores.pool, shop.event_id)
    with pytest.raises(Refused) as refused:
        await shop.book("ann", an_order(hold_id, 3))
    assert refused.value.code == "wrong_epoch"
    with pytest.raises(Recovering):
        await shop.mine("ann")
    assert await open_event(shop.stores, shop.event_id) is not None
    assert (await shop.mine("ann")).hold_id == hold_id
    assert await shop.book("ann", an_order(hold_id, 3))


async def test_an_order_of_an_earlier_epoch_does_not_have_the_event_rebuilt(shop: Shop) -> None:
    """…nor does an order that was refused for its epoch once, when it is sent again."""
    order = an_order(await shop.hold("ann", 3), 3)
    for epoch in (99, 0):
        with pytest.raises(Refused) as refused:
            await shop.book("ann", msgspec.structs.replace(order, epoch=epoch))
        assert refused.value.code == "wrong_epoch"
    assert not await shop.stores.state.mark_behind(shop.event_id, 7)
    assert (await shop.mine("ann")).seats == (3,)


async def test_a_clock_that_went_far_back_is_healed_by_a_rebuild(shop: Shop) -> None:
    """Rule 1: every command is refused until then, so opening must see it, too."""
    hold_id = await shop.hold("ann", 3)
    await shop.world.age(-86_400_000)
    floor = int((await shop.world.hash(shop.world.keys.meta))["floor"]) + 86_400_000
    await shop.world.redis.command("HSET", shop.world.keys.meta, "floor", floor)
    with pytest.raises(Recovering):
        await shop.hold("bob", 4)
    assert await open_event(shop.stores, shop.event_id) is not None
    again = await shop.mine("ann")
    settings = shop.stores.settings
    assert again.hold_id == hold_id
    assert again.expires_in_ms <= (settings.hold_seconds + settings.extend_seconds) * 1000
    await shop.hold("bob", 4)


async def test_sales_during_a_rebuild(shop: Shop) -> None:
    """P1 and P2: whatever is told while the event is rebuilt again and again stands in both stores."""
    done = asyncio.Event()
    booked: list[int] = []

    async def buyer(name: int) -> None:
        for seat in range(20):
            try:
                if await shop.book(
                    f"v{name}-{seat}", an_order(await shop.hold(f"v{name}-{seat}", seat), seat)
                ):
                    booked.append(seat)
            except SeatmapError:
                continue

    async def rebuilder() -> None:
        while not done.is_set():
            await rebuild(shop.stores, shop.event_id)

    rebuilding = asyncio.ensure_future(rebuilder())
    await asyncio.gather(*map(buyer, range(4)))
    done.set()
    await rebuilding
    assert len(set(booked)) == len(booked)
    assert set(booked) <= set(await shop.bookings())

    async def settled() -> bool:
        await shop.checkout.close()
        return not await shop.stores.state.undecided(shop.event_id, age_ms=0)

    await until(settled)
