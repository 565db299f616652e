"""Comparing the stores: every kind of difference is found and mended, and nothing else is touched (rule 18)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest
from checkout_world import Interrupted, Shop, an_order, open_shop, through
from ledger_world import purchase

from seatmap.booking.commands import Expire, Finish, Hold, ReadMine, Release
from seatmap.checkout.reconcile import Difference, differences, lasting_differences, repair
from seatmap.config import Settings
from seatmap.errors import SeatmapError, Unavailable
from seatmap.ledger import orders
from seatmap.ledger.group import GroupCommit
from seatmap.model import Status
from seatmap.protocol import Cancel


@pytest.fixture
async def shop(settings: Settings) -> AsyncIterator[Shop]:
    async with open_shop(settings) as shop:
        yield shop


async def set_seat(shop: Shop, seat: int, status: Status, owner: str = "") -> None:
    """Make Redis wrong about a seat."""
    await shop.world.redis.command("SETRANGE", shop.world.keys.seats, seat, bytes([status]))
    if owner:
        await shop.world.redis.command("HSET", shop.world.keys.owners, seat, owner)
    else:
        await shop.world.redis.command("HDEL", shop.world.keys.owners, seat)


async def sold_behind_its_back(shop: Shop, seat: int) -> str:
    """Booked in Postgres only; the order's id."""
    epoch = (await shop.world.position()).epoch
    order = purchase(shop.event_id, seat, epoch=epoch)
    assert (await GroupCommit(shop.stores.pool).book(order)).outcome == "committed"
    return order.order_id.hex


async def booked_is_free(shop: Shop) -> None:
    await shop.sell("ann", 3)
    await set_seat(shop, 3, Status.available)


async def booked_is_held(shop: Shop) -> None:
    hold_id = await shop.hold("ann", 3, 4)
    await sold_behind_its_back(shop, 3)
    assert (await shop.owners())[3] == f"h|{hold_id}"


async def booked_is_another_orders(shop: Shop) -> None:
    await shop.sell("ann", 3)
    await set_seat(shop, 3, Status.booked, f"b|{uuid4().hex}")


async def booked_is_shown_free(shop: Shop) -> None:
    order = await shop.sell("ann", 3)
    await set_seat(shop, 3, Status.available, f"b|{order.order_id.hex}")


async def cancelled_is_booked(shop: Shop) -> None:
    order = await shop.sell("ann", 3)
    await orders.cancel(shop.stores.pool, order.order_id, "ann")


async def nobodys_is_booked(shop: Shop) -> None:
    await set_seat(shop, 3, Status.booked, f"b|{uuid4().hex}")


async def nobodys_is_taken_without_an_owner(shop: Shop) -> None:
    await set_seat(shop, 3, Status.held)


async def held_without_a_hold(shop: Shop) -> None:
    await set_seat(shop, 3, Status.held, "h|1-999")


async def undecided_without_an_order(shop: Shop) -> None:
    await set_seat(shop, 3, Status.held, f"p|{uuid4().hex}")


async def blocked_is_free(shop: Shop) -> None:
    await shop.sql("UPDATE seats SET status = 'blocked' WHERE event_id = $1 AND index = 3", shop.event_id)


async def blocked_is_held(shop: Shop) -> None:
    await shop.hold("ann", 3)
    await blocked_is_free(shop)


async def free_is_blocked(shop: Shop) -> None:
    await set_seat(shop, 3, Status.blocked)


WRONGS = [
    booked_is_free,
    booked_is_held,
    booked_is_another_orders,
    booked_is_shown_free,
    cancelled_is_booked,
    nobodys_is_booked,
    nobodys_is_taken_without_an_owner,
    held_without_a_hold,
    undecided_without_an_order,
    blocked_is_free,
    blocked_is_held,
    free_is_blocked,
]


@pytest.mark.parametrize("wrong", WRONGS, ids=lambda wrong: wrong.__name__)
async def test_a_difference_is_found_and_mended(shop: Shop, wrong: Callable[[Shop], Awaitable[None]]) -> None:
    await shop.sell("zoe", 10)
    await wrong(shop)
    found = await lasting_differences(shop.stores, shop.event_id, pause_s=0)
    assert [difference.seat for difference in found] == [3]
    assert await repair(shop.stores, shop.event_id, found) == 1
    assert await differences(shop.stores, shop.event_id) == []
    assert 10 in await shop.bookings()
    await shop.check()


async def test_every_wrong_at_once(shop: Shop) -> None:
    """A repair of one seat does not hide or undo that of another."""
    await shop.sell("ann", 1)
    await set_seat(shop, 1, Status.available)
    await set_seat(shop, 2, Status.booked, f"b|{uuid4().hex}")
    await set_seat(shop, 4, Status.held, "h|1-999")
    await shop.hold("bob", 5, 6)
    await sold_behind_its_back(shop, 5)
    await sold_behind_its_back(shop, 6)
    while found := await lasting_differences(shop.stores, shop.event_id, pause_s=0):
        assert await repair(shop.stores, shop.event_id, found) > 0
    assert sorted(await shop.bookings()) == [1, 5, 6]
    await shop.check()


async def test_a_difference_says_what_both_stores_have(shop: Shop) -> None:
    order = await shop.sell("ann", 3)
    await set_seat(shop, 3, Status.held, "h|1-999")
    (found,) = await differences(shop.stores, shop.event_id)
    assert (found.redis, found.postgres, found.order_id) == ("held h|1-999", "booked", order.order_id.hex)


