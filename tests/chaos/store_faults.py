"""What the nemesis can do to Redis and to Postgres."""

import asyncio
import os
import shutil
import signal
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.chaos.faults import Hands, Kind
from tests.chaos.stage import Stage, ready

COMMAND_SECONDS = 3.0
CLOCK_SLACK_SECONDS = 10.0
AOF = "appendonlydir"

# ---- Redis ----


async def redis_kill(hands: Hands) -> str:
    await _redis_again(hands.stage, signal.SIGKILL)
    return "redis"


async def redis_restart(hands: Hands) -> str:
    await _redis_again(hands.stage, signal.SIGTERM)
    return "redis"


async def redis_away(hands: Hands) -> str:
    await _end(hands.stage.valkey, signal.SIGKILL)
    await hands.nap(1.0, 4.0)
    await _begin(hands.stage.valkey)
    return "redis"


async def redis_wipe(hands: Hands) -> str:
    await _end(hands.stage.valkey, signal.SIGKILL)
    shutil.rmtree(hands.stage.places.valkey / AOF, ignore_errors=True)
    await _begin(hands.stage.valkey)
    return "redis"


async def redis_rollback(hands: Hands) -> str:
    """As after a failover to a replica that lagged: an older copy of its files is in their place."""
    live = hands.stage.places.valkey / AOF
    copy = hands.stage.places.data / "older"
    shutil.rmtree(copy, ignore_errors=True)
    await (await asyncio.create_subprocess_exec("cp", "-a", str(live), str(copy))).wait()
    await hands.nap(1.0, 3.0)
    await _end(hands.stage.valkey, signal.SIGKILL)
    shutil.rmtree(live, ignore_errors=True)
    copy.rename(live)
    await _begin(hands.stage.valkey)
    return "redis"


async def redis_stop(hands: Hands) -> str:
    process = hands.stage.valkey.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        await hands.nap(0.3, 3.0)
    finally:
        process.send_signal(signal.SIGCONT)
    return "redis"


async def redis_flushall(hands: Hands) -> str:
    return await _say(hands, "FLUSHALL")


async def redis_script_flush(hands: Hands) -> str:
    for _ in range(5):
        await _say(hands, "SCRIPT", "FLUSH")
        await asyncio.sleep(0.05)
    return "redis"


async def redis_busy(hands: Hands) -> str:
    """A script that computes for a while, as a slow command of somebody else's would."""
    turns = hands.chance.randrange(20_000_000, 120_000_000)
    return await _say(hands, "EVAL", f"for i = 1, {turns} do end", 0)


async def redis_pause(hands: Hands) -> str:
    await _say(hands, "CLIENT", "PAUSE", hands.chance.randrange(200, 1800), "ALL")
    await hands.nap(1.0, 1.8)
    return "redis"


async def redis_cuts_feeds(hands: Hands) -> str:
    return await _say(hands, "CLIENT", "KILL", "TYPE", "pubsub")


async def redis_cuts_all(hands: Hands) -> str:
    return await _say(hands, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


async def redis_full(hands: Hands) -> str:
    return await _for_a_while(hands, "maxmemory", "1", "0")


async def redis_without_replicas(hands: Hands) -> str:
    return await _for_a_while(hands, "min-replicas-to-write", "1", "0")


async def clock_forward(hands: Hands) -> str:
    return await _push_clock(hands, hands.chance.choice((1.0, 3.0, 60.0, 3600.0)))


async def clock_back(hands: Hands) -> str:
    return await _push_clock(hands, -hands.chance.choice((1.0, 3.0, 60.0, 3600.0)))


async def _push_clock(hands: Hands, seconds: float) -> str:
    _set_clock(hands.stage, seconds)
    try:
        told = await _ask(hands, "TIME")
        if told is not None and abs(int(told[0]) - time.time() - seconds) > CLOCK_SLACK_SECONDS:
            raise RuntimeError(
                f"Redis' clock was pushed by {seconds:g} s and says {told[0]}: the shim does not work"
            )
        await hands.nap(0.5, 2.0)
    finally:
        _set_clock(hands.stage, 0)
    return f"redis {seconds:+g} s"


def _set_clock(stage: Stage, seconds: float) -> None:
    with stage.clock.open("r+b") as file:  # in place: it is mapped
        file.write(struct.pack("<q", int(seconds * 1_000_000)))


async def _for_a_while(hands: Hands, name: str, bad: str, good: str) -> str:
    await _say(hands, "CONFIG", "SET", name, bad)
    try:
        await hands.nap(0.4, 1.5)
    finally:
        await _say(hands, "CONFIG", "SET", name, good)
    return "redis"


async def _say(hands: Hands, *words: Any) -> str:
    await _ask(hands, *words)
    return "redis"


async def _ask(hands: Hands, *words: Any) -> Any:
    """One command past every proxy, by a connection of its own; None where no answer came."""
    path = str(hands.stage.places.valkey_socket)
    client = Redis(
        unix_socket_path=path, socket_timeout=COMMAND_SECONDS, socket_connect_timeout=COMMAND_SECONDS
    )
    try:
        with suppress(RedisError, OSError):
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]
        return None
    finally:
        await client.aclose()


async def _redis_again(stage: Stage, sign: signal.Signals) -> None:
    await _end(stage.valkey, sign)
    await _begin(stage.valkey)


