"""Book and cancel across both stores: one verdict per order, whatever breaks in between."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from checkout_world import Forgetful, Paused, Shop, an_order, open_shop, price_of, refused, through
from ledger_world import purchase

from seatmap.checkout.book import Checkout
from seatmap.checkout.rebuild import open_event, rebuild
from seatmap.config import Settings
from seatmap.ledger import events
from seatmap.ledger.group import GroupCommit
from seatmap.model import Mine
from seatmap.protocol import Book, Cancel


@pytest.fixture
async def shop(settings: Settings) -> AsyncIterator[Shop]:
    async with open_shop(settings) as shop:
        yield shop


# ---- the straight way ----


async def test_book_is_remembered_by_both(shop: Shop) -> None:
    """P2; rules 7, 8 and 10."""
    order = an_order(await shop.hold("ann", 3, 4), 3, 4)
    assert await shop.book("ann", order) is True
    await shop.checkout.close()
    assert await shop.bookings() == {3: order.order_id, 4: order.order_id}
    assert await shop.owners() == {3: f"b|{order.order_id.hex}", 4: f"b|{order.order_id.hex}"}
    assert await shop.verdict(order) == ("committed", "")
    assert await shop.mine("ann") == Mine()
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
    """P3: one books, the others say so too. Whoever began it may have its answer from another's commit."""
    order = an_order(await shop.hold("ann", 3, 4), 3, 4)
    processes = [Checkout(shop.stores) for _ in range(6)]
    told = await asyncio.gather(*(shop.book("ann", order, by=process) for process in processes))
    await asyncio.gather(*(process.close() for process in processes))
    assert told.count(True) <= 1
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
    assert (await shop.mine("ann")).seats == (3, 4)
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
    await open_event(shop.stores, shop.event_id)  # a fenced epoch has it rebuilt
    back = await shop.mine("ann")
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
    assert (await shop.mine("ann")).seats == (4,)
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
    assert (await shop.mine("bob")).seats == (4,)


async def test_an_order_id_used_again_after_its_order_was_cancelled(shop: Shop) -> None:
    """The same seats, held anew: the old verdict must not pass for a booking that there is not (P2)."""
    order = await shop.sell("ann", 3)
    await shop.checkout.cancel("ann", Cancel(order_id=order.order_id))
    await shop.checkout.close()
    again = an_order(await shop.hold("ann", 3), 3, order_id=order.order_id)
    assert await refused(shop.book("ann", again)) == "order_reused"
    assert await shop.bookings() == {}
    assert (await shop.mine("ann")).seats == (3,)
    await shop.check()


async def test_total_is_what_the_buyer_saw(shop: Shop) -> None:
    """Rule 7: the price is never taken from what the page says, only compared."""
    hold_id = await shop.hold("ann", 2, 3)
    assert await refused(shop.book("ann", an_order(hold_id, 2, 3, total=price_of(2)))) == "price_changed"
    assert await refused(shop.book("ann", an_order(hold_id, 2, 3, total=0))) == "price_changed"
    await shop.check()
