"""SWAP, REPLAY and UNDECIDED on a real Redis: the last step of a rebuild, and what is read as a whole."""

from collections.abc import AsyncIterator

import pytest
from booking_world import EXTENSION_MS, GRACE_MS, HOLD_MS, World, opened

from seatmap.booking.commands import Cancel, Extend, Finish, Hold, Release
from seatmap.changes import decode
from seatmap.embedded import Embedded
from seatmap.keys import staging
from seatmap.model import Change, Mine, Position, Status


@pytest.fixture
async def world(servers: Embedded) -> AsyncIterator[World]:
    async with opened(servers, booked={18: "sold"}) as world:
        yield world
        await world.check()


async def test_no_key_of_an_open_event_ever_ends_by_itself(world: World) -> None:
    """Staged keys have an end, which RENAME would carry along (keys of an event are never absent)."""
    for key in world.keys[:-1]:
        assert await world.redis.command("TTL", key) == -1, key


async def test_an_opened_event_has_all_of_its_keys(world: World) -> None:
    """Keys of an event: none is absent while it is open (a sentinel keeps each), however empty it is."""
    hold_id = await world.begin("ann", "A", 3)
    await world.say(Finish("A", "refused"), Release("ann", hold_id, ()), Cancel("sold", "zoe", (18,)))
    assert await world.redis.command("EXISTS", *world.keys[:-1]) == len(world.keys) - 1
    assert await world.owners() == {}


@pytest.mark.parametrize("epoch", [0, 1])
async def test_no_step_back_to_an_earlier_epoch(world: World, epoch: int) -> None:
    """Rule 19; and what was staged for it is gone."""
    hold_id = await world.hold("ann", 3)
    assert await world.open(epoch=epoch) is None
    assert (await world.mine("ann")).hold_id == hold_id
    assert await world.redis.command("EXISTS", *staging(1, epoch)) == 0


async def test_holds_that_clash_with_nothing_are_kept_as_they_were(world: World) -> None:
    """Rule 20."""
    ann, bob = await world.hold("ann", 3, 4), await world.hold("bob", 5)
    await world.say(Extend("bob", bob))
    before = await world.hash(world.keys.holds)
    assert await world.open(epoch=2, booked={18: "sold"}) == (2, 0)
    assert await world.hash(world.keys.holds) == before
    assert (await world.mine("ann")).hold_id == ann
    assert not (await world.mine("bob")).extendable
    assert await world.say(Hold("ann", ann, (6,)), Release("bob", bob, ())) == [f"OK {ann}", "OK -"]


async def test_holds_on_seats_that_are_gone_are_shortened_or_ended(world: World) -> None:
    """Rule 20: Postgres is merged over them."""
    await world.hold("ann", 3, 4)
    await world.hold("bob", 5)
    await world.hold("eve", 6, 7)
    assert await world.open(epoch=2, booked={3: "X", 5: "Y"}, blocked=(6, 7)) == (0, 3)
    assert (await world.mine("ann")).seats == (4,)
    assert await world.mine("bob") == await world.mine("eve") == Mine()


async def test_holds_that_have_ended_are_not_kept(world: World) -> None:
    await world.hold("ann", 3)
    await world.age(HOLD_MS + GRACE_MS)
    assert await world.open(epoch=2, booked={18: "sold"}) == (0, 1)
    assert await world.status(3) == Status.available


