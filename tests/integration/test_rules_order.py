"""BEGIN, FINISH, CANCEL, EXPIRE and REPAIR on a real Redis: every word, and what it did or left alone."""

from collections.abc import AsyncIterator

import pytest
from booking_world import EXTENSION_MS, GRACE_MS, HOLD_MS, World, opened

from seatmap.booking.commands import Begin, Cancel, Expire, Extend, Finish, Hold, Release, Repair
from seatmap.embedded import Embedded
from seatmap.model import Mine, Status

AVAILABLE, HELD, BOOKED = Status.available.value, Status.held.value, Status.booked.value


@pytest.fixture
async def world(servers: Embedded) -> AsyncIterator[World]:
    async with opened(servers, blocked=(19,), booked={18: "sold"}) as world:
        yield world
        await world.check()


# ---- BEGIN (rule 7) ----


async def test_begin_makes_the_hold_undecided_and_shows_it_as_held(world: World) -> None:
    hold_id = await world.begin("ann", "A", 3, 4)
    assert await world.owners() == {3: "p|A", 4: "p|A", 18: "b|sold"}
    assert await world.status(3) == Status.held
    assert await world.mine("ann") == Mine(order_id="A", order_seats=(3, 4))
    record = (await world.hash(world.keys.orders))["A"].split("|")
    assert (record[0], record[1], record[4], record[5]) == ("ann", hold_id, "body", "3,4")


async def test_begin_changes_no_seat_of_the_map(world: World) -> None:
    await world.begin("ann", "A", 3)
    change = (await world.log())[-1]
    assert change.seats == {}
    assert [(visitor, reason) for visitor, reason, _ in change.touched] == [("ann", "")]


async def test_begin_again_is_dup_and_changes_nothing(world: World) -> None:
    hold_id = await world.begin("ann", "A", 3)
    before = await world.position()
    assert await world.one(Begin("ann", hold_id, "A", "body", (3,))) == "DUP"
    assert await world.position() == before


@pytest.mark.parametrize(("visitor", "body"), [("ann", "other"), ("bob", "body")])
async def test_begin_of_an_order_id_that_means_something_else(world: World, visitor: str, body: str) -> None:
    hold_id = await world.begin("ann", "A", 3)
    assert await world.one(Begin(visitor, hold_id, "A", body, (3,))) == "ORDER_REUSED"


@pytest.mark.parametrize("seats", [(3,), (3, 4, 5), (3, 5), (5, 6)])
async def test_begin_with_other_seats_than_the_hold(world: World, seats: tuple[int, ...]) -> None:
    """No part of a hold is ever booked."""
    hold_id = await world.hold("ann", 3, 4)
    assert await world.one(Begin("ann", hold_id, "A", "body", seats)) == "HOLD_CHANGED"
    assert (await world.mine("ann")).seats == (3, 4)


async def test_begin_refuses_what_is_no_hold_of_the_buyer(world: World) -> None:
    hold_id = await world.hold("ann", 3)
    replies = await world.say(
        Begin("bob", hold_id, "A", "body", (3,)),
        Begin("ann", "1-999", "A", "body", (3,)),
        Begin("ann", hold_id, "A", "body", ()),
        Begin("ann", hold_id, "A", "body", (20,)),
        Begin("ann", hold_id, "A", "body", (3, 3)),
    )
    assert replies == [
        "NOT_YOUR_HOLD",
        "HOLD_EXPIRED",
        "NO_SEATS",
        "SEAT_OUT_OF_RANGE 20",
        "SEAT_REPEATED 3",
    ]


async def test_begin_of_a_second_order_waits_for_the_first(world: World) -> None:
    hold_id = await world.begin("ann", "A", 3)
    assert await world.one(Begin("ann", hold_id, "B", "body", (3,))) == "IN_CHECKOUT"


async def test_begin_when_the_event_was_closed(world: World) -> None:
    """Rule 9: the status, not the window, which is for starting to choose."""
    hold_id = await world.hold("ann", 3)
    await world.open(epoch=2, booked={18: "sold"}, status="published", on_sale_until_ms=1)
    assert await world.one(Begin("ann", hold_id, "A", "body", (3,))) == "BEGUN"
    await world.open(epoch=3, booked={18: "sold"}, status="cancelled")
    assert await world.one(Begin("ann", hold_id, "A", "body", (3,))) == "NOT_ON_SALE"


async def test_an_undecided_order_is_out_of_the_sweepers_reach(world: World) -> None:
    await world.begin("ann", "A", 3)
    await world.age(10 * HOLD_MS)
    assert await world.say(Expire(10), Hold("bob", "", (3,))) == ["OK 0", "SEAT_TAKEN 3"]


async def test_limit_counts_the_undecided_too(world: World) -> None:
    """Rule 6."""
    await world.begin("ann", "A", 1, 2, 3)
    assert (await world.hash(world.keys.visitors))["ann"] == "3||A"


