"""Book and cancel across both stores: one verdict per order, whatever breaks in between."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest
from checkout_world import (
    Forgetful,
    Interrupted,
    Paused,
    Shop,
    an_order,
    open_shop,
    price_of,
    stopped,
    through,
    without_postgres,
)
from ledger_world import purchase

from seatmap.booking.commands import Begin, Hold, ReadMine
from seatmap.checkout.book import Checkout
from seatmap.checkout.rebuild import rebuild
from seatmap.checkout.resolve import resolve
from seatmap.config import Settings
from seatmap.embedded import Embedded
from seatmap.errors import Refused, Unavailable
from seatmap.ledger import events, orders
from seatmap.ledger.group import GroupCommit
from seatmap.model import Mine
from seatmap.protocol import Book, Cancel


@pytest.fixture
async def shop(settings: Settings) -> AsyncIterator[Shop]:
    async with open_shop(settings) as shop:
        yield shop


async def refused(call: Awaitable[object]) -> str:
    with pytest.raises(Refused) as refusal:
        await call
    return refusal.value.code


async def mine(shop: Shop, visitor: str) -> Mine:
    return (await shop.stores.desk.decide(shop.event_id, ReadMine(visitor))).mine


# ---- the straight way ----


async def test_book_is_remembered_by_both(shop: Shop) -> None:
    """P2; rules 7, 8 and 10."""
    order = an_order(await shop.hold("ann", 3, 4), 3, 4)
    assert await shop.book("ann", order) is True
    await shop.checkout.close()
    assert await shop.bookings() == {3: order.order_id, 4: order.order_id}
    assert await shop.owners() == {3: f"b|{order.order_id.hex}", 4: f"b|{order.order_id.hex}"}
    assert await shop.verdict(order) == ("committed", "")
    assert await mine(shop, "ann") == Mine()
    await shop.check()


async def test_a_retry_gets_the_same_answer(shop: Shop) -> None:
    """P3: also through another process, before and after Redis knows."""
    order = an_order(await shop.hold("ann", 3), 3)
    forgetful, other = Forgetful(shop.stores), Checkout(shop.stores)
    assert await shop.book("ann", order, by=forgetful) is True
    assert await shop.book("ann", order, by=other) is False
    await other.close()
    assert await shop.book("ann", order) is False
    assert list(await shop.bookings()) == [3]
    await shop.check()


async def test_the_same_order_through_many_processes_at_once(shop: Shop) -> None:
    """P3: one books, the others say so too."""
    order = an_order(await shop.hold("ann", 3, 4), 3, 4)
    processes = [Checkout(shop.stores) for _ in range(6)]
    told = await asyncio.gather(*(shop.book("ann", order, by=process) for process in processes))
    await asyncio.gather(*(process.close() for process in processes))
    assert told.count(True) == 1
    assert set((await shop.bookings()).values()) == {order.order_id}
    await shop.check()


async def test_two_visitors_and_one_seat(shop: Shop) -> None:
    """P1: whoever holds books; the other's order is refused for ever."""
    winner = an_order(await shop.hold("ann", 3), 3)
    loser = an_order(winner.hold_id, 3)
    assert await refused(shop.book("bob", loser)) == "not_your_hold"
    assert await shop.book("ann", winner)
    assert await shop.verdict(loser) == ("refused", "not_your_hold")
    await shop.check()


# ---- refusals by Redis: written before they are told (rule 12) ----


async def test_every_refusal_by_redis_is_a_verdict(shop: Shop) -> None:
    """…and stands when the same order is tried again with everything right."""
    hold_id, theirs = await shop.hold("ann", 3, 4), await shop.hold("bob", 7)
    epoch = (await shop.world.position()).epoch
    wrong = {
        "hold_expired": an_order("9-9", 3, 4),
        "not_your_hold": an_order(theirs, 3, 4),
        "hold_changed": an_order(hold_id, 3),
        "no_seats": an_order(hold_id, total=0),
        "seat_out_of_range": an_order(hold_id, 3, 20),
        "seat_repeated": an_order(hold_id, 3, 3),
        "wrong_epoch": an_order(hold_id, 3, 4, epoch=epoch + 7),
    }
    for code, order in wrong.items():
        assert await refused(shop.book("ann", order)) == code
        assert await shop.verdict(order) == ("refused", code)
    assert (await mine(shop, "ann")).seats == (3, 4)
    again = Book(**{f: getattr(wrong["wrong_epoch"], f) for f in Book.__struct_fields__ if f != "epoch"})
    assert await refused(shop.book("ann", again)) == "wrong_epoch"
    assert await shop.bookings() == {}
    assert await shop.book("ann", an_order(hold_id, 3, 4))
    await shop.check()