async def test_a_mended_seat_is_told_to_the_screens_and_to_its_holder(shop: Shop) -> None:
    """P6: a repair is a change like any other."""
    await booked_is_held(shop)
    before = await shop.world.position()
    await repair(shop.stores, shop.event_id, await differences(shop.stores, shop.event_id))
    _, changes = await shop.stores.state.replay(shop.event_id, before)
    assert changes is not None
    assert changes[-1].seats == {3: Status.booked, 4: Status.available}
    assert [(visitor, reason) for visitor, reason, _ in changes[-1].touched] == [("ann", "lost")]


async def test_an_undecided_order_is_never_touched(shop: Shop) -> None:
    """Whether Postgres knows it or not: the resolver settles it."""
    for committed, (visitor, seat) in ((False, ("ann", 3)), (True, ("bob", 4))):
        order = an_order(await shop.hold(visitor, seat), seat)
        with pytest.raises(Unavailable):
            await shop.book(visitor, order, by=through(shop.stores, interrupted(shop, committed)))
    before = await shop.owners()
    assert await differences(shop.stores, shop.event_id) == []
    assert await repair(shop.stores, shop.event_id, everything(before)) == 0
    assert await shop.owners() == before
    await shop.settle(2)
    await shop.check()


async def test_an_undecided_order_for_a_seat_that_another_has_bought(shop: Shop) -> None:
    """Shown by `verify`, and mended once the resolver has settled the order."""
    order = an_order(await shop.hold("ann", 3), 3)
    with pytest.raises(Unavailable):
        await shop.book("ann", order, by=through(shop.stores, interrupted(shop, False)))
    await sold_behind_its_back(shop, 3)
    found = await lasting_differences(shop.stores, shop.event_id, pause_s=0)
    assert [difference.seat for difference in found] == [3]
    assert await repair(shop.stores, shop.event_id, found) == 0
    await shop.settle()
    assert await repair(shop.stores, shop.event_id, await differences(shop.stores, shop.event_id)) == 1
    await shop.check()


def interrupted(shop: Shop, committed: bool) -> Interrupted:
    return Interrupted(shop.stores.pool, committed=committed)


def everything(owners: dict[int, str]) -> list[Difference]:
    """A reconciler gone mad: every taken seat is said to be free."""
    return [Difference(seat, "", "free", "", token, Status.held) for seat, token in owners.items()]


async def test_what_has_changed_since_it_was_seen_is_left_alone(shop: Shop) -> None:
    """Compare-and-set."""
    await nobodys_is_booked(shop)
    found = await differences(shop.stores, shop.event_id)
    await set_seat(shop, 3, Status.available)
    hold_id = await shop.hold("ann", 3)
    assert await repair(shop.stores, shop.event_id, found) == 0
    assert await shop.owners() == {3: f"h|{hold_id}"}


async def test_a_hold_that_was_thought_dead_and_lives_is_left_alone(shop: Shop) -> None:
    """It was between its BEGIN and a refusal in both looks: not dead, only elsewhere."""
    hold_id = await shop.hold("ann", 3)
    looked = Difference(3, f"held h|{hold_id}", "free", "", f"h|{hold_id}", Status.held)
    assert await repair(shop.stores, shop.event_id, [looked]) == 0
    assert await shop.owners() == {3: f"h|{hold_id}"}


async def test_what_is_gone_in_the_second_look_does_not_count(shop: Shop) -> None:
    order = await shop.sell("ann", 3)
    await orders.cancel(shop.stores.pool, order.order_id, "ann")
    assert len(await differences(shop.stores, shop.event_id)) == 1
    looking = asyncio.ensure_future(lasting_differences(shop.stores, shop.event_id, pause_s=0.5))
    await shop.checkout.cancel("ann", Cancel(order_id=order.order_id))
    await shop.checkout.close()
    assert await looking == []


async def test_nothing_lasting_is_found_during_sales(shop: Shop) -> None:
    """Holds, orders, refusals and cancellations in flight are no drift."""
    done = asyncio.Event()

    async def buyer(name: str) -> None:
        for turn in range(25):
            seats = ((turn * 3) % 18, (turn * 3) % 18 + 1)
            try:
                hold_id = await shop.hold(name, *seats)
                order = an_order(hold_id, *seats, total=1 if turn % 5 == 0 else sum((2000, 1000)))
                await shop.book(name, order)
                await shop.checkout.cancel(name, Cancel(order_id=order.order_id))
            except SeatmapError:
                mine = (await shop.stores.desk.decide(shop.event_id, ReadMine(name))).mine
                if mine.hold_id:
                    await shop.stores.desk.decide(shop.event_id, Release(name, mine.hold_id, ()))

    async def look() -> list[Difference]:
        found: list[Difference] = []
        while not done.is_set():
            found += await lasting_differences(shop.stores, shop.event_id, pause_s=0.2)
        return found

    looking = asyncio.ensure_future(look())
    await asyncio.gather(*(buyer(f"visitor-{number}") for number in range(5)))
    done.set()
    assert await looking == []
    await shop.checkout.close()
    await shop.stores.desk.decide(shop.event_id, Expire(100))
    assert await differences(shop.stores, shop.event_id) == []
    await shop.check()


async def test_finish_after_a_repair_does_no_harm(shop: Shop) -> None:
    """The message that was thought lost comes after all."""
    order_id = await sold_behind_its_back(shop, 3)
    await repair(shop.stores, shop.event_id, await differences(shop.stores, shop.event_id))
    assert (await shop.stores.desk.decide(shop.event_id, Finish(order_id, "confirmed"))).word == "GONE"
    with pytest.raises(SeatmapError):
        await shop.stores.desk.decide(shop.event_id, Hold("eve", "", (3,)))
    await shop.check()
