"""What the dispatcher answers before any rule, and that a batch is one step, whatever is in it."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from booking_world import World, opened, replayed

from seatmap.booking.commands import Begin, Expire, Hold, ReadMine, Release
from seatmap.booking.desk import Desk
from seatmap.connections import AWAY
from seatmap.embedded import Embedded
from seatmap.errors import Recovering, Unavailable
from seatmap.model import Position, Status


@pytest.fixture
async def world(servers: Embedded) -> AsyncIterator[World]:
    async with opened(servers) as world:
        yield world
        await world.check()


async def now_ms(world: World) -> int:
    return int((await world.call())[-1].split()[2])


# ---- calls that may not act (rule 3) ----


async def test_recovering_where_another_server_said_what_is_known(world: World) -> None:
    """Rules 3 and 21: the run id of the connection is not that of the state."""
    assert await world.say(Hold("ann", "", (1,)), Expire(9), server="0" * 40) == ["RECOVERING"] * 2
    await world.redis.command("HSET", world.keys.meta, "rid", "1" * 40)
    assert await world.say(Hold("ann", "", (1,)), ReadMine("ann")) == ["RECOVERING"] * 2
    with pytest.raises(Recovering):
        await world.state.snapshot(world.event_id)
    with pytest.raises(Recovering):
        await world.state.replay(world.event_id, Position(1, 0))
    with pytest.raises(Recovering):
        await world.state.undecided(world.event_id, age_ms=0)
    await world.open(epoch=2)


async def test_a_run_id_of_digits_only_is_compared_as_text(world: World) -> None:
    """Rule 2: no number that was none."""
    digits = "12345678901234567890" * 2
    await world.redis.command("HSET", world.keys.meta, "rid", digits)
    assert await world.one(ReadMine("ann"), server=digits) == "OK"
    assert await world.one(ReadMine("ann"), server=digits[:-1] + "1") == "RECOVERING"
    await world.open(epoch=2)


async def test_recovering_while_the_event_is_rebuilt(world: World) -> None:
    """Rule 19."""
    await world.state.mark_rebuilding(world.event_id)
    assert await world.one(Hold("ann", "", (1,))) == "RECOVERING"
    with pytest.raises(Recovering):
        await world.state.snapshot(world.event_id)
    await world.open(epoch=2)
    assert await world.one(Hold("ann", "", (1,))) == "OK"


async def test_recovering_where_there_is_nothing(world: World) -> None:
    await world.redis.command("FLUSHALL")
    assert await world.one(Hold("ann", "", (1,))) == "RECOVERING"
    assert await world.redis.command("DBSIZE") == 0
    await world.state.mark_rebuilding(world.event_id)
    assert await world.one(Hold("ann", "", (1,))) == "RECOVERING"
    await world.open()


@pytest.mark.parametrize("epoch", [0, 1, 3, 1 << 40])
async def test_wrong_epoch(world: World, epoch: int) -> None:
    """Rule 3; the answer's last string says which one it is."""
    await world.open(epoch=2)
    replies = await world.call(Hold("ann", "", (1,)), epoch=epoch)
    assert replies[0] == "EPOCH"
    assert replies[-1].split()[:2] == ["2", "0"]


async def test_a_deadline_that_has_passed(world: World) -> None:
    """Rule 3, by the server's clock; the exact moment is still in time."""
    now = await now_ms(world)
    assert await world.one(Hold("ann", "", (1,)), deadline_ms=now - 1) == "DEADLINE"
    assert await world.one(Hold("ann", "", (1,)), deadline_ms=now + 60_000) == "OK"


async def test_a_clock_that_went_far_back_stops_everything(world: World) -> None:
    """Rule 1: a little is bridged by the floor, more needs a rebuild."""
    far = await now_ms(world) + 60_000
    await world.redis.command("HSET", world.keys.meta, "floor", far)
    assert await world.one(Hold("ann", "", (1,))) == "CLOCK"
    await world.open(epoch=2)
    assert await world.one(Hold("ann", "", (1,))) == "OK"


async def test_the_clock_never_runs_backwards(world: World) -> None:
    """Rule 1: never below the floor, and a change raises the floor."""
    ahead = await now_ms(world) + 4_000
    await world.redis.command("HSET", world.keys.meta, "floor", ahead)
    assert await now_ms(world) == ahead
    hold_id = await world.hold("ann", 1)
    deadline = int((await world.hash(world.keys.holds))[hold_id].split("|")[1])
    assert deadline == ahead + world.limits.hold_ms


async def test_what_may_not_act_writes_nothing(world: World) -> None:
    before = await world.hash(world.keys.meta)
    for changes in ({"epoch": 9}, {"deadline_ms": 1}, {"server": "x"}):
        await world.call(Hold("ann", "", (1,)), **changes)
    assert await world.hash(world.keys.meta) == before


# ---- one rule that breaks (rule 1) ----