# ---- FINISH (rule 8) ----


async def test_finish_confirmed_books(world: World) -> None:
    await world.begin("ann", "A", 3, 4)
    assert await world.one(Finish("A", "confirmed")) == "OK"
    assert (await world.owners())[3] == "b|A"
    assert await world.status(3) == Status.booked
    assert await world.mine("ann") == Mine()
    assert (await world.log())[-1].seats == {3: BOOKED, 4: BOOKED}


async def test_finish_twice_is_gone(world: World) -> None:
    await world.begin("ann", "A", 3)
    assert await world.say(Finish("A", "confirmed"), Finish("A", "refused"), Finish("B", "aborted")) == [
        "OK",
        "GONE",
        "GONE",
    ]
    assert await world.status(3) == Status.booked


@pytest.mark.parametrize("verdict", ["refused", "aborted"])
async def test_finish_refused_gives_the_seats_back_to_their_hold(world: World, verdict: str) -> None:
    hold_id = await world.begin("ann", "A", 3, 4)
    left = (await world.hash(world.keys.orders))["A"].split("|")[2]
    assert await world.one(Finish("A", verdict)) == "OK"
    mine = await world.mine("ann")
    assert (mine.hold_id, mine.seats, mine.order_id) == (hold_id, (3, 4), "")
    assert (await world.hash(world.keys.holds))[hold_id].split("|")[1] == left
    assert await world.one(Begin("ann", hold_id, "B", "body", (4, 3))) == "BEGUN"


async def test_finish_refused_keeps_that_the_hold_was_extended(world: World) -> None:
    hold_id = await world.hold("ann", 3)
    assert await world.say(Extend("ann", hold_id), Begin("ann", hold_id, "A", "body", (3,))) != []
    assert await world.one(Finish("A", "refused")) == "OK"
    mine = await world.mine("ann")
    assert not mine.extendable
    assert HOLD_MS < mine.expires_in_ms <= HOLD_MS + EXTENSION_MS