# ---- Postgres ----


async def postgres_kill(hands: Hands) -> str:
    return await _postgres_again(hands, signal.SIGKILL, 0)


async def postgres_immediate(hands: Hands) -> str:
    return await _postgres_again(hands, signal.SIGQUIT, 0)


async def postgres_restart(hands: Hands) -> str:
    return await _postgres_again(hands, signal.SIGINT, 0)


async def postgres_away(hands: Hands) -> str:
    return await _postgres_again(hands, signal.SIGINT, hands.chance.uniform(2.0, 5.0))


async def postgres_backend_kill(hands: Hands) -> str:
    """Postgres restarts all of its processes when one of them was killed."""
    pid = await _some_backend(hands)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    await _answers(hands.stage)
    return f"backend {pid}"


async def postgres_backend_stop(hands: Hands) -> str:
    pid = await _some_backend(hands)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    try:
        await hands.nap(0.5, 2.5)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    return f"backend {pid}"


async def postgres_stop(hands: Hands) -> str:
    process = hands.stage.postgres.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)  # the postmaster: who is connected goes on, nobody new gets in
    try:
        await hands.nap(0.5, 2.0)
    finally:
        process.send_signal(signal.SIGCONT)
    return "postmaster"


async def postgres_cuts_all(hands: Hands) -> str:
    async with _connected(hands.stage) as conn:
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    return "postgres"


async def event_row_held(hands: Hands) -> str:
    """Somebody's session has the event's row locked and does nothing."""
    if not hands.shows:
        return "nothing"
    event = hands.chance.choice(hands.shows)
    async with _connected(hands.stage) as conn, conn.transaction():
        await conn.execute("SET LOCAL lock_timeout = '1s'")
        with suppress(asyncpg.PostgresError):
            await conn.fetchval("SELECT id FROM events WHERE id = $1 FOR UPDATE", event)
            await hands.nap(0.5, 2.5)
    return f"event {event}"


async def commits_slow(hands: Hands) -> str:
    return await _configured(hands, {"commit_delay": "100000", "commit_siblings": "0"})


async def postgres_read_only(hands: Hands) -> str:
    return await _configured(hands, {"default_transaction_read_only": "on"})


async def _configured(hands: Hands, settings: dict[str, str]) -> str:
    async with _connected(hands.stage) as conn:
        try:
            for name, value in settings.items():
                await conn.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            await conn.execute("SELECT pg_reload_conf()")
            await hands.nap(0.5, 2.0)
        finally:
            for name in settings:
                await conn.execute(f"ALTER SYSTEM RESET {name}")
            await conn.execute("SELECT pg_reload_conf()")
    return "postgres"


@asynccontextmanager
async def _connected(stage: Stage) -> AsyncIterator[Any]:
    conn = await asyncpg.connect(
        stage.places.database_url, timeout=COMMAND_SECONDS, command_timeout=COMMAND_SECONDS
    )
    try:
        yield conn
    finally:
        conn.terminate()


async def _some_backend(hands: Hands) -> int:
    """One that works for Seatmap; such as is at work rather than idle."""
    async with _connected(hands.stage) as conn:
        for _ in range(20):
            rows = await conn.fetch(
                "SELECT pid, state = 'active' AS busy FROM pg_stat_activity WHERE application_name = 'seatmap'"
            )
            busy = [row["pid"] for row in rows if row["busy"]]
            if busy:
                return int(hands.chance.choice(busy))
            await asyncio.sleep(0.01)
        return int(hands.chance.choice([row["pid"] for row in rows]))


async def _answers(stage: Stage) -> None:
    async with asyncio.timeout(30):
        while True:
            await asyncio.sleep(0.05)
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                async with _connected(stage) as conn:
                    await conn.fetchval("SELECT 1")
                    return


async def _postgres_again(hands: Hands, sign: signal.Signals, away_s: float) -> str:
    await _end(hands.stage.postgres, sign)
    await asyncio.sleep(away_s)
    await _begin(hands.stage.postgres)
    return "postgres"


# ---- both ----


async def _end(store: Any, sign: signal.Signals) -> None:
    store.process.send_signal(sign)
    async with asyncio.timeout(30):
        while store.process.poll() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _begin(store: Any) -> None:
    store.spawn()  # in the main thread, or the kernel would end it with the thread
    await ready(store)


def _kinds(touches: str, *acts: Any, loses: bool = False, clock: bool = False) -> list[Kind]:
    return [Kind(act.__name__.replace("_", " "), act, frozenset({touches}), loses, clock) for act in acts]


STORE_KINDS = [
    *_kinds("redis", redis_kill, redis_away, redis_wipe, redis_rollback, redis_flushall, loses=True),
    *_kinds("redis", redis_restart, redis_stop, redis_script_flush, redis_busy, redis_pause),
    *_kinds("redis", redis_cuts_feeds, redis_cuts_all, redis_full, redis_without_replicas),
    *_kinds("postgres", postgres_kill, postgres_immediate, postgres_restart, postgres_away),
    *_kinds("postgres", postgres_backend_kill, postgres_backend_stop, postgres_stop, postgres_cuts_all),
    *_kinds("postgres", event_row_held, commits_slow, postgres_read_only),
]
CLOCK_KINDS = _kinds("redis", clock_forward, clock_back, clock=True)
