"""Accessible seats are kept until a moment of Redis' clock: who may have them before, and how they go on sale."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from booking_world import FOREVER_MS, World, opened

from seatmap.booking.commands import Block, Cancel, Expire, Hold, Release, Repair, Settle, Status, Take
from seatmap.embedded import Embedded
from seatmap.model import Status as Seat

pytestmark = pytest.mark.integration

OURS = (3, 4, 5)


@pytest.fixture
async def world(servers: Embedded) -> AsyncIterator[World]:
    async with opened(servers, accessible=OURS, accessible_until_ms=FOREVER_MS) as world:
        yield world
        await world.check()


async def say(world: World, version: int, until: int, seats: tuple[int, ...] = OURS) -> str:
    return await world.one(Status(version, "published", 0, 1, 4, 0, FOREVER_MS, until, seats))


async def shown(world: World) -> list[Seat]:
    return [Seat(status) for status in (await world.statuses())[3:6]]


async def over(world: World) -> None:
    """The moment has come, and nobody has swept yet."""
    await world.redis.command("HSET", world.keys.meta, "accessible_until", 1)


async def test_before_its_moment_nobody_can_hold_one(world: World) -> None:
    assert await shown(world) == [Seat.blocked] * 3
    assert await world.one(Hold("ada", "", (2, 4, 5))) == "SEAT_HELD_BACK 4,5"
    await world.one(Block(0, (2,)))
    assert await world.one(Hold("ada", "", (2, 4))) == "SEAT_BLOCKED 2", "what is never on sale is said first"
    await world.hold("bob", 7)
    assert await world.one(Hold("ada", "", (7, 4))) == "SEAT_HELD_BACK 4"


async def test_from_its_moment_on_anybody_can_before_any_sweep(world: World) -> None:
    await over(world)
    assert await world.one(Hold("ada", "", (4,))) == "OK"
    assert await shown(world) == [Seat.blocked, Seat.held, Seat.blocked]


async def test_the_sweep_puts_all_of_them_on_sale_once(world: World) -> None:
    await world.one(Expire(10))
    assert await shown(world) == [Seat.blocked] * 3
    await over(world)
    before = await world.position()
    await world.one(Expire(10))
    assert await shown(world) == [Seat.available] * 3
    assert (await world.log())[-1].seats == dict.fromkeys(OURS, Seat.available)
    assert (await world.position()).version == before.version + 1
    await world.one(Expire(10))
    assert (await world.position()).version == before.version + 1, "there is nothing more to say"


async def test_the_box_office_gives_one_away_and_what_comes_back_is_kept_again(world: World) -> None:
    world.claimants["A"] = "ada"
    assert await world.one(Take("A", "ada", (3, 4))) == "OK"
    await world.one(Settle("A", "ada", (3,), "moved"))
    await world.one(Settle("A", "ada", (4,), "returned"))
    assert await shown(world) == [Seat.booked, Seat.blocked, Seat.blocked]
    await world.one(Cancel("A", "ada", (3,)))
    assert await shown(world) == [Seat.blocked] * 3
    assert await world.one(Hold("ada", "", (3,))) == "SEAT_HELD_BACK 3"


async def test_whoever_has_one_when_it_is_marked_keeps_it_and_nobody_gets_it_after_them(world: World) -> None:
    hold_id = await world.hold("ada", 9, 10)
    assert await say(world, 2, FOREVER_MS, (3, 9)) == "OK 1"
    assert [await world.status(seat) for seat in (3, 4, 9)] == [Seat.blocked, Seat.available, Seat.held]
    assert await world.one(Release("ada", hold_id, (9,))) == "OK"
    assert await world.status(9) == Seat.blocked
    assert await world.one(Hold("bob", "", (9,))) == "SEAT_HELD_BACK 9"
    assert await world.one(Hold("bob", "", (4,))) == "OK"


@pytest.mark.parametrize("until", [0, 1])
async def test_a_moment_that_is_taken_away_or_over_puts_them_on_sale(world: World, until: int) -> None:
    await say(world, 2, until)
    assert await shown(world) == [Seat.available] * 3
    await say(world, 3, FOREVER_MS)
    assert await shown(world) == [Seat.blocked] * 3
    await say(world, 2, 0)
    assert await shown(world) == [Seat.blocked] * 3, "that was older"


async def test_a_blocked_seat_stays_blocked_whatever_its_kind(world: World) -> None:
    assert await world.one(Block(0, (4,))) == "OK 4  "
    assert await world.one(Hold("ada", "", (4,))) == "SEAT_BLOCKED 4"
    await over(world)
    await world.one(Expire(10))
    assert await shown(world) == [Seat.available, Seat.blocked, Seat.available]


async def test_a_seat_put_back_on_sale_is_kept_while_its_kind_is(world: World) -> None:
    await world.one(Block(0, (4,)))
    before = await world.position()
    assert await world.one(Block(1, (3, 4))) == "OK 3,4  "
    assert await world.one(Hold("ada", "", (4,))) == "SEAT_HELD_BACK 4"
    assert await world.one(Block(1, (3,))) == "OK 3  "
    assert (await world.position()).version == before.version + 1, "it was kept already"


async def test_a_repair_frees_none(world: World) -> None:
    await world.one(Block(0, (4,)))
    assert await world.one(Repair(4, "", int(Seat.blocked), int(Seat.available), "")) == "OK"
    assert await world.one(Hold("ada", "", (4,))) == "SEAT_HELD_BACK 4"


@pytest.mark.parametrize(("until", "status"), [(FOREVER_MS, Seat.blocked), (1, Seat.available)])
async def test_a_rebuild_keeps_them_and_whoever_had_one(world: World, until: int, status: Seat) -> None:
    await say(world, 2, 0)
    await world.hold("ada", 3)
    changes: dict[str, Any] = {"accessible_until_ms": until, "status_version": 3}
    assert await world.open(epoch=2, accessible=OURS, blocked=(5,), **changes) == (1, 0)
    assert await shown(world) == [Seat.held, status, Seat.blocked]
    assert (await world.owners()).get(5) is None
