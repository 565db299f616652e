"""HOLD, RELEASE, EXTEND and MINE on a real Redis: every word, and what it did or left alone."""

from collections.abc import AsyncIterator

import pytest
from booking_world import EXTENSION_MS, GRACE_MS, HOLD_MS, World, opened

from seatmap.booking.commands import Begin, Expire, Extend, Finish, Hold, ReadMine, Release
from seatmap.embedded import Embedded
from seatmap.model import Mine, Status


@pytest.fixture
async def world(servers: Embedded) -> AsyncIterator[World]:
    async with opened(servers, blocked=(19,), booked={18: "sold"}) as world:
        yield world
        await world.check()


# ---- HOLD ----


async def test_hold_takes_seats_and_says_what_is_mine(world: World) -> None:
    """Rules 2 and 6."""
    hold_id = await world.hold("ann", 3, 4)
    mine = await world.mine("ann")
    assert (mine.hold_id, mine.seats, mine.extendable, mine.order_id) == (hold_id, (3, 4), True, "")
    assert HOLD_MS - 30_000 < mine.expires_in_ms <= HOLD_MS
    assert await world.status(3) == Status.held
    assert (await world.owners())[3] == f"h|{hold_id}"


async def test_hold_of_a_taken_seat_takes_none_of_the_others(world: World) -> None:
    """P4 for holds: all seats or none."""
    await world.hold("ann", 3)
    before = await world.position()
    assert await world.one(Hold("bob", "", (2, 3, 18))) == "SEAT_TAKEN 3,18"
    assert await world.position() == before
    assert await world.status(2) == Status.available
    assert await world.mine("bob") == Mine()


async def test_hold_names_every_blocked_seat_before_the_taken_ones(world: World) -> None:
    await world.hold("ann", 3)
    assert await world.one(Hold("bob", "", (3, 19))) == "SEAT_BLOCKED 19"


async def test_hold_of_what_is_mine_already_is_ok_and_changes_nothing(world: World) -> None:
    """A repeated HOLD does no harm."""
    hold_id = await world.hold("ann", 3)
    before = await world.position()
    assert await world.one(Hold("ann", hold_id, (3,))) == "OK"
    assert await world.one(Hold("ann", "", (3,))) == "OK"
    assert await world.position() == before


async def test_hold_without_an_id_continues_the_current_hold(world: World) -> None:
    """Rule 6: one hold per visitor."""
    first = await world.hold("ann", 3)
    assert await world.hold("ann", 4) == first
    assert (await world.mine("ann")).seats == (3, 4)


async def test_the_clock_starts_at_the_first_seat(world: World) -> None:
    """Adding a seat does not restart it."""
    hold_id = await world.hold("ann", 3)
    await world.age(HOLD_MS // 2)
    assert await world.one(Hold("ann", hold_id, (4,))) == "OK"
    assert (await world.mine("ann")).expires_in_ms <= HOLD_MS // 2


@pytest.mark.parametrize("hold_id", ["1-999", "-", "", "x|y"])
async def test_hold_naming_no_live_hold(world: World, hold_id: str) -> None:
    """Rule 6: a dead one answers EXPIRED; no name makes a hold."""
    expected = "HOLD_EXPIRED" if hold_id else "OK"
    assert await world.one(Hold("ann", hold_id, (3,))) == expected


async def test_hold_naming_somebody_elses_hold(world: World) -> None:
    theirs = await world.hold("ann", 3)
    assert await world.one(Hold("bob", theirs, (4,))) == "NOT_YOUR_HOLD"
    assert await world.status(4) == Status.available


async def test_limit_counts_all_that_is_held(world: World) -> None:
    """Rule 6; nothing of a refused command is held."""
    hold_id = await world.hold("ann", 1, 2, 3)
    assert await world.one(Hold("ann", hold_id, (4, 5))) == "TOO_MANY_SEATS 4"
    assert await world.one(Hold("ann", hold_id, (3, 4))) == "OK"
    assert await world.one(Hold("ann", hold_id, (5,))) == "TOO_MANY_SEATS 4"
    assert await world.one(Hold("bob", "", (5, 6, 7, 8))) == "OK"


async def test_limit_is_free_again_after_release_and_expiry(world: World) -> None:
    """The visitor's count does not drift."""
    for _ in range(3):
        hold_id = await world.hold("ann", 1, 2, 3, 4)
        assert await world.one(Release("ann", hold_id, ())) == "OK"
        await world.hold("ann", 5, 6, 7, 8)
        await world.age(HOLD_MS + GRACE_MS)
        assert await world.one(Expire(10)) == "OK 1"


@pytest.mark.parametrize(
    ("seats", "reply"),
    [
        ((), "NO_SEATS"),
        ((20,), "SEAT_OUT_OF_RANGE 20"),
        ((-1,), "SEAT_OUT_OF_RANGE -1"),
        ((3, 4, 3), "SEAT_REPEATED 3"),
        ((10**15,), f"SEAT_OUT_OF_RANGE {10**15}"),
        ((2**53,), f"SEAT_OUT_OF_RANGE {2**53}"),
        ((-(2**63),), f"SEAT_OUT_OF_RANGE {-(2**63)}"),
    ],
)
async def test_hold_of_what_is_no_list_of_seats(world: World, seats: tuple[int, ...], reply: str) -> None:
    """Rule 4; rule 2: a number is never written as a float."""
    assert await world.one(Hold("ann", "", seats)) == reply


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "cancelled"},
        {"status": "draft"},
        {"on_sale_from_ms": 1 << 52},
        {"on_sale_until_ms": 1},
    ],
)
async def test_hold_outside_the_sale(world: World, changes: dict[str, object]) -> None:
    """Rule 9: status, and the window by Redis' clock."""
    await world.open(epoch=2, booked={18: "sold"}, **changes)
    assert await world.one(Hold("ann", "", (3,))) == "NOT_ON_SALE"


