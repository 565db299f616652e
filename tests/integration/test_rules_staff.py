"""What staff do to an event in Redis: its status, seats off sale, holds ended and prolonged."""

from collections.abc import AsyncIterator

import pytest
from booking_world import EXTENSION_MS, FOREVER_MS, GRACE_MS, HOLD_MS, World, opened

from seatmap.booking.commands import Begin, Block, Evict, Expire, Extend, Hold, Prolong, Status
from seatmap.embedded import Embedded
from seatmap.model import Status as Seat

pytestmark = pytest.mark.integration


@pytest.fixture
async def world(servers: Embedded) -> AsyncIterator[World]:
    async with opened(servers) as world:
        yield world
        await world.check()


def status(
    version: int,
    word: str = "published",
    *,
    paused: int = 0,
    limit: int = 4,
    plan: int = 1,
    until: int = 0,
    accessible: tuple[int, ...] = (),
) -> Status:
    return Status(version, word, paused, plan, limit, 0, FOREVER_MS, until, accessible)


async def hold_word(world: World, *seats: int) -> str:
    return await world.one(Hold("ada", "", seats))


# ---- status ----


async def test_a_newer_status_is_taken_and_an_older_one_is_not(world: World) -> None:
    assert await world.one(status(3, paused=1)) == "OK 1"
    assert await hold_word(world, 1) == "PAUSED"
    assert await world.one(status(2)) == "OK 0"
    assert await world.one(status(3)) == "OK 0"
    assert await hold_word(world, 1) == "PAUSED"
    assert await world.one(status(4)) == "OK 1"
    assert await hold_word(world, 1) == "OK"


async def test_a_status_holds_for_the_commands_beside_it(world: World) -> None:
    hold = Hold("ada", "", (1,))
    said = await world.say(status(2, paused=1), hold, status(3), hold)
    assert said[:3] == ["OK 1", "PAUSED", "OK 1"]
    assert await world.status(1) == Seat.held


async def test_a_status_is_told_as_a_change_of_no_seat(world: World) -> None:
    before = await world.position()
    await world.one(status(2, plan=7))
    (change,) = await world.log()
    assert (change.seats, change.to) == ({}, before.version + 1)
    assert [(who, why) for who, why, _ in change.touched] == [("", "event")], "nobody's: the event's own"
    assert (await world.state.snapshot(1)).plan_version == 7


async def test_what_is_held_in_a_pause_can_still_be_bought(world: World) -> None:
    hold_id = await world.hold("ada", 1, 2)
    await world.one(status(2, paused=1))
    assert await hold_word(world, 5) == "PAUSED"
    assert await world.one(Extend("ada", hold_id)) == "OK"
    assert await world.one(Begin("ada", hold_id, "order", "body", (1, 2))) == "BEGUN"


async def test_a_cancelled_event_takes_no_hold(world: World) -> None:
    await world.one(status(2, "cancelled"))
    assert await hold_word(world, 1) == "NOT_ON_SALE"


async def test_the_limit_is_the_newest(world: World) -> None:
    await world.one(status(2, limit=1))
    assert await hold_word(world, 1, 2) == "TOO_MANY_SEATS 1"


# ---- seats off sale ----


async def test_only_seats_that_nobody_has_are_blocked(world: World) -> None:
    await world.hold("ada", 3)
    await world.begin("bob", "order", 4)
    assert await world.one(Block(0, (2, 3, 4, 5))) == "OK 2,5 3,4 "
    assert await hold_word(world, 2) == "SEAT_BLOCKED 2"
    assert await world.one(Block(0, (2,))) == "OK 2  ", "repeating it is fine"
    assert await world.one(Block(1, (2, 3))) == "OK 2 3 "
    assert await world.status(2) == Seat.available
    assert await world.status(3) == Seat.held
    assert await world.one(Block(0, (20,))) == "SEAT_OUT_OF_RANGE 20"
    assert await world.one(Block(0, (1, 1))) == "SEAT_REPEATED 1"


async def test_a_seat_of_an_expired_hold_can_be_blocked(world: World) -> None:
    await world.hold("ada", 3, 4)
    await world.age(HOLD_MS + GRACE_MS)
    assert await world.one(Block(0, (3,))) == "OK 3  "
    assert (await world.status(3), await world.status(4)) == (Seat.blocked, Seat.available)


# ---- holds ----


async def test_a_hold_is_ended_by_any_of_its_seats(world: World) -> None:
    await world.hold("ada", 3, 4)
    assert await world.one(Evict(4)) == "OK 3,4"
    assert (await world.status(3), (await world.mine("ada")).seats) == (Seat.available, ())
    assert (await world.log())[-1].touched[0][:2] == ("ada", "released")
    assert await world.one(Evict(4)) == "OK "


async def test_seats_that_are_being_bought_are_not_released(world: World) -> None:
    await world.begin("bob", "order", 4)
    assert await world.one(Evict(4)) == "IN_CHECKOUT"


async def test_every_hold_gets_more_time_up_to_what_a_rebuild_would_leave(world: World) -> None:
    first, second = await world.hold("ada", 1), await world.hold("bob", 2)
    await world.age(60_000)
    before = await world.scores(world.keys.expiry)
    assert await world.one(Prolong(30_000, f"{first},{second}")) == "OK 2"
    after = await world.scores(world.keys.expiry)
    assert {name: after[name] - before[name] for name in before} == {first: 30_000, second: 30_000}
    assert {who for who, *_ in (await world.log())[-1].touched} == {"ada", "bob"}
    await world.one(Prolong(100 * HOLD_MS, first))
    assert (await world.mine("ada")).expires_in_ms <= HOLD_MS + EXTENSION_MS
    assert (await world.mine("ada")).extendable, "it was not its owner's own extension"


async def test_a_dead_hold_is_not_revived(world: World) -> None:
    hold_id = await world.hold("ada", 1)
    await world.age(HOLD_MS + GRACE_MS)
    assert await world.one(Prolong(60_000, f"{hold_id},-,none")) == "OK 0"
    assert await world.one(Expire(10)) == "OK 1"
