"""Rebuilding an event's seats from Postgres; opening an event is the same thing (rules 19 to 21)."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from checkout_world import Forgetful, Interrupted, Shop, an_order, open_shop, reopen, restart, through
from ledger_world import purchase

from seatmap.booking.commands import Begin, Hold
from seatmap.checkout.rebuild import limits, open_event, rebuild
from seatmap.config import Settings
from seatmap.connections import Redis
from seatmap.embedded import Embedded
from seatmap.errors import Recovering, Refused, Unavailable
from seatmap.ledger import events
from seatmap.ledger.group import GroupCommit
from seatmap.model import Mine, Status


@pytest.fixture
async def shop(settings: Settings) -> AsyncIterator[Shop]:
    async with open_shop(settings) as shop:
        yield shop
        await shop.check()


async def statuses(shop: Shop) -> bytes:
    return (await shop.stores.state.snapshot(shop.event_id)).statuses


async def epoch_in_postgres(shop: Shop) -> int:
    event = await events.get(shop.stores.pool, shop.event_id)
    assert event is not None
    return event.epoch


async def wipe(shop: Shop) -> None:
    await shop.world.redis.command("FLUSHALL")


# ---- opening ----


async def test_opening_is_a_rebuild_and_happens_once(shop: Shop) -> None:
    """Rule 21."""
    position = await shop.world.position()
    assert (position.epoch, position.version) == (1, 0) == (await epoch_in_postgres(shop), 0)
    assert await open_event(shop.stores, shop.event_id) is None
    assert await shop.world.position() == position


async def test_opened_by_many_at_once(shop: Shop) -> None:
    await wipe(shop)
    told = await asyncio.gather(*(open_event(shop.stores, shop.event_id) for _ in range(6)))
    done = [result for result in told if result is not None]
    assert done
    assert (await shop.world.position()).epoch == max(result.epoch for result in done)


async def test_opening_what_is_not_there(shop: Shop) -> None:
    with pytest.raises(Refused) as refused:
        await open_event(shop.stores, 999_999)
    assert refused.value.code == "event_not_found"


async def test_what_the_rules_need_to_know_comes_from_the_event(shop: Shop) -> None:
    event = await events.get(shop.stores.pool, shop.event_id)
    assert event is not None
    told = limits(event, shop.stores.settings)
    meta = await shop.world.hash(shop.world.keys.meta)
    assert int(meta["limit"]) == event.seats_per_visitor == told.seats_per_visitor
    assert int(meta["ttl"]) == shop.stores.settings.hold_seconds * 1000 == told.hold_ms
    assert (meta["status"], int(meta["n"])) == ("published", event.seat_count)


async def test_blocked_seats_are_blocked(shop: Shop) -> None:
    """Rule 9: what is for sale at all is Postgres' to say."""
    await shop.sql(
        "UPDATE seats SET status = 'blocked' WHERE event_id = $1 AND index IN (2, 5)", shop.event_id
    )
    await rebuild(shop.stores, shop.event_id)
    assert [seat for seat, status in enumerate(await statuses(shop)) if status == Status.blocked] == [2, 5]
    with pytest.raises(Refused) as refused:
        await shop.hold("ann", 2)
    assert (refused.value.code, refused.value.extra) == ("seat_blocked", {"seats": [2]})
    assert (await shop.world.position()).epoch == 2


# ---- Redis lost everything ----


async def test_wiped_bookings_are_back_and_holds_are_void(shop: Shop) -> None:
    """P2 and P5."""
    order = await shop.sell("ann", 3)
    lost = await shop.hold("bob", 4)
    await wipe(shop)
    with pytest.raises(Recovering):
        await shop.hold("eve", 3)
    rebuilt = await open_event(shop.stores, shop.event_id)
    assert rebuilt is not None
    assert (rebuilt.epoch, rebuilt.holds_kept) == (2, 0)
    assert await shop.owners() == {3: f"b|{order.order_id.hex}"}
    assert (await shop.mine("bob")) == Mine()
    with pytest.raises(Refused) as refused:
        await shop.book("bob", an_order(lost, 4))
    assert refused.value.code == "hold_expired"


async def test_a_cancelled_booking_does_not_come_back(shop: Shop) -> None:
    order = await shop.sell("ann", 3, 4)
    await shop.sql("SELECT * FROM cancel_order($1, 'ann')", order.order_id)
    await wipe(shop)
    await open_event(shop.stores, shop.event_id)
    assert await shop.owners() == {}


async def test_wiped_between_begin_and_commit_the_order_is_refused(shop: Shop) -> None:
    """P1: an order that began in the old epoch cannot take a seat that is free in the new one (rule 10)."""
    order = an_order(await shop.hold("ann", 3), 3)
    broken = through(shop.stores, Interrupted(shop.stores.pool, committed=False))
    with pytest.raises(Unavailable):
        await shop.book("ann", order, by=broken)
    await wipe(shop)
    await open_event(shop.stores, shop.event_id)
    late = await GroupCommit(shop.stores.pool).book(
        purchase(shop.event_id, 3, order_id=order.order_id, epoch=1)
    )
    assert (late.outcome, late.reason) == ("refused", "wrong_epoch")
    await shop.sell("bob", 3)


async def test_wiped_after_the_commit_the_order_is_booked(shop: Shop) -> None:
    order = an_order(await shop.hold("ann", 3), 3)
    await shop.book("ann", order, by=Forgetful(shop.stores))
    await wipe(shop)
    await open_event(shop.stores, shop.event_id)
    assert await shop.owners() == {3: f"b|{order.order_id.hex}"}
    assert await shop.book("ann", order) is False


# ---- Redis kept its data ----


