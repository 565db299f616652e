"""Redis as the simulated processes reach it: real scripts on a real server, over connections that fail.

A private Valkey (or Redis) carries each command out, at once, when the run delivers it. Everything around that is
simulated: how long a request and its reply take, which of them are lost, restarts, and servers that come back with
older data or none, or twice. The scripts' clock is a key that the run sets; nothing in the product can set it.
"""

import asyncio
from collections import deque
from typing import Any

import msgspec
from redis import UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from seatmap.booking import scripts
from seatmap.booking.scripts import CLOCK
from seatmap.breaker import Breaker
from seatmap.connections import Argument, Redis
from seatmap.keys import Keys, keys
from seatmap.tally import Histogram
from tests.simulation.hold_watch import HoldWatch
from tests.simulation.loop import Process, current
from tests.simulation.probing import Prober
from tests.simulation.run_context import Run

EVENT = 1
CLOCK_KEY = "clock"
SIMULATED_CLOCK = f"local function clock() return tonumber(redis.call('GET', '{CLOCK_KEY}')) end\n"
SNAPSHOT_DB = 15
NAMES: Keys = keys(EVENT)
_PRODUCT = {
    script.sha: (name, script.text)
    for name in ("BATCH", "SNAPSHOT", "REPLAY", "UNDECIDED", "BEHIND", "SWAP")
    for script in (getattr(scripts, name),)
}


class RealServer:
    """The private server, spoken to directly."""

    def __init__(self, socket_path: str) -> None:
        self._connection = UnixDomainSocketConnection(path=socket_path, protocol=2)
        self._db = 0
        self.sha: dict[str, str] = {}
        # Small hashes keep their fields in order; large ones in one that no seed decides.
        for option in ("hash", "zset"):
            self.call("CONFIG", "SET", f"{option}-max-listpack-entries", 10_000)
            self.call("CONFIG", "SET", f"{option}-max-listpack-value", 10_000)
        self.call("CONFIG", "SET", "appendonly", "no")
        for sha, (_, text) in _PRODUCT.items():
            simulated = text.replace(CLOCK, SIMULATED_CLOCK)
            assert "'TIME'" not in simulated
            self.sha[sha] = self.call("SCRIPT", "LOAD", simulated).decode()

    def call(self, *words: Argument) -> Any:
        self._connection.send_command(*words)
        return self._connection.read_response()

    def many(self, db: int, *commands: list[Argument]) -> list[Any]:
        """Replies of commands in one database; an error is an item."""
        sent: list[list[Argument]] = list(commands)
        if db != self._db:
            sent.insert(0, ["SELECT", db])
        self._connection.send_packed_command(self._connection.pack_commands(sent))
        replies = []
        for _ in sent:
            try:
                replies.append(self._connection.read_response())
            except ResponseError as error:
                replies.append(error)
        self._db = db
        return replies[-len(commands) :]


class Incarnation:
    """One life of the server: its run id, and the database in which its data is."""

    def __init__(self, number: int, db: int) -> None:
        self.run_id = f"{number:040x}"
        self.db = db
        self.alive = True
        self.scripts: set[str] = set()