async def test_refused_while_another_order_is_being_decided(shop: Shop) -> None:
    first = an_order(await shop.hold("ann", 3), 3)
    ledger = Paused(shop.stores.pool)
    booking = asyncio.ensure_future(shop.book("ann", first, by=through(shop.stores, ledger)))
    await ledger.reached.wait()
    second = an_order(first.hold_id, 3)
    assert await refused(shop.book("ann", second)) == "in_checkout"
    assert await shop.verdict(second) == ("refused", "in_checkout")
    ledger.let_through.set()
    assert await booking is True


async def test_refused_when_the_event_is_closed_in_redis(shop: Shop) -> None:
    """P7: closed in Postgres first, then rebuilt."""
    order = an_order(await shop.hold("ann", 3), 3)
    await events.cancel(shop.stores.pool, shop.event_id)
    await rebuild(shop.stores, shop.event_id)
    assert await refused(shop.book("ann", order)) == "not_on_sale"
    assert await shop.verdict(order) == ("refused", "not_on_sale")


async def test_a_refusal_by_redis_is_not_told_when_the_order_was_booked_before(shop: Shop) -> None:
    """Rule 12: the hold is gone because the order took it."""
    order = await shop.sell("ann", 3)
    assert await shop.book("ann", order) is False
    assert await shop.book("ann", order) is False
    await shop.check()


# ---- refusals by Postgres: the seats go back to their hold (rule 8) ----


async def block(shop: Shop) -> None:
    await shop.sql("UPDATE seats SET status = 'blocked' WHERE event_id = $1 AND index = 3", shop.event_id)


async def close(shop: Shop) -> None:
    await shop.sql("UPDATE events SET status = 'draft' WHERE id = $1", shop.event_id)


async def fence(shop: Shop) -> None:
    await events.raise_epoch(shop.stores.pool, shop.event_id)


async def take(shop: Shop) -> None:
    epoch = (await shop.world.position()).epoch
    verdict = await GroupCommit(shop.stores.pool).book(purchase(shop.event_id, 3, epoch=epoch))
    assert verdict.outcome == "committed"


async def dear(shop: Shop) -> None:
    await shop.sql("UPDATE categories SET price = price + 1 WHERE event_id = $1", shop.event_id)


async def limit(shop: Shop) -> None:
    await shop.sql("UPDATE events SET seats_per_visitor = 1 WHERE id = $1", shop.event_id)


@pytest.mark.parametrize(
    ("code", "happens"),
    [
        ("seat_blocked", block),
        ("not_on_sale", close),
        ("wrong_epoch", fence),
        ("seat_taken", take),
        ("price_changed", dear),
        ("too_many_seats", limit),
    ],
)
async def test_refused_by_postgres(shop: Shop, code: str, happens: Callable[[Shop], Awaitable[None]]) -> None:
    """Rule 10: Postgres checks status, epoch, seats, price and limit itself."""
    order = an_order(await shop.hold("ann", 3, 4), 3, 4)
    await happens(shop)
    assert await refused(shop.book("ann", order)) == code
    assert await shop.verdict(order) == ("refused", code)
    back = await mine(shop, "ann")
    assert (back.hold_id, back.seats, back.order_id) == (order.hold_id, (3, 4), "")
    assert await refused(shop.book("ann", order)) == code


async def test_the_seats_are_back_before_the_buyer_is_told(shop: Shop) -> None:
    """The next click finds them there: a new order for the right price books them."""
    hold_id = await shop.hold("ann", 3, 4)
    assert await refused(shop.book("ann", an_order(hold_id, 3, 4, total=1))) == "price_changed"
    assert await shop.book("ann", an_order(hold_id, 3, 4))
    await shop.check()