BROKEN = {
    "no such rule": msgspec.msgpack.encode(["nonsense", 1]),
    "no array": msgspec.msgpack.encode(7),
    "empty array": msgspec.msgpack.encode([]),
    "a field missing": msgspec.msgpack.encode(["hold", "eve", ""]),
    "a seat that is a list": msgspec.msgpack.encode(["hold", "eve", "", [[1]]]),
    "no msgpack": b"\xc1",
    "nothing": b"",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_a_rule_that_breaks_leaves_its_neighbours_alone(world: World, broken: bytes) -> None:
    replies = await world.say(Hold("ann", "", (1,)), broken, Hold("bob", "", (2,)))
    assert [reply.split(" ")[0] for reply in replies] == ["OK", "FAILED", "OK"]
    assert (await world.position()).version == 2
    assert (await world.statuses())[:3] == bytes([0, 1, 1])


async def test_a_rule_that_breaks_half_way_is_undone(world: World) -> None:
    """It has changed the overlay before it fails; none of that is written, and no one is told."""
    hold_id = await world.hold("ann", 1, 2)
    await world.redis.command("HSET", world.keys.meta, "extension", "many")  # breaks EXTEND and `mine`
    broken = [
        Hold("bob", "", (3,)),  # takes the seat, then cannot say what is mine
        Release("ann", hold_id, (1,)),
    ]
    replies = await world.say(*broken, Begin("ann", hold_id, "A", "body", (1, 2)))
    assert [reply.split(" ")[0] for reply in replies] == ["FAILED", "FAILED", "BEGUN"]
    await world.redis.command("HSET", world.keys.meta, "extension", 1000)
    assert await world.status(3) == Status.available
    assert await world.owners() == {1: "p|A", 2: "p|A"}
    assert (await world.position()).version == 2
    assert [change.seats for change in await world.log()] == [{1: 1, 2: 1}, {}]


# ---- one step (rules 1 and 2) ----


async def test_a_batch_is_one_entry_of_the_log(world: World) -> None:
    start = await world.statuses()
    await world.say(Hold("ann", "", (1,)), Hold("bob", "", (1,)), Hold("bob", "", (2,)))
    await world.say(ReadMine("ann"), Hold("bob", "", (1,)))
    hold_id = (await world.mine("ann")).hold_id
    await world.say(Release("ann", hold_id, ()))
    log = await world.log()
    assert [(change.since, change.to) for change in log] == [(0, 2), (2, 3)]
    assert replayed(start, log) == await world.statuses()


async def test_what_is_published_is_what_is_logged(world: World) -> None:
    """Rule 1: the batch publishes in the same step."""
    subscriber = await world.redis.dedicated()
    await subscriber.send_command("SSUBSCRIBE", world.keys.channel)
    assert (await subscriber.read_response())[0] == b"ssubscribe"
    await world.hold("ann", 1, 2)
    kind, channel, entry = await subscriber.read_response()
    await subscriber.disconnect()
    row = (await world.redis.command("XRANGE", world.keys.log, "1-0", "+"))[0]
    assert (kind, channel.decode()) == (b"smessage", world.keys.channel)
    assert row == [b"1-0", [b"m", entry]]


async def test_a_hundred_thousand_seats_in_one_batch(servers: Embedded) -> None:
    """Rule 1: `unpack` stays below its limit; nothing is half written."""
    async with opened(servers, seat_count=100_000, seats_per_visitor=100_000) as world:
        await world.hold("ann", *range(50_000))
        replies = await world.call(
            Hold("bob", "", tuple(range(50_000, 100_000))),
            Release("ann", (await world.mine("ann")).hold_id, ()),
        )
        assert [reply[:2] for reply in replies[:-1]] == ["OK", "OK"]
        assert await world.statuses() == bytes(50_000) + bytes([Status.held]) * 50_000
        await world.check()


async def test_many_commands_in_one_batch(world: World) -> None:
    """The desk sends 32; the script takes what it is given."""
    commands = [Hold(f"visitor-{place}", "", (place % 20,)) for place in range(500)]
    words = [reply.split(" ")[0] for reply in await world.say(*commands)]
    assert words == ["OK"] * 20 + ["SEAT_TAKEN"] * 480


async def test_a_script_that_the_server_has_forgotten_is_sent_again(world: World) -> None:
    """Invisible to the caller: NOSCRIPT is the one error after which a call is repeated."""
    await world.redis.command("SCRIPT", "FLUSH")
    await world.hold("ann", 1)
    await world.redis.command("SCRIPT", "FLUSH")
    assert await world.status(1) == Status.held
    assert (await world.position()).version == 1


async def test_a_rule_that_meets_a_broken_key_says_what_broke(world: World) -> None:
    await world.redis.command("DEL", world.keys.visitors)
    await world.redis.command("SET", world.keys.visitors, "no hash")
    assert "WRONGTYPE" in await world.one(Hold("ann", "", (1,)))
    await world.open(epoch=2)


async def test_an_error_of_the_server_is_not_taken_for_an_answer(world: World) -> None:
    """Rule 1: an error other than NOSCRIPT means unknown."""
    await world.redis.command("DEL", world.keys.meta)
    await world.redis.command("SET", world.keys.meta, "no hash")
    with pytest.raises(Unavailable) as unknown:
        await Desk(world.redis, timeout_ms=5000).decide(world.event_id, Expire(1))
    assert unknown.value.detail == AWAY
    await world.redis.command("DEL", world.keys.meta)
    await world.open(epoch=2)
