"""The desk on a real Redis: what is never done twice, too late, or for the wrong epoch."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest
from booking_world import World, opened

from seatmap.booking.commands import Answer, Hold, ReadMine
from seatmap.booking.desk import Desk
from seatmap.connections import Redis
from seatmap.embedded import Embedded
from seatmap.errors import Recovering, Refused, SeatmapError, Unavailable
from seatmap.model import Status

PATIENT_S = 30.0
CLOCK_ERROR_S = 0.25  # a desk knows the server's clock to within a round trip


@pytest.fixture
async def world(servers: Embedded) -> AsyncIterator[World]:
    async with opened(servers) as world:
        yield world
        await world.check()


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world.redis, timeout_ms=5000)


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + PATIENT_S
    while not await happened():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.01)


async def scripts_run(world: World) -> int:
    """How many EVALSHA and EVAL calls the server has carried out."""
    info: bytes = await world.redis.command("INFO", "commandstats")
    lines = [
        line for line in info.decode().splitlines() if line.startswith(("cmdstat_evalsha:", "cmdstat_eval:"))
    ]
    return sum(int(line.partition("calls=")[2].partition(",")[0]) for line in lines)


async def outcome(command: Awaitable[Answer]) -> str:
    try:
        return (await command).word
    except SeatmapError as error:
        return error.code


# ---- epochs ----


async def test_a_desk_that_knows_no_epoch_decides_in_the_order_of_arrival(world: World, desk: Desk) -> None:
    """Rule 4, also for the batch that had to be sent again."""
    holds = [desk.decide(1, Hold(f"visitor-{place}", "", (place // 2,))) for place in range(8)]
    assert await asyncio.gather(*map(outcome, holds)) == ["OK", "seat_taken"] * 4


async def test_a_rebuild_is_invisible_to_a_command_that_insists_on_no_epoch(world: World, desk: Desk) -> None:
    await desk.decide(1, Hold("ann", "", (1,)))
    await world.open(epoch=2)
    answer = await desk.decide(1, Hold("bob", "", (2,)))
    assert (answer.word, answer.position.epoch) == ("OK", 2)


async def test_a_command_for_an_older_epoch_is_refused(world: World, desk: Desk) -> None:
    """Rule 3, whether the desk knows the later one yet or Redis has to say it."""
    await world.open(epoch=2)
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await desk.decide(1, Hold("ann", "", (1,)), epoch=1)
        assert (refused.value.code, refused.value.extra) == ("wrong_epoch", {"epoch": 2})
    assert await world.status(1) == Status.available


async def test_a_command_for_an_epoch_that_the_desk_does_not_know_yet(world: World, desk: Desk) -> None:
    await desk.decide(1, ReadMine("ann"))
    await world.open(epoch=2)
    assert (await desk.decide(1, Hold("ann", "", (1,)), epoch=2)).word == "OK"


async def test_a_page_that_claims_a_false_epoch_spoils_nobody_elses_command(world: World, desk: Desk) -> None:
    """An epoch is a visitor's word until Redis has said it."""
    await desk.decide(1, ReadMine("ann"))
    commands = [
        desk.decide(1, Hold(f"visitor-{place}", "", (place,)), epoch=1 << 40 if place % 2 else 1)
        for place in range(16)
    ]
    assert await asyncio.gather(*map(outcome, commands)) == ["OK", "wrong_epoch"] * 8


async def test_recovering_is_said_as_such(world: World, desk: Desk) -> None:
    await world.state.mark_rebuilding(1)
    with pytest.raises(Recovering):
        await desk.decide(1, Hold("ann", "", (1,)))
    await world.open(epoch=2)
    assert (await desk.decide(1, Hold("ann", "", (1,)))).word == "OK"


# ---- too late (rule 3) ----