class RedisWorld:
    """All lives of the server."""

    def __init__(self, run: Run, real: RealServer) -> None:
        self.run = run
        self.real = real
        self.process = Process(run.loop, "redis")
        self.lives = 1
        self.now = Incarnation(1, 0)
        self.others: list[Incarnation] = []  # that still answer who is connected to them
        self.skew_ms = 0
        self.down = False
        self.links: list[Link] = []
        self.watch = HoldWatch(run)
        real.call("FLUSHALL")

    # ---- what the nemesis does ----

    def remember(self) -> None:
        """Keep a copy of the data, to come back with."""
        self._copy(self.now.db, SNAPSHOT_DB)

    def restart(self, data: str, down_s: float) -> None:
        """It dies, and comes back after a while with its data: kept, wiped or rolled back."""
        self.now.alive = False
        if data == "wiped":
            self.real.many(self.now.db, ["FLUSHDB"])
        elif data == "rolled back":
            self._copy(SNAPSHOT_DB, self.now.db)
        if data != "kept":
            self.watch.forget(self.now.db)
        self.down = True
        self._next(self.now.db)

        def up() -> None:
            self.down = False

        self.run.loop.outside.later(down_s, up)

    def split(self) -> None:
        """Another server takes over with a copy of the data; who is connected to the old one stays so."""
        db = 1 + self.now.db % 8
        self._copy(self.now.db, db)
        self.watch.forget(db)
        self.others.append(self.now)
        self._next(db)

    def join(self) -> None:
        """The servers that were left behind are gone."""
        for old in self.others:
            old.alive = False
        self.others.clear()

    def _next(self, db: int) -> None:
        self.lives += 1
        self.now = Incarnation(self.lives, db)

    def _copy(self, source: int, target: int) -> None:
        self.real.many(target, ["FLUSHDB"])
        names = self.real.many(source, ["KEYS", "*"])[0]
        self.real.many(source, *(["COPY", name, name, "DB", target] for name in names if names))

    # ---- what arrives ----

    def clock_ms(self) -> int:
        return int(self.run.loop.time() * 1000) + self.skew_ms

    def execute(self, life: Incarnation, words: tuple[Argument, ...]) -> Any:
        """The reply to one command, carried out now; an error is a value."""
        if words[0] not in ("EVALSHA", "EVAL"):
            return self.real.many(life.db, list(words))[0]
        sha = str(words[1]) if words[0] == "EVALSHA" else _sha_of(str(words[1]))
        if words[0] == "EVAL":
            life.scripts.add(sha)
        elif sha not in life.scripts:
            self.run.rare["script was not loaded"] += 1
            return NoScriptError("NOSCRIPT No matching script.")
        now = self.clock_ms()
        evaluate: list[Argument] = ["EVALSHA", self.real.sha[sha], *words[2:]]
        reply = self.real.many(life.db, ["SET", CLOCK_KEY, now], evaluate)[1]
        name = _PRODUCT[sha][0]
        if name in ("BATCH", "SWAP"):
            arguments = words[3 + int(words[2]) :]
            self._look(life, name, arguments, reply, now)
        return reply

    def _look(
        self, life: Incarnation, name: str, arguments: tuple[Argument, ...], reply: Any, now: int
    ) -> None:
        if isinstance(reply, Exception):
            self.run.broken(f"the script {name} failed: {reply}")
            return
        if name == "BATCH":
            commands = [msgspec.msgpack.decode(bytes(word)) for word in arguments[3:]]  # type: ignore[arg-type]
            replies = [word.decode() for word in reply]
            self.run.trace(
                "redis", life.db, *(f"{c[0]}→{r}" for c, r in zip(commands, replies, strict=False))
            )
            self.watch.batch(self._state, life.db, commands, replies, now)
        else:
            self.run.trace("redis", life.db, "swap", arguments[0], reply)
            self.watch.swap(self._state, life.db, int(arguments[0]), reply, now)

    def _state(self, db: int) -> list[dict[str, str]]:
        """holds, orders and owners, as they are."""
        found = self.real.many(db, *(["HGETALL", name] for name in (NAMES.holds, NAMES.orders, NAMES.owners)))
        return [
            {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
            for flat in found
        ]


def _sha_of(text: str) -> str:
    return next(sha for sha, (_, product) in _PRODUCT.items() if product == text)


class Link:
    """One connection, as `seatmap.connections` uses one of redis'."""

    def __init__(self, world: RedisWorld, timeout_s: float) -> None:
        self.world = world
        self.run = world.run
        self.owner = current()
        self.timeout_s = timeout_s
        self.life = world.now
        self.run_id = ""
        self.clock_ms = 0
        self.broken = False
        self._replies: deque[asyncio.Future[Any]] = deque()
        self._last = 0.0  # when the last message arrives: a connection keeps their order

    async def open(self) -> "Link":
        """Greet the server, as `_identify` does. Raises what redis raises."""
        reply = await self._exchange(("PING",))
        assert reply == b"PONG"
        self.run_id = self.life.run_id
        self.clock_ms = self.world.clock_ms() - int(self.run.loop.time() * 1000)
        return self

    async def send_command(self, *words: Argument) -> None:
        if self.broken:
            raise RedisConnectionError("The connection is closed.")
        self._replies.append(self._request(words))

    async def read_response(self) -> Any:
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._replies.popleft()
        except TimeoutError:
            raise RedisTimeoutError("Timeout reading from the server.") from None

    async def disconnect(self, nowait: bool = False) -> None:
        self.broken = True

    async def _exchange(self, words: tuple[Argument, ...]) -> Any:
        await self.send_command(*words)
        return await self.read_response()

    def _cut(self) -> bool:
        return (self.owner.name, "redis") in self.run.weather.cut

    def _request(self, words: tuple[Argument, ...]) -> asyncio.Future[Any]:
        run, loop = self.run, self.run.loop
        future: asyncio.Future[Any] = loop.create_future()
        if self._cut():
            return future
        if run.chance(run.weather.lost):
            run.faults["request lost"] += 1
            if run.chance(0.5):
                self._reset(future)
            return future
        self._last = max(self._last, loop.time() + run.travel_s())
        loop.call_at(self._last, self._arrive, words, future, context=self.world.process.context)
        return future

    def _arrive(self, words: tuple[Argument, ...], future: asyncio.Future[Any]) -> None:
        run, world = self.run, self.world
        if not self.life.alive or (world.down and self.life is world.now):
            self._reset(future)
            return
        if self.broken or not self.owner.alive:  # its bytes may be in the server's buffer all the same
            if run.chance(0.3):
                return
            run.rare["a command of somebody who is gone was carried out"] += 1
        reply = world.execute(self.life, words)
        if run.chance(run.weather.lost):
            run.faults["reply lost"] += 1
            if run.chance(0.5):
                self._reset(future)
            return
        if not self._cut():
            self.owner.later(run.travel_s(), self._answer, future, reply)

    def _reset(self, future: asyncio.Future[Any]) -> None:
        self.owner.later(
            self.run.travel_s(), self._answer, future, RedisConnectionError("Connection reset by peer.")
        )

    @staticmethod
    def _answer(future: asyncio.Future[Any], reply: Any) -> None:
        if future.done():
            return
        if isinstance(reply, Exception):
            future.set_exception(reply)
        else:
            future.set_result(reply)


class LinkPool:
    """As many connections as `connections`, as redis' blocking pool keeps them: the last used first."""

    def __init__(self, world: RedisWorld, timeout_s: float, connections: int) -> None:
        self._world = world
        self._timeout_s = timeout_s
        self._free: list[Link | None] = [None] * connections
        self._freed = asyncio.Condition()

    async def get_connection(self) -> Link:
        async with asyncio.timeout(self._timeout_s), self._freed:
            while not self._free:
                await self._freed.wait()
            link = self._free.pop()
        try:
            # What the server has closed shows when it is taken out, unless that news is still on its way.
            gone = link is not None and not link.life.alive and not self._world.run.chance(0.3)
            if link is None or link.broken or gone:
                link = await Link(self._world, self._timeout_s).open()
        except BaseException:
            self._free.append(None)
            async with self._freed:
                self._freed.notify()
            raise
        return link

    async def release(self, link: Link) -> None:
        self._free.append(link)
        async with self._freed:
            self._freed.notify()


class SimRedis(Redis):
    """`seatmap.connections.Redis`, whose pool leads here."""

    def __init__(self, world: RedisWorld, *, timeout_s: float, connections: int) -> None:
        self._pool = LinkPool(world, timeout_s, connections)  # type: ignore[assignment]
        self.breaker = Breaker("Redis", Prober(world.run, "redis", lambda: world.down, lambda: world.process))
        self.latency = Histogram()
        self._closed = False

    async def close(self) -> None:
        return
