"""The Lua scripts: read from `lua/`, put together, called with the run id of the connection they go through."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from seatmap.connections import Argument, Redis, evaluate, run_id
from seatmap.keys import keys, staging

LUA = Path(__file__).parent / "lua"
RULES = (
    "hold",
    "release",
    "extend",
    "begin",
    "finish",
    "cancel",
    "expire",
    "mine",
    "repair",
    "settle",
    "take",
    "status",
    "block",
    "evict",
    "prolong",
    "sustain",
)


class Script(Struct, frozen=True):
    """A script's text and the hash by which the server knows it."""

    text: str
    sha: str


def _script(text: str) -> Script:
    return Script(text, hashlib.sha1(text.encode()).hexdigest())


def _read(name: str) -> str:
    return (LUA / f"{name}.lua").read_text()


CLOCK = _read("_clock")  # in front of each script that asks what time it is


def _batch() -> Script:
    """The clock and the shared part, each rule as a function of its command, the dispatcher."""
    rules = "".join(f"rules.{name} = function(command)\n{_read(name)}end\n" for name in RULES)
    return _script(CLOCK + _read("_lib") + rules + _read("batch"))


BATCH = _batch()
SNAPSHOT, UNDECIDED, SWAP = (_script(CLOCK + _read(name)) for name in ("snapshot", "undecided", "swap"))
REPLAY, BEHIND = map(_script, map(_read, ("replay", "behind")))


async def call(redis: Redis, script: Script, event_id: int, *args: Argument) -> tuple[Any, str]:
    """Run a script on an event's keys with the run id as its first argument: (reply, run id).

    Raises Unavailable: whether it ran is then unknown.
    """
    async with redis.connection() as connection:
        reached = run_id(connection)
        reply = await evaluate(connection, script.text, script.sha, keys(event_id), [reached, *args])
    return reply, reached


async def swap(
    redis: Redis,
    event_id: int,
    epoch: int,
    expected_run_id: str,
    claims: Mapping[str, int],
    accessible: Sequence[int],
    fields: dict[str, Argument],
) -> Any:
    """Put staged seats in place, on the server that they were staged on. See swap.lua for the reply."""
    async with redis.connection() as connection:
        if run_id(connection) != expected_run_id:
            return b"STALE"
        names = [*keys(event_id), *staging(event_id, epoch)]
        args: list[Argument] = [epoch, expected_run_id, msgspec.msgpack.encode(claims)]
        args.append(msgspec.msgpack.encode(accessible))
        for field, value in fields.items():
            args += [field, value]
        return await evaluate(connection, SWAP.text, SWAP.sha, names, args)