async def test_two_visitors_in_one_batch_are_decided_in_order(world: World) -> None:
    """Rule 4: the second sees what the first has done, and each command is its own version."""
    before = await world.position()
    replies = await world.call(Hold("ann", "", (3,)), Hold("bob", "", (3, 4)), Hold("bob", "", (4,)))
    assert [reply.split(" ")[0] for reply in replies[:-1]] == ["OK", "SEAT_TAKEN", "OK"]
    assert (await world.position()).version == before.version + 2
    (change,) = await world.log()
    assert (change.since, change.to, change.seats) == (0, 2, {3: 1, 4: 1})


async def test_hold_ids_are_never_made_twice(world: World) -> None:
    """Also not by a batch, a release, or a rebuild that starts the versions anew."""
    seen = []
    for epoch in (2, 3):
        await world.open(epoch=epoch, booked={18: "sold"})
        for _ in range(3):
            seen += [await world.hold("ann", 1), await world.hold("bob", 2)]
            batch = [Release("ann", seen[-2], ()), Release("bob", seen[-1], ())]
            replies = await world.call(*batch, Hold("ann", "", (1,)), Hold("bob", "", (2,)))
            seen += [reply.split(" ")[1] for reply in replies[2:4]]
            await world.say(Release("ann", seen[-2], ()), Release("bob", seen[-1], ()))
    assert len(set(seen)) == len(seen) == 24


# ---- expiry and grace (rule 5) ----