async def test_finish_refused_within_the_grace_still_goes_back(world: World) -> None:
    await world.begin("ann", "A", 3)
    await world.age(HOLD_MS + GRACE_MS // 2)
    assert await world.one(Finish("A", "refused")) == "OK"
    assert (await world.owners())[3].startswith("h|")


async def test_finish_refused_after_the_hold_would_have_ended_frees(world: World) -> None:
    await world.begin("ann", "A", 3)
    await world.age(HOLD_MS + GRACE_MS)
    assert await world.one(Finish("A", "aborted")) == "OK"
    assert await world.status(3) == Status.available
    assert await world.mine("ann") == Mine()
    assert ("ann", "aborted", Mine()) in (await world.log())[-1].touched


async def test_finish_cancelled_frees(world: World) -> None:
    """Rule 17: a confirmed order may have been cancelled before Redis learnt of it."""
    await world.begin("ann", "A", 3)
    assert await world.one(Finish("A", "cancelled")) == "OK"
    assert await world.status(3) == Status.available


async def test_finish_with_a_verdict_that_it_does_not_know_frees_nothing(world: World) -> None:
    """Redis is never freer than Postgres: a word of a later version is no reason to give seats away."""
    await world.begin("ann", "A", 3)
    assert (await world.one(Finish("A", "pending"))).startswith("FAILED")
    assert (await world.owners())[3] == "p|A"
    assert await world.one(Finish("A", "confirmed")) == "OK"


@pytest.mark.parametrize("verdict", ["refused", "confirmed", "cancelled"])
async def test_finish_touches_only_the_seats_that_the_order_still_has(world: World, verdict: str) -> None:
    """Rules 5 and 8: a seat that is another's by now is left alone."""
    hold_id = await world.begin("ann", "A", 3, 4)
    await world.redis.command("HSET", world.keys.owners, 3, "b|B")
    await world.redis.command("SETRANGE", world.keys.seats, 3, bytes([BOOKED]))
    assert await world.one(Finish("A", verdict)) == "OK"
    expected = {"refused": {4: f"h|{hold_id}"}, "confirmed": {4: "b|A"}, "cancelled": {}}[verdict]
    assert await world.owners() == {3: "b|B", 18: "b|sold"} | expected
    assert (await world.mine("ann")).seats == ((4,) if verdict == "refused" else ())


# ---- CANCEL ----


async def test_cancel_frees_a_booked_order_and_repeats(world: World) -> None:
    await world.begin("ann", "A", 3, 4)
    assert await world.say(
        Finish("A", "confirmed"), Cancel("A", "ann", (3, 4)), Cancel("A", "ann", (3, 4))
    ) == ["OK", "OK 2", "OK 0"]
    assert await world.status(3) == Status.available


async def test_cancel_never_frees_what_another_has_by_now(world: World) -> None:
    await world.begin("ann", "A", 3, 4)
    assert await world.say(Finish("A", "confirmed"), Cancel("A", "ann", (3, 4))) == ["OK", "OK 2"]
    await world.begin("bob", "B", 3)
    assert await world.say(Finish("B", "confirmed"), Cancel("A", "ann", (3, 4))) == ["OK", "OK 0"]
    assert (await world.owners())[3] == "b|B"
    await world.hold("eve", 4)
    assert await world.one(Cancel("A", "ann", (3, 4))) == "OK 0"
    assert await world.status(4) == Status.held


async def test_cancel_before_finish_and_the_late_finish_is_gone(world: World) -> None:
    """A cancelled order never takes its seats back."""
    await world.begin("ann", "A", 3)
    assert await world.one(Cancel("A", "ann", (3,))) == "OK 1"
    await world.hold("bob", 3)
    assert await world.one(Finish("A", "confirmed")) == "GONE"
    assert (await world.mine("bob")).seats == (3,)
    await world.hold("ann", 4)


async def test_cancel_of_an_undecided_order_tells_its_owner(world: World) -> None:
    """Rule 25: whoever has no longer what they had is told, whoever sent the command."""
    await world.begin("ann", "A", 3)
    assert await world.one(Cancel("A", "bob", (3,))) == "OK 1"
    assert (await world.log())[-1].touched == (("ann", "cancelled", Mine()),)


# ---- EXPIRE ----


async def test_expire_ends_the_oldest_first_and_no_more_than_asked(world: World) -> None:
    await world.hold("ann", 1)
    await world.age(1000)
    await world.hold("bob", 2)
    await world.age(1000)
    await world.hold("eve", 3)
    await world.age(HOLD_MS + GRACE_MS)
    assert await world.one(Expire(2)) == "OK 2"
    assert (await world.statuses())[1:4] == bytes([AVAILABLE, AVAILABLE, HELD])
    assert await world.say(Expire(2), Expire(2)) == ["OK 1", "OK 0"]
    assert [(visitor, reason) for visitor, reason, _ in (await world.log())[-1].touched] == [
        ("eve", "expired")
    ]


async def test_expire_after_a_command_of_its_batch_has_ended_the_hold(world: World) -> None:
    """The sweeper reads Redis, where the batch has written nothing yet."""
    hold_id = await world.hold("ann", 1)
    await world.age(HOLD_MS + GRACE_MS)
    assert await world.say(Hold("bob", "", (1,)), Expire(9), Release("ann", hold_id, ())) == [
        f"OK {(await world.mine('bob')).hold_id}",
        "OK 0",
        "OK -",
    ]


# ---- REPAIR (rule 18) ----


async def test_repair_books_a_seat_that_redis_thought_was_free(world: World) -> None:
    assert await world.one(Repair(3, "", AVAILABLE, BOOKED, "A")) == "OK"
    assert (await world.owners())[3] == "b|A"


async def test_repair_frees_a_seat_whose_order_is_gone(world: World) -> None:
    assert await world.one(Repair(18, "b|sold", BOOKED, AVAILABLE, "")) == "OK"
    assert await world.status(18) == Status.available


async def test_repair_ends_the_hold_that_has_the_seat(world: World) -> None:
    hold_id = await world.hold("ann", 3, 4)
    assert await world.one(Repair(3, f"h|{hold_id}", HELD, BOOKED, "A")) == "OK"
    assert await world.mine("ann") == Mine()
    assert await world.status(4) == Status.available
    assert ("ann", "lost", Mine()) in (await world.log())[-1].touched


@pytest.mark.parametrize(
    ("owner_seen", "status_seen"), [("b|other", BOOKED), ("b|sold", HELD), ("", AVAILABLE), ("", BOOKED)]
)
async def test_repair_of_what_has_changed_since(world: World, owner_seen: str, status_seen: int) -> None:
    """Compare-and-set on the owner and on the status."""
    assert await world.one(Repair(18, owner_seen, status_seen, AVAILABLE, "")) == "CHANGED"
    assert (await world.owners())[18] == "b|sold"


async def test_repair_never_touches_an_undecided_order(world: World) -> None:
    await world.begin("ann", "A", 3)
    assert await world.one(Repair(3, "p|A", HELD, AVAILABLE, "")) == "CHANGED"
    assert await world.one(Repair(3, "p|A", HELD, BOOKED, "B")) == "CHANGED"
    assert await world.one(Finish("A", "confirmed")) == "OK"


async def test_repair_frees_a_seat_of_an_undecided_order_that_is_not_there(world: World) -> None:
    await world.redis.command("HSET", world.keys.owners, 3, "p|ghost")
    await world.redis.command("SETRANGE", world.keys.seats, 3, bytes([HELD]))
    assert await world.one(Repair(3, "p|ghost", HELD, AVAILABLE, "")) == "OK"


async def test_repair_out_of_range(world: World) -> None:
    assert await world.one(Repair(20, "", AVAILABLE, BOOKED, "A")) == "SEAT_OUT_OF_RANGE 20"
