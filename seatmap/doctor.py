"""`seatmap doctor`: looks at this machine and its servers, and says what to mend."""

import asyncio
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

import asyncpg
import msgspec
import redis

from seatmap import config, migrate, open_files
from seatmap.config import Settings
from seatmap.embedded.locate import Places
from seatmap.errors import SeatmapError

REDIS_MIN = (7, 0)
POSTGRES_MIN = 15
CLOCK_SECONDS = 1.0

Level = Literal["ok", "warn", "bad"]


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at. `sentence` says what is so and, unless it is ok, what to do about it."""

    name: str
    level: Level
    sentence: str


def check(settings: Settings) -> list[Finding]:
    """Look at everything. What cannot be reached is a finding, never an exception."""
    findings = [*_settings(), _open_files()]
    findings += _guarded("Redis", "REDIS_URL", lambda: _redis(settings))
    findings += _guarded("Postgres", "DATABASE_URL", lambda: asyncio.run(_postgres(settings)))
    findings += _guarded("Migrations", "DATABASE_URL", lambda: [_migrations(settings.database_url)])
    return findings


def _guarded(name: str, setting: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except SeatmapError as error:
        return [Finding(name, "bad", error.detail)]
    except (OSError, ValueError, redis.RedisError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return [Finding(name, "bad", f"Cannot be used: {error or type(error).__name__}. Check {setting}.")]


def _settings() -> Iterator[Finding]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            config.load()
        except SeatmapError as error:
            yield Finding("Settings", "bad", error.detail)
            return
    for warning in caught:
        yield Finding("Settings", "warn", f"{warning.message}.")
    if not caught:
        yield Finding("Settings", "ok", "All are valid.")


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= open_files.ENOUGH:
        return Finding("Open files", "ok", f"A process may open {_count(soft)} files.")
    if hard == resource.RLIM_INFINITY or hard >= open_files.ENOUGH:
        advice = "`seatmap up` and `seatmap web` raise it by themselves."
        return Finding(
            "Open files", "ok", f"A process may open {soft} files, {_count(hard)} if asked: {advice}"
        )
    advice = "raise it (LimitNOFILE of a systemd unit, --ulimit of a container): each screen is one."
    return Finding("Open files", "bad", f"A process may open at most {hard} files: {advice}")


def _count(limit: int) -> str:
    return "any number of" if limit == resource.RLIM_INFINITY else str(limit)


def _redis(settings: Settings) -> list[Finding]:
    with redis.Redis.from_url(settings.redis_url, decode_responses=True, socket_timeout=3) as client:
        info: dict[str, Any] = client.info("server")
        policy = client.info("memory").get("maxmemory_policy", "unknown")
        appends = "yes" if client.info("persistence").get("aof_enabled") else "no"
        forgets = "it may throw holds away when memory is short"
        return [
            _redis_version(info),
            _redis_setting("maxmemory-policy", policy, "noeviction", forgets),
            _redis_setting("appendonly", appends, "yes", "its holds are lost when it restarts"),
            _redis_clock(client),
            _user("Redis", settings.redis_url == _own(settings).redis_url, _redis_allows(client)),
        ]


def _redis_allows(client: redis.Redis) -> str:
    """What the user may do and Seatmap does not need; empty if nothing is known of that kind."""
    for asked in ("CONFIG GET maxmemory-policy", "ACL WHOAMI"):
        try:
            client.execute_command(*asked.split())  # type: ignore[no-untyped-call]
        except redis.exceptions.NoPermissionError:
            continue
        return f"change its configuration (it may say {asked.split()[0]})"
    return ""


def _own(settings: Settings) -> Places:
    return Places.of(settings.data)


def _user(store: str, embedded: bool, may: str) -> Finding:
    """`may`: what its user may do beyond what is needed, in words."""
    name = f"{store} user"
    if embedded:
        return Finding(name, "ok", "Nobody but this system user reaches the embedded server.")
    if may:
        sentence = f"Seatmap's may {may}: give it one that may not, as docs/operations.md says."
        return Finding(name, "warn", sentence)
    return Finding(name, "ok", "It may do what is needed.")


def _redis_version(info: dict[str, Any]) -> Finding:
    if valkey := info.get("valkey_version"):
        return Finding("Redis", "ok", f"Valkey {valkey}.")
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < REDIS_MIN:
        return Finding("Redis", "bad", f"Redis {version} is too old: use Redis 7.0 or newer, or Valkey.")
    return Finding("Redis", "ok", f"Redis {version}.")


def _redis_setting(name: str, value: str, wanted: str, otherwise: str) -> Finding:
    title = f"Redis {name}"
    if value == wanted:
        return Finding(title, "ok", f"It is {wanted}.")
    return Finding(
        title, "bad", f"It is {value}, so {otherwise}: set `{name} {wanted}` in its configuration."
    )


def _redis_clock(client: redis.Redis) -> Finding:
    before = time.time()
    seconds, micros = client.time()
    return _clock("Redis clock", seconds + micros / 1e6, before)


async def _postgres(settings: Settings) -> list[Finding]:
    connection = await asyncpg.connect(settings.database_url, timeout=3)
    try:
        number = int(await connection.fetchval("SHOW server_version_num"))
        names = ("fsync", "synchronous_commit", "full_page_writes")
        values = [(name, await connection.fetchval(f"SHOW {name}")) for name in names]
        before = time.time()
        theirs = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
        return [
            _postgres_version(number),
            *(_postgres_setting(name, value) for name, value in values),
            _clock("Postgres clock", theirs, before),
            _user("Postgres", _is_own_database(settings), await connection.fetchval(_POSTGRES_ALLOWS)),
        ]
    finally:
        await connection.close(timeout=3)


# What the user may do and Seatmap does not need, in words; empty if nothing.
_POSTGRES_ALLOWS = """
    SELECT CASE
        WHEN rolsuper THEN 'do everything, as a superuser'
        WHEN rolcreaterole OR rolcreatedb THEN 'make users or databases'
        WHEN EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace
            AND pg_has_role(relowner, 'USAGE')) THEN 'change the schema, as its owner'
        WHEN has_schema_privilege('public', 'CREATE') THEN 'make tables'
        WHEN to_regclass('audit_log') IS NOT NULL AND has_table_privilege('audit_log', 'UPDATE, DELETE')
            THEN 'rewrite the log of acts'
        ELSE '' END
    FROM pg_roles WHERE rolname = current_user