# ---- order ids used again ----


async def test_an_order_id_used_again_for_other_seats(shop: Shop) -> None:
    order = await shop.sell("ann", 3)
    hold_id = await shop.hold("ann", 4)
    assert await refused(shop.book("ann", an_order(hold_id, 4, order_id=order.order_id))) == "order_reused"
    assert (await mine(shop, "ann")).seats == (4,)
    assert await shop.verdict(order) == ("committed", "")
    assert list(await shop.bookings()) == [3]
    await shop.check()


async def test_an_order_id_used_again_while_it_is_being_decided(shop: Shop) -> None:
    """That says nothing about the order being decided, which goes on."""
    order = an_order(await shop.hold("ann", 3), 3)
    ledger = Paused(shop.stores.pool)
    booking = asyncio.ensure_future(shop.book("ann", order, by=through(shop.stores, ledger)))
    await ledger.reached.wait()
    theirs = an_order(await shop.hold("bob", 4), 4, order_id=order.order_id)
    assert await refused(shop.book("bob", theirs)) == "order_reused"
    ledger.let_through.set()
    assert await booking is True
    assert (await mine(shop, "bob")).seats == (4,)


async def test_an_order_id_used_again_after_its_order_was_cancelled(shop: Shop) -> None:
    """The same seats, held anew: the old verdict must not pass for a booking that there is not (P2)."""
    order = await shop.sell("ann", 3)
    await shop.checkout.cancel("ann", Cancel(order_id=order.order_id))
    await shop.checkout.close()
    again = an_order(await shop.hold("ann", 3), 3, order_id=order.order_id)
    assert await refused(shop.book("ann", again)) == "order_reused"
    assert await shop.bookings() == {}
    assert (await mine(shop, "ann")).seats == (3,)
    await shop.check()


# ---- crashes, and the resolver (rule 17) ----


async def test_crash_between_begin_and_postgres(shop: Shop) -> None:
    """Nobody retries: the tombstone is planted and the seats return to their hold."""
    order = an_order(await shop.hold("ann", 3), 3)
    broken = through(shop.stores, Interrupted(shop.stores.pool, committed=False))
    with pytest.raises(Unavailable):
        await shop.book("ann", order, by=broken)
    assert (await mine(shop, "ann")).order_id == order.order_id.hex
    await shop.settle()
    assert await shop.verdict(order) == ("aborted", "order_aborted")
    assert (await mine(shop, "ann")).seats == (3,)
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
    assert (await mine(shop, "ann")).seats == (4,)
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
            assert (await mine(shop, "ann")).order_seats == (3,)
            assert (
                await refused(shop.stores.desk.decide(shop.event_id, Hold("bob", "", (3,)))) == "seat_taken"
            )
            assert await shop.hold("bob", 4), "holds go on"
            assert await resolve(shop.stores, shop.event_id) == 0
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
        assert await shop.owners() == {3: f"p|{order.order_id.hex}"}
        await shop.settle()
        await shop.check()


async def test_redis_is_away_before_the_order_began(settings: Settings, servers: Embedded) -> None:
    """Rule 12: nothing is known, so nothing is written; the retry books."""
    async with open_shop(settings, command_timeout_ms=300) as shop:
        order = an_order(await shop.hold("ann", 3), 3)
        with stopped(servers), pytest.raises(Unavailable):
            await shop.book("ann", order)
        assert await shop.verdict(order) is None
        assert (await mine(shop, "ann")).seats == (3,)
        assert await shop.book("ann", order)
        await shop.check()


async def test_total_is_what_the_buyer_saw(shop: Shop) -> None:
    """Rule 7: the price is never taken from what the page says, only compared."""
    hold_id = await shop.hold("ann", 2, 3)
    assert await refused(shop.book("ann", an_order(hold_id, 2, 3, total=price_of(2)))) == "price_changed"
    assert await refused(shop.book("ann", an_order(hold_id, 2, 3, total=0))) == "price_changed"
    await shop.check()
