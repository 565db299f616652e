"""Reading and loading an event's state as a whole: snapshot, replay, undecided orders, a rebuild's new state."""

from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

from seatmap.booking.scripts import BEHIND, REPLAY, SNAPSHOT, UNDECIDED, call, swap
from seatmap.changes import decode
from seatmap.connections import Argument, Redis
from seatmap.errors import Recovering
from seatmap.keys import keys, staging
from seatmap.model import Change, Position, Snapshot

REPLAY_MAX = 1000
_CHUNK = 2000  # fields per HSET while staging: Redis is never busy for long
_RESTORING = "The seats of this event are being restored. Try again in a moment."


class Undecided(Struct, frozen=True):
    """An order between BEGIN and FINISH."""

    order_id: str
    visitor: str
    body: str


class Limits(Struct, frozen=True, kw_only=True):
    """What the rules of an event need to know; in ms and seats. Times are of the Unix epoch."""

    status: str
    status_version: int
    plan_version: int
    seat_count: int
    hold_ms: int
    extension_ms: int
    grace_ms: int
    seats_per_visitor: int
    on_sale_from_ms: int = 0
    on_sale_until_ms: int = 1 << 53
    accessible_until_ms: int = 0
    paused: bool = False


class State:
    """Every event's state in one Redis, beyond single commands."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def snapshot(self, event_id: int) -> Snapshot:
        """The whole map. Raises Recovering where there is none to trust."""
        reply, run_id = await call(self._redis, SNAPSHOT, event_id)
        if reply == b"RECOVERING":
            raise Recovering(_RESTORING)
        epoch, version, _, plan_version, statuses = reply
        return Snapshot(
            run_id=run_id,
            position=Position(int(epoch), int(version)),
            plan_version=int(plan_version),
            statuses=statuses,
        )

    async def replay(self, event_id: int, since: Position) -> tuple[str, list[Change] | None]:
        """(run id, changes after a position, oldest first); None where the log has no longer all of them."""
        reply, reached = await call(self._redis, REPLAY, event_id, since.epoch, since.version, REPLAY_MAX)
        if reply == b"RECOVERING":
            raise Recovering(_RESTORING)
        return reached, None if reply == b"RESET" else [decode(entry) for entry in reply]

    async def undecided(self, event_id: int, *, age_ms: int, limit: int = 100) -> list[Undecided]:
        """Orders that have been undecided for at least `age_ms`, oldest first."""
        reply, _ = await call(self._redis, UNDECIDED, event_id, age_ms, limit)
        if reply == b"RECOVERING":
            raise Recovering(_RESTORING)
        words = [word.decode() for word in reply]
        return [Undecided(*words[i : i + 3]) for i in range(0, len(words), 3)]

    async def backlog(self, event_id: int) -> tuple[int, int]:
        """(undecided orders, age of the oldest in ms), whatever state the event is in."""
        async with self._redis.connection() as connection:
            pending = keys(event_id).pending
            replies = []
            for words in (["ZCARD", pending], ["ZRANGE", pending, 0, 0, "WITHSCORES"], ["TIME"]):
                await connection.send_command(*words)
                replies.append(await connection.read_response())  # one at a time: an error leaves none unread
        count, oldest, (seconds, micros) = replies
        if int(count) < 2:  # the sentinel
            return 0, 0
        return int(count) - 1, max(0, int(seconds) * 1000 + int(micros) // 1000 - int(float(oldest[1])))

    async def owners(self, event_id: int) -> dict[int, str]:
        """Every taken seat's owner token. Not one moment in time: it is read in pieces while sales go on."""
        found: dict[int, str] = {}
        async for fields in self._scan(keys(event_id).owners):
            for seat, token in zip(fields[::2], fields[1::2], strict=True):
                if seat != b"-":
                    found[int(seat)] = token.decode()
        return found

    async def live_tokens(self, event_id: int) -> set[str]:
        """The owner tokens of all holds and undecided orders there are."""
        names = keys(event_id)
        holds: list[bytes] = await self._redis.command("HKEYS", names.holds)
        undecided: list[bytes] = await self._redis.command("HKEYS", names.orders)
        return {f"h|{name.decode()}" for name in holds} | {f"p|{name.decode()}" for name in undecided}

    async def visitors(self, event_id: int) -> set[str]:
        """Everybody who has anything: all who had it from the beginning to the end of this call, and some others."""
        found: set[str] = set()
        async for fields in self._scan(keys(event_id).visitors):
            found.update(name.decode() for name in fields[::2])
        return found

    async def _scan(self, key: str) -> AsyncIterator[list[bytes]]:
        cursor: bytes | int = 0
        while True:
            cursor, fields = await self._redis.command("HSCAN", key, cursor, "COUNT", 1000)
            yield fields
            if int(cursor) == 0:
                return

    async def mark_rebuilding(self, event_id: int) -> None:
        """From now on this event answers RECOVERING, until a swap."""
        await self._redis.command("HSET", keys(event_id).meta, "rebuilding", 1)

    async def mark_behind(self, event_id: int, epoch: int) -> bool:
        """The same, if the event is still at `epoch`; whether it was."""
        reply, _ = await call(self._redis, BEHIND, event_id, epoch)
        return bool(reply)

    async def stage(
        self, event_id: int, epoch: int, statuses: bytes | bytearray, owners: Mapping[int, str]
    ) -> str:
        """Load a rebuild's seats beside the live ones; the run id of the server that took all of them."""
        seats_key, owners_key = staging(event_id, epoch)
        async with self._redis.connection() as connection:
            run_id: str = connection.run_id  # type: ignore[attr-defined]
            flat: Sequence[Argument] = [word for pair in owners.items() for word in pair]
            commands: list[list[Argument]] = [["SET", seats_key, bytes(statuses)], ["DEL", owners_key]]
            commands += [
                ["HSET", owners_key, *flat[i : i + 2 * _CHUNK]] for i in range(0, len(flat), 2 * _CHUNK)
            ]
            for words in commands:
                await connection.send_command(*words)
                await connection.read_response()
            for key in (seats_key, owners_key):  # a rebuild that dies leaves nothing behind for ever
                await connection.send_command("EXPIRE", key, 600)
                await connection.read_response()
        return run_id

    async def swap(
        self,
        event_id: int,
        epoch: int,
        run_id: str,
        limits: Limits,
        claims: Mapping[str, int] = MappingProxyType({}),
        accessible: Sequence[int] = (),
    ) -> tuple[int, int] | None:
        """Put the staged state in place: (holds kept, holds lost); None where a later epoch was there first.

        `claims` says how many claimed seats each visitor has; `accessible` seats are held back until
        `limits` says.
        """
        fields: dict[str, Argument] = {
            "status": limits.status,
            "status_version": limits.status_version,
            "plan_version": limits.plan_version,
            "n": limits.seat_count,
            "ttl": limits.hold_ms,
            "extension": limits.extension_ms,
            "grace": limits.grace_ms,
            "limit": limits.seats_per_visitor,
            "from": limits.on_sale_from_ms,
            "until": limits.on_sale_until_ms,
            "paused": int(limits.paused),
            "accessible_until": limits.accessible_until_ms,
        }
        reply = await swap(self._redis, event_id, epoch, run_id, dict(claims), accessible, fields)
        if reply == b"STALE":
            return None
        kept, lost = reply
        return int(kept), int(lost)
