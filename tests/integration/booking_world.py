"""An event in a real Redis without Postgres, and the batch script's own words, for the tests of the rules.

Time is moved by making everything older, never by waiting: `age` rewrites what is recorded as if it had
been recorded earlier. TTLs are so long that the real clock does not matter while a test runs.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from seatmap.booking.commands import Begin, Command, Hold, ReadMine
from seatmap.booking.scripts import BATCH
from seatmap.booking.state import Limits, State
from seatmap.changes import mine
from seatmap.connections import Redis, evaluate, run_id
from seatmap.embedded import Embedded
from seatmap.keys import Keys, keys
from seatmap.model import Change, Mine, Position, Status

HOLD_MS, EXTENSION_MS, GRACE_MS = 600_000, 300_000, 60_000
LIMITS = Limits(
    status="published",
    status_version=1,
    plan_version=1,
    seat_count=20,
    hold_ms=HOLD_MS,
    extension_ms=EXTENSION_MS,
    grace_ms=GRACE_MS,
    seats_per_visitor=4,
)
FOREVER_MS = 1 << 52
SENTINEL = "-"
NUMBERED = ("Cancel", "Expire", "Status", "Block", "Evict", "Prolong")  # their OK has fields of its own


class World:
    """One event of one Redis."""

    def __init__(self, redis: Redis, event_id: int = 1) -> None:
        self.redis = redis
        self.event_id = event_id
        self.keys: Keys = keys(event_id)
        self.state = State(redis)
        self.epoch = 0
        self.limits = LIMITS
        self.claimants: dict[str, str] = {}  # order id → visitor

    async def open(
        self,
        *,
        epoch: int = 1,
        blocked: Iterable[int] = (),
        booked: Mapping[int, str] | None = None,
        accessible: Sequence[int] = (),
        **changes: Any,
    ) -> tuple[int, int] | None:
        """Stage and swap, as a rebuild does: (holds kept, holds lost), or None where that came too late."""
        self.limits = msgspec.structs.replace(self.limits, **changes)
        statuses = bytearray(self.limits.seat_count)
        for seat in blocked:
            statuses[seat] = Status.blocked
        for seat in booked or {}:
            statuses[seat] = Status.booked
        tokens = {seat: f"b|{order_id}" for seat, order_id in (booked or {}).items()}
        server = await self.state.stage(self.event_id, epoch, statuses, tokens)
        swapped = await self.state.swap(self.event_id, epoch, server, self.limits, accessible=accessible)
        if swapped is not None:
            self.epoch = epoch
        return swapped

    async def call(
        self,
        *commands: Command | bytes,
        epoch: int | None = None,
        deadline_ms: int = FOREVER_MS,
        server: str | None = None,
    ) -> list[str]:
        """Every string that one call of the batch script answers, the position included."""
        encoded = [
            command if isinstance(command, bytes) else msgspec.msgpack.encode(command) for command in commands
        ]
        async with self.redis.connection() as connection:
            head = [self.epoch if epoch is None else epoch, deadline_ms, server or run_id(connection)]
            replies = await evaluate(connection, BATCH.text, BATCH.sha, self.keys, [*head, *encoded])
        return [reply.decode() for reply in replies]

    async def say(self, *commands: Command | bytes, **changes: Any) -> list[str]:
        """The script's answers to a batch, in order, what is mine after OK left out."""
        replies = await self.call(*commands, **changes)
        return [" ".join(reply.split(" ")[:2]) if _is_mine(reply) else reply for reply in replies[:-1]]

    async def one(self, command: Command | bytes, **changes: Any) -> str:
        """The word of a single command, with its fields unless they are what is mine."""
        reply = (await self.say(command, **changes))[0]
        return "OK" if reply.startswith("OK ") and _is_mine_word(command) else reply

    async def mine(self, visitor: str) -> Mine:
        return mine((await self.call(ReadMine(visitor)))[0].split(" ")[1:])

    async def hold(self, visitor: str, *seats: int) -> str:
        """Hold seats; the hold's id."""
        reply = (await self.call(Hold(visitor, "", seats)))[0]
        assert reply.startswith("OK "), reply
        return reply.split(" ")[1]

    async def begin(self, visitor: str, order_id: str, *seats: int) -> str:
        """Hold seats and make them undecided; the hold's id."""
        hold_id = await self.hold(visitor, *seats)
        assert await self.one(Begin(visitor, hold_id, order_id, "body", seats)) == "BEGUN"
        return hold_id

    async def position(self) -> Position:
        epoch, version, _ = (await self.call())[-1].split()
        return Position(int(epoch), int(version))

    async def statuses(self) -> bytes:
        return (await self.state.snapshot(self.event_id)).statuses

    async def status(self, seat: int) -> Status:
        return Status((await self.statuses())[seat])

    async def owners(self) -> dict[int, str]:
        return await self.state.owners(self.event_id)

    async def hash(self, key: str) -> dict[str, str]:
        flat = [word.decode() for word in await self.redis.command("HGETALL", key)]
        return {name: value for name, value in zip(flat[::2], flat[1::2], strict=True) if name != SENTINEL}

    async def scores(self, key: str) -> dict[str, int]:
        flat = [word.decode() for word in await self.redis.command("ZRANGE", key, 0, -1, "WITHSCORES")]
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return {name: int(float(score)) for name, score in pairs if name != SENTINEL}

    async def log(self) -> list[Change]:
        _, changes = await self.state.replay(self.event_id, Position(self.epoch, 0))
        assert changes is not None, "the log does not reach back to the start"
        return changes

    async def age(self, by_ms: int) -> None:
        """Make every hold and order older."""
        for key, place in ((self.keys.holds, 1), (self.keys.orders, 2)):
            for name, text in (await self.hash(key)).items():
                parts = text.split("|")
                parts[place] = str(int(parts[place]) - by_ms)
                await self.redis.command("HSET", key, name, "|".join(parts))
        for key in (self.keys.expiry, self.keys.pending):
            for name in await self.scores(key):
                await self.redis.command("ZINCRBY", key, -by_ms, name)

    def claims(self, owners: Mapping[int, str]) -> Counter[str]:
        """How many claimed seats each visitor has; `claimants` says whose each order is."""
        return Counter(self.claimants[token[2:]] for token in owners.values() if token[:2] == "c|")

    async def check(self) -> None:
        """Every record of the event agrees with every other."""
        statuses, owners = await self.statuses(), await self.owners()
        holds, orders = await self.hash(self.keys.holds), await self.hash(self.keys.orders)
        expected: dict[int, str] = {
            seat: token for seat, token in owners.items() if token[:2] in ("a|", "b|", "c|")
        }
        counts: dict[str, list[Any]] = {}
        deadlines = {}
        for hold_id, text in holds.items():
            visitor, deadline, _, seats = text.split("|")
            expected |= dict.fromkeys(numbers(seats), f"h|{hold_id}")
            counts[visitor] = [len(numbers(seats)), hold_id, ""]
            deadlines[hold_id] = int(deadline) + self.limits.grace_ms
        for order_id, text in orders.items():
            visitor, _, _, _, _, seats = text.split("|")
            assert visitor not in counts, f"{visitor} has a hold and an order being decided"
            expected |= dict.fromkeys(numbers(seats), f"p|{order_id}")
            counts[visitor] = [len(numbers(seats)), "", order_id]
        assert owners == expected
        for visitor, claimed in self.claims(owners).items():
            counts.setdefault(visitor, [0, "", ""])[0] += claimed
        assert await self.hash(self.keys.visitors) == {
            visitor: "|".join(map(str, fields)) for visitor, fields in counts.items()
        }
        assert await self.scores(self.keys.expiry) == deadlines
        assert (await self.scores(self.keys.pending)).keys() == orders.keys()
        shown = {
            "a": Status.blocked,
            "h": Status.held,
            "p": Status.held,
            "c": Status.held,
            "b": Status.booked,
        }
        for seat, status in enumerate(statuses):
            if seat in owners:
                assert status == shown[owners[seat][0]], seat
            else:
                assert status in (Status.available, Status.blocked), seat


def numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def replayed(start: bytes, changes: Sequence[Change]) -> bytes:
    """The map that somebody has who saw `start` and then these changes."""
    seats = bytearray(start)
    for change in changes:
        for seat, status in change.seats.items():
            seats[seat] = status
    return bytes(seats)


@asynccontextmanager
async def opened(servers: Embedded, event_id: int = 1, **changes: Any) -> AsyncIterator[World]:
    """An event that is open in an otherwise empty Redis, and its connections closed in the end."""
    servers.revive()  # a test before may have killed it
    redis = Redis(servers.redis_url, timeout_s=5.0)
    await redis.command("FLUSHALL")
    world = World(redis, event_id)
    try:
        await world.open(**changes)
        yield world
    finally:
        await redis.close()


def _is_mine(reply: str) -> bool:
    return reply.startswith("OK ") and reply.count(" ") == 6


def _is_mine_word(command: Command | bytes) -> bool:
    return not isinstance(command, bytes) and type(command).__name__ not in NUMBERED