async def test_a_hold_in_its_grace_is_kept(world: World) -> None:
    await world.hold("ann", 3)
    await world.age(HOLD_MS + GRACE_MS // 2)
    assert await world.open(epoch=2, booked={18: "sold"}) == (1, 0)


async def test_a_clock_that_ran_ahead_leaves_no_hold_that_never_ends(world: World) -> None:
    await world.hold("ann", 3)
    await world.age(-(10**12))
    assert await world.open(epoch=2, booked={18: "sold"}) == (1, 0)
    assert (await world.mine("ann")).expires_in_ms <= HOLD_MS + EXTENSION_MS


async def test_an_undecided_order_returns_to_its_hold_or_is_booked(world: World) -> None:
    """Rule 20."""
    ann = await world.begin("ann", "A", 3)
    await world.begin("bob", "B", 4, 5)
    assert await world.open(epoch=2, booked={4: "B", 5: "B"}) == (1, 1)
    assert await world.owners() == {3: f"h|{ann}", 4: "b|B", 5: "b|B"}
    assert await world.one(Finish("A", "confirmed")) == "GONE"


async def test_of_two_holds_of_one_visitor_one_is_kept(world: World) -> None:
    """One hold per visitor, also where a damaged Redis remembers two; counts are made anew."""
    hold_id = await world.hold("ann", 3)
    record = (await world.hash(world.keys.holds))[hold_id]
    await world.redis.command("HSET", world.keys.holds, "1-77", record.rpartition("|")[0] + "|7,8")
    await world.redis.command("HSET", world.keys.visitors, "ann", "99|1-77|")
    assert await world.open(epoch=2, booked={18: "sold"}) == (1, 1)
    assert (await world.mine("ann")).seats in ((3,), (7, 8))


async def test_fewer_seats_than_before(world: World) -> None:
    """A seat index ≥ n is nobody's."""
    await world.hold("ann", 3, 15)
    assert await world.open(epoch=2, seat_count=10) == (0, 1)
    assert (await world.mine("ann")).seats == (3,)


async def test_many_holds(servers: Embedded) -> None:
    """Rule 1: `unpack` stays below its limit in a swap, too."""
    async with opened(servers, seat_count=100_000) as world:
        await world.redis.command("FLUSHALL")
        soon = 10**14
        holds: list[str] = []
        for place in range(25_000):
            seats = ",".join(map(str, range(4 * place, 4 * place + 4)))
            holds += [f"1-{place}", f"visitor-{place}|{soon}|0|{seats}"]
        await world.redis.command("HSET", world.keys.holds, *holds)
        assert await world.open(epoch=2) == (25_000, 0)
        assert await world.statuses() == bytes([Status.held]) * 100_000
        await world.check()


async def test_a_rebuild_is_published_as_an_entry_that_leads_nowhere(world: World) -> None:
    """Rule 23: every replica sees the new epoch at once, and takes a snapshot."""
    subscriber = await world.redis.dedicated()
    await subscriber.send_command("SSUBSCRIBE", world.keys.channel)
    await subscriber.read_response()
    await world.open(epoch=2, booked={18: "sold"})
    _, _, entry = await subscriber.read_response()
    await subscriber.disconnect()
    assert decode(entry) == Change(epoch=2, since=0, to=0, seats={})
    _, changes = await world.state.replay(1, Position(1, 0))
    assert changes is None


# ---- the log, read from a position ----


async def test_replay_gives_all_or_says_that_it_cannot(world: World) -> None:
    """Rule 23: never a gap that looks like none."""
    for _ in range(3):
        hold_id = await world.hold("ann", 3)
        await world.say(Release("ann", hold_id, ()))

    async def replay(epoch: int, version: int) -> list[int] | None:
        _, changes = await world.state.replay(1, Position(epoch, version))
        return None if changes is None else [change.to for change in changes]

    assert await replay(1, 0) == [1, 2, 3, 4, 5, 6]
    assert await replay(1, 4) == [5, 6]
    assert await replay(1, 6) == []
    assert await replay(1, 7) is None, "ahead of the head"
    assert await replay(2, 0) is None, "of another epoch"
    await world.redis.command("XTRIM", world.keys.log, "MINID", "4-0")
    assert await replay(1, 3) == [4, 5, 6]
    assert await replay(1, 2) is None, "trimmed"
    await world.redis.command("XTRIM", world.keys.log, "MAXLEN", 0)
    assert await replay(1, 5) is None
    assert await replay(1, 6) == []


async def test_replay_from_the_middle_of_a_batch(world: World) -> None:
    """An entry that starts before the position is given whole: statuses are absolute."""
    await world.say(Hold("ann", "", (1,)), Hold("bob", "", (2,)), Hold("eve", "", (3,)))
    _, changes = await world.state.replay(1, Position(1, 1))
    assert changes is not None
    assert [(change.since, change.to) for change in changes] == [(0, 3)]


# ---- what is undecided ----


async def test_undecided_orders_are_listed_oldest_first_by_age(world: World) -> None:
    await world.begin("ann", "A", 1)
    await world.age(20_000)
    await world.begin("bob", "B", 2)
    await world.age(20_000)
    await world.begin("eve", "C", 3)

    async def undecided(age_ms: int, limit: int = 100) -> list[str]:
        return [order.order_id for order in await world.state.undecided(1, age_ms=age_ms, limit=limit)]

    assert await undecided(0) == ["A", "B", "C"]
    assert await undecided(0, limit=2) == ["A", "B"]
    assert await undecided(15_000) == ["A", "B"]
    assert await undecided(35_000) == ["A"]
    (first, *_) = await world.state.undecided(1, age_ms=35_000)
    assert (first.visitor, first.body) == ("ann", "body")