async def test_restarted_with_its_data_holds_are_kept(shop: Shop, servers: Embedded) -> None:
    """P5; rule 21: another run id serves nothing until the rebuild."""
    hold_id = await shop.hold("ann", 3, 4)
    left = (await shop.mine("ann")).expires_in_ms
    order = await shop.sell("bob", 7)
    await restart(servers)
    with pytest.raises(Unavailable):  # the old connections, then Recovering
        await shop.hold("eve", 5)
    await reopen(shop)
    again = await shop.mine("ann")
    assert (again.hold_id, again.seats, again.extendable) == (hold_id, (3, 4), True)
    assert left - 30_000 < again.expires_in_ms <= left
    assert await shop.owners() == {3: f"h|{hold_id}", 4: f"h|{hold_id}", 7: f"b|{order.order_id.hex}"}
    assert await shop.book("ann", an_order(hold_id, 3, 4))


async def test_a_restarted_redis_answers_recovering(shop: Shop, servers: Embedded) -> None:
    """Rules 3 and 21, with connections that were made after the restart."""
    await restart(servers)
    redis = Redis(servers.redis_url, timeout_s=5.0)
    fresh = msgspec.structs.replace(shop.stores, redis=redis)
    try:
        assert await Shop(fresh, shop.event_id).world.say(Hold("eve", "", (5,))) == ["RECOVERING"]
    finally:
        await redis.close()
    await reopen(shop)


async def test_rolled_back_to_an_older_state(shop: Shop, servers: Embedded) -> None:
    """P1: a hold that Redis remembers, on a seat that was sold since, is shortened; nothing is sold twice."""
    hold_id = await shop.hold("ann", 3, 4, 5)
    older = await dump(shop)
    assert await shop.book("ann", an_order(hold_id, 3, 4, 5))
    await shop.checkout.close()
    bought = await shop.bookings()
    await shop.sql("UPDATE bookings SET status = 'cancelled', seq_off = seq_on + 1 WHERE seat = 5")
    await put_back(shop, older)
    await restart(servers)
    await reopen(shop)
    again = await shop.mine("ann")
    assert (again.hold_id, again.seats) == (hold_id, (5,))
    assert await shop.owners() == {
        3: f"b|{bought[3].hex}",
        4: f"b|{bought[4].hex}",
        5: f"h|{hold_id}",
    }
    with pytest.raises(Refused) as refused:
        await shop.hold("bob", 3)
    assert refused.value.code == "seat_taken"


async def test_rolled_back_before_a_cancellation(shop: Shop, servers: Embedded) -> None:
    order = await shop.sell("ann", 3)
    older = await dump(shop)
    await shop.sql("SELECT * FROM cancel_order($1, 'ann')", order.order_id)
    await put_back(shop, older)
    await restart(servers)
    await reopen(shop)
    assert await shop.owners() == {}


async def dump(shop: Shop) -> dict[str, bytes]:
    return {key: await shop.world.redis.command("DUMP", key) for key in shop.world.keys[:-1]}


async def put_back(shop: Shop, older: dict[str, bytes]) -> None:
    for key, value in older.items():
        await shop.world.redis.command("RESTORE", key, 0, value, "REPLACE")


# ---- orders that are being decided (rule 20) ----


async def test_an_undecided_order_without_a_booking_returns_to_its_hold(shop: Shop) -> None:
    order = an_order(await shop.hold("ann", 3), 3)
    broken = through(shop.stores, Interrupted(shop.stores.pool, committed=False))
    with pytest.raises(Unavailable):
        await shop.book("ann", order, by=broken)
    rebuilt = await rebuild(shop.stores, shop.event_id)
    assert rebuilt is not None
    assert (rebuilt.holds_kept, rebuilt.holds_lost) == (1, 0)
    again = await shop.mine("ann")
    assert (again.hold_id, again.seats, again.order_id) == (order.hold_id, (3,), "")
    assert await shop.book("ann", order) is True


async def test_an_undecided_order_that_was_committed_is_booked(shop: Shop) -> None:
    order = an_order(await shop.hold("ann", 3, 4), 3, 4)
    broken = through(shop.stores, Interrupted(shop.stores.pool, committed=True))
    with pytest.raises(Unavailable):
        await shop.book("ann", order, by=broken)
    await rebuild(shop.stores, shop.event_id)
    assert await shop.owners() == dict.fromkeys((3, 4), f"b|{order.order_id.hex}")
    assert await shop.mine("ann") == Mine()
    assert await shop.book("ann", order) is False


async def test_an_order_that_began_before_a_rebuild_is_refused_after_it(shop: Shop) -> None:
    """Rules 10 and 19: Postgres' epoch is raised first, so nothing that began earlier commits unseen."""
    hold_id = await shop.hold("ann", 3)
    order = an_order(hold_id, 3)
    begun = await shop.stores.desk.decide(
        shop.event_id, Begin("ann", hold_id, order.order_id.hex, "00", (3,))
    )
    await rebuild(shop.stores, shop.event_id)
    verdict = await GroupCommit(shop.stores.pool).book(
        purchase(shop.event_id, 3, order_id=order.order_id, epoch=begun.position.epoch)
    )
    assert (verdict.outcome, verdict.reason) == ("refused", "wrong_epoch")


async def test_nothing_is_undecided_after_a_rebuild(shop: Shop) -> None:
    await shop.stores.desk.decide(
        shop.event_id, Begin("ann", await shop.hold("ann", 3), "ab" * 16, "00", (3,))
    )
    await rebuild(shop.stores, shop.event_id)
    assert await shop.stores.state.undecided(shop.event_id, age_ms=0) == []