"""


def _is_own_database(settings: Settings) -> bool:
    """Whether it is on the embedded server of the data folder, whatever its name."""
    return urlsplit(settings.database_url).query == urlsplit(_own(settings).database_url).query


def _postgres_version(number: int) -> Finding:
    version = f"{number // 10000}.{number % 10000}"
    if number // 10000 < POSTGRES_MIN:
        return Finding("Postgres", "bad", f"Postgres {version} is too old: use {POSTGRES_MIN} or newer.")
    return Finding("Postgres", "ok", f"Postgres {version}.")


def _postgres_setting(name: str, value: str) -> Finding:
    # remote_write, remote_apply and local wait for less or more than `on`, but not for nothing
    if value == "off":
        sentence = f"It is off, so a crash can lose bookings: set `{name} = on` in postgresql.conf."
        return Finding(f"Postgres {name}", "bad", sentence)
    return Finding(f"Postgres {name}", "ok", f"It is {value}.")


def _clock(name: str, theirs: float, before: float) -> Finding:
    """`theirs` was read between `before` and now, so only what lies outside of that is a difference."""
    after = time.time()
    apart = max(before - theirs, theirs - after, 0.0)
    if apart > CLOCK_SECONDS:
        sentence = f"It and this machine's are {apart:.1f} s apart: set both by NTP."
        return Finding(name, "warn", sentence)
    return Finding(name, "ok", "It agrees with this machine's.")


def _migrations(url: str) -> Finding:
    missing = migrate.pending(url)
    if missing:
        sentence = f"Not applied: {', '.join(missing)}. Run `seatmap migrate`."
        return Finding("Migrations", "bad", sentence)
    return Finding("Migrations", "ok", "All are applied.")