@contextmanager
def stopped(servers: Embedded) -> Iterator[Callable[[], None]]:
    """A server that answers nothing, until the given function is called or the block ends."""
    pid = servers.pids["valkey"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield lambda: os.kill(pid, signal.SIGCONT)
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def impatient(servers: Embedded, timeout_s: float) -> Iterator[tuple[Redis, Desk]]:
    redis = Redis(servers.redis_url, timeout_s=timeout_s)
    yield redis, Desk(redis, timeout_ms=int(timeout_s * 1000))


async def give_a_hold_up(servers: Embedded, world: World, desk: Desk) -> None:
    """A hold of seat 1 that the stopped server reads when its time is over."""
    before = await scripts_run(world)
    with stopped(servers):
        with pytest.raises(Unavailable):
            await desk.decide(1, Hold("ann", "", (1,)))
        await asyncio.sleep(CLOCK_ERROR_S)

    async def server_has_read_it() -> bool:
        return await scripts_run(world) > before

    await until(server_has_read_it)


async def test_a_command_that_was_given_up_is_not_carried_out(servers: Embedded, world: World) -> None:
    with impatient(servers, 1.0) as (redis, desk):
        await desk.decide(1, ReadMine("ann"))
        await give_a_hold_up(servers, world, desk)
        assert await world.status(1) == Status.available
        await redis.close()


async def test_a_stall_before_does_not_make_a_later_command_late(servers: Embedded, world: World) -> None:
    """The clock of the server is guessed from its answers; one that took long must not spoil the guess."""
    with impatient(servers, 2.0) as (redis, desk):
        await desk.decide(1, ReadMine("ann"))
        with stopped(servers) as go_on:
            slow = asyncio.ensure_future(desk.decide(1, ReadMine("ann")))
            asyncio.get_running_loop().call_later(1.2, go_on)
            assert (await slow).word == "OK"
        await give_a_hold_up(servers, world, desk)
        assert await world.status(1) == Status.available
        await redis.close()


async def test_a_late_command_does_not_make_its_neighbours_late(world: World, desk: Desk) -> None:
    await desk.decide(1, ReadMine("ann"))
    counter = desk._events[1]
    late = counter.hand_in(msgspec.msgpack.encode(Hold("ann", "", (1,))), 0, -1)
    in_time = counter.hand_in(msgspec.msgpack.encode(Hold("bob", "", (2,))), 0, 5000)
    with pytest.raises(Unavailable, match="too late"):
        await late
    assert (await in_time).word == "OK"
    assert (await world.statuses())[1:3] == bytes([0, 1])


async def test_a_caller_that_went_away_before_its_command_was_sent(world: World, desk: Desk) -> None:
    await desk.decide(1, ReadMine("ann"))
    gone = asyncio.ensure_future(desk.decide(1, Hold("ann", "", (1,))))
    asyncio.get_running_loop().call_soon(gone.cancel)
    await asyncio.gather(gone, return_exceptions=True)
    assert (await desk.decide(1, ReadMine("bob"))).word == "OK"
    assert await world.status(1) == Status.available


# ---- lost answers ----


class Proxy:
    """Between a client and the server; can lose the server's next answer to a script."""

    def __init__(self, servers: Embedded) -> None:
        self._socket = str(servers.places.valkey_socket)
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.lose_next = False
        self.lost = 0
        self.url = ""

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        server_in, server_out = await asyncio.open_unix_connection(self._socket)
        self._writers += [client_out, server_out]
        for task in (self._up(client_in, server_out), self._down(server_in, client_out)):
            running = asyncio.ensure_future(task)
            self._tasks.add(running)

    async def _up(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while data := await client.read(65536):
            server.write(data)
        server.close()

    async def _down(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while data := await server.read(65536):
            if self.lose_next:
                self.lose_next = False
                self.lost += 1
                break
            client.write(data)
        client.close()


async def test_a_lost_answer_is_unknown_and_the_command_is_not_sent_again(
    servers: Embedded, world: World
) -> None:
    """Rule 4: only book and cancel are ever re-sent, by those who know what they do."""
    async with Proxy(servers) as proxy:
        redis = Redis(proxy.url, timeout_s=5.0)
        desk = Desk(redis, timeout_ms=5000)
        await desk.decide(1, ReadMine("ann"))
        before, position = await scripts_run(world), await world.position()
        proxy.lose_next = True
        with pytest.raises(Unavailable):
            await desk.decide(1, Hold("ann", "", (1,)))
        assert proxy.lost == 1
        assert (await desk.decide(1, ReadMine("ann"))).mine.seats == (1,)
        await redis.close()
    assert (await world.position()).version == position.version + 1
    # the lost one, and reading twice after it: position() above, mine
    assert await scripts_run(world) == before + 4


async def test_a_late_answer_never_meets_the_next_command(servers: Embedded, world: World) -> None:
    """A call that was given up leaves a closed connection."""
    with impatient(servers, 0.3) as (redis, desk):
        await desk.decide(1, Hold("ann", "", (1,)))
        with stopped(servers), pytest.raises(Unavailable):
            await desk.decide(1, ReadMine("ann"))

        async def answered() -> bool:
            return await outcome(desk.decide(1, ReadMine("nobody"))) == "OK"

        await until(answered)
        assert (await desk.decide(1, ReadMine("nobody"))).mine.seats == ()
        assert (await desk.decide(1, ReadMine("ann"))).mine.seats == (1,)
        await redis.close()