async def test_within_the_grace_others_may_not_take(world: World) -> None:
    await world.hold("ann", 3)
    await world.age(HOLD_MS + GRACE_MS // 2)
    assert await world.one(Hold("bob", "", (3,))) == "SEAT_TAKEN 3"
    assert await world.one(Expire(10)) == "OK 0"
    assert (await world.mine("ann")).seats == (3,)


async def test_within_the_grace_the_owner_may_book(world: World) -> None:
    hold_id = await world.hold("ann", 3)
    await world.age(HOLD_MS + GRACE_MS // 2)
    assert await world.one(Begin("ann", hold_id, "order", "body", (3,))) == "BEGUN"


async def test_within_the_grace_a_hold_does_not_grow(world: World) -> None:
    hold_id = await world.hold("ann", 3)
    await world.age(HOLD_MS + GRACE_MS // 2)
    assert await world.one(Hold("ann", hold_id, (4,))) == "HOLD_EXPIRED"
    assert (await world.mine("ann")).seats == (3,)


async def test_within_the_grace_holding_without_a_name_starts_again(world: World) -> None:
    old = await world.hold("ann", 3, 5)
    await world.age(HOLD_MS + GRACE_MS // 2)
    new = await world.hold("ann", 3, 4)
    assert new != old
    assert (await world.mine("ann")).seats == (3, 4)
    assert await world.status(5) == Status.available


async def test_after_the_grace_others_may_take_and_all_of_the_hold_ends(world: World) -> None:
    """Whoever meets an expired hold kills all of it, and its owner is told."""
    await world.hold("ann", 3, 4)
    await world.age(HOLD_MS + GRACE_MS)
    await world.hold("bob", 3)
    assert await world.status(4) == Status.available
    assert await world.mine("ann") == Mine()
    assert ("ann", "expired", Mine()) in (await world.log())[-1].touched


async def test_a_refused_hold_still_ends_the_expired_holds_that_it_met(world: World) -> None:
    """…and says so by a version, so that no screen misses it."""
    await world.hold("ann", 3, 4)
    await world.age(HOLD_MS + GRACE_MS)
    before = await world.position()
    assert await world.one(Hold("bob", "", (3, 18))) == "SEAT_TAKEN 18"
    assert (await world.position()).version == before.version + 1
    assert (await world.log())[-1].seats == {3: 0, 4: 0}


async def test_after_the_grace_the_owner_cannot_do_anything_with_it(world: World) -> None:
    hold_id = await world.hold("ann", 3)
    await world.age(HOLD_MS + GRACE_MS)
    assert (
        await world.say(
            Begin("ann", hold_id, "order", "body", (3,)), Extend("ann", hold_id), Hold("ann", hold_id, (3,))
        )
        == ["HOLD_EXPIRED"] * 3
    )
    assert await world.status(3) == Status.available


async def test_an_expired_hold_that_ends_inside_a_batch_is_gone_for_the_rest_of_it(world: World) -> None:
    """Rules 1 and 5: the overlay shows each command what those before it did."""
    hold_id = await world.hold("ann", 3, 4)
    await world.age(HOLD_MS + GRACE_MS)
    replies = await world.say(
        Hold("bob", "", (3,)), Begin("ann", hold_id, "order", "body", (3, 4)), Hold("ann", "", (4,))
    )
    assert [reply.split(" ")[0] for reply in replies] == ["OK", "HOLD_EXPIRED", "OK"]
    assert (await world.mine("bob")).seats == (3,)
    assert (await world.mine("ann")).seats == (4,)


# ---- RELEASE ----


async def test_release_of_some_keeps_the_hold(world: World) -> None:
    hold_id = await world.hold("ann", 3, 4)
    assert await world.one(Release("ann", hold_id, (3, 7))) == "OK"
    assert (await world.mine("ann")).seats == (4,)
    assert await world.status(3) == Status.available


@pytest.mark.parametrize("seats", [(), (3, 4)])
async def test_release_of_all_ends_the_hold(world: World, seats: tuple[int, ...]) -> None:
    hold_id = await world.hold("ann", 3, 4)
    assert await world.one(Release("ann", hold_id, seats)) == "OK"
    assert await world.mine("ann") == Mine()


async def test_release_of_a_hold_that_is_gone_is_ok(world: World) -> None:
    hold_id = await world.hold("ann", 3)
    assert await world.say(Release("ann", hold_id, ()), Release("ann", hold_id, ())) == ["OK -", "OK -"]


async def test_release_of_an_expired_hold_leaves_its_new_owner_alone(world: World) -> None:
    old = await world.hold("ann", 3)
    await world.age(HOLD_MS + GRACE_MS)
    await world.hold("bob", 3)
    assert await world.one(Release("ann", old, (3,))) == "OK"
    assert (await world.mine("bob")).seats == (3,)


async def test_release_refuses(world: World) -> None:
    hold_id = await world.hold("ann", 3)
    assert await world.say(
        Release("bob", hold_id, (3,)), Release("ann", hold_id, (20,)), Release("ann", hold_id, (3, 3))
    ) == ["NOT_YOUR_HOLD", "SEAT_OUT_OF_RANGE 20", "SEAT_REPEATED 3"]
    assert (await world.mine("ann")).seats == (3,)


# ---- EXTEND ----


async def test_extend_once_and_a_repeat_is_ok(world: World) -> None:
    """Rule 4."""
    hold_id = await world.hold("ann", 3)
    assert await world.one(Extend("ann", hold_id)) == "OK"
    mine = await world.mine("ann")
    assert HOLD_MS < mine.expires_in_ms <= HOLD_MS + EXTENSION_MS
    assert not mine.extendable
    before = await world.position()
    assert await world.one(Extend("ann", hold_id)) == "OK"
    assert await world.position() == before
    assert (await world.mine("ann")).expires_in_ms <= mine.expires_in_ms


async def test_an_extended_hold_lives_longer_for_everybody(world: World) -> None:
    hold_id = await world.hold("ann", 3)
    assert await world.one(Extend("ann", hold_id)) == "OK"
    await world.age(HOLD_MS + GRACE_MS)
    assert await world.say(Expire(10), Hold("bob", "", (3,))) == ["OK 0", "SEAT_TAKEN 3"]


async def test_extend_refuses(world: World) -> None:
    hold_id = await world.hold("ann", 3)
    assert await world.say(Extend("bob", hold_id), Extend("bob", "1-999")) == [
        "NOT_YOUR_HOLD",
        "HOLD_EXPIRED",
    ]
    await world.open(epoch=2, extension_ms=0, booked={18: "sold"})
    assert await world.one(Extend("ann", hold_id)) == "HOLD_NOT_EXTENDABLE"


# ---- while an order is being decided (rule 7) ----


async def test_hold_release_and_extend_wait_for_the_verdict(world: World) -> None:
    hold_id = await world.begin("ann", "order", 3)
    assert (
        await world.say(
            Hold("ann", "", (4,)),
            Hold("ann", hold_id, (4,)),
            Release("ann", hold_id, ()),
            Extend("ann", hold_id),
        )
        == ["IN_CHECKOUT"] * 4
    )
    assert await world.one(Finish("order", "refused")) == "OK"
    assert await world.one(Hold("ann", hold_id, (4,))) == "OK"


# ---- MINE ----


async def test_mine_changes_nothing(world: World) -> None:
    before = await world.position()
    assert await world.one(ReadMine("nobody")) == "OK"
    assert await world.position() == before
    assert await world.mine("nobody") == Mine()
