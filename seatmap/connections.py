"""Connections to Redis or Valkey that know which server they reached, and that never retry by themselves.

A retry after a lost reply runs a command twice. A server that restarted may have other data: each
connection reads the run id when it is made, and every script call carries it (rules 3 and 21 of docs/rules.md).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.asyncio.connection import AbstractConnection, BlockingConnectionPool, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from seatmap.breaker import Breaker
from seatmap.errors import Unavailable
from seatmap.tally import Histogram

AWAY = "The seats cannot be changed right now; the store that decides is away. Try again in a moment."

Argument = bytes | str | int


class Redis:
    """One server (or primary). `timeout_s` bounds each call, connecting included.

    While `breaker.run` is running and finds the server away, calls are refused at once.
    """

    def __init__(self, url: str, *, timeout_s: float, connections: int = 4) -> None:
        self._url = url
        self._options: dict[str, Any] = {
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
            "retry_on_error": [],
            "socket_connect_timeout": timeout_s,
            "redis_connect_func": _identify,
        }
        self.breaker = Breaker("Redis", _Prober(self))
        self.latency = Histogram()  # of each use of a connection
        self._closed = False
        self._pool = BlockingConnectionPool.from_url(
            url, max_connections=connections, timeout=timeout_s, socket_timeout=timeout_s, **self._options
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AbstractConnection]:
        """A connection for one exchange. Any error leaves it closed, so that no late reply meets the next call."""
        if self.breaker.is_open or self._closed:
            raise Unavailable(AWAY)
        try:
            connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(AWAY) from error
        began = time.perf_counter()
        try:
            yield connection
        except ResponseError:
            raise
        except (RedisError, OSError, TimeoutError) as error:
            await connection.disconnect(nowait=True)
            raise Unavailable(AWAY) from error
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            self.latency.observe(time.perf_counter() - began)
            await asyncio.shield(self._put_back(connection))

    async def _put_back(self, connection: AbstractConnection) -> None:
        if self._closed:
            await connection.disconnect(nowait=True)
        await self._pool.release(connection)

    async def command(self, *words: Argument) -> Any:
        """One command's reply. Raises Unavailable: whether it was carried out is then unknown."""
        async with self.connection() as connection:
            await connection.send_command(*words)
            return await connection.read_response()

    async def dedicated(self) -> AbstractConnection:
        """A connected connection of the caller's own, without a read timeout, for a subscription."""
        pool = ConnectionPool.from_url(self._url, socket_timeout=None, **self._options)
        connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(AWAY) from error
        return connection

    async def close(self) -> None:
        """Close all connections, even if the caller is cancelled meanwhile; later uses raise Unavailable."""
        self._closed = True
        with suppress(RedisError, OSError):  # a server that does not see to its end of one is left alone
            await asyncio.shield(self._pool.disconnect())


class _Prober:
    """Asks Redis for its clock, over a connection of its own."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._connection: AbstractConnection | None = None

    async def ask(self) -> float:
        if self._connection is None:
            self._connection = await self._redis.dedicated()
        await self._connection.send_command("TIME")
        seconds, micros = await self._connection.read_response()
        return int(seconds) + int(micros) / 1e6

    async def drop(self) -> None:
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)
            self._connection = None


async def _identify(connection: AbstractConnection) -> None:
    """Greet the server and note its run id and clock; anything else than success leaves no open connection."""
    try:
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        info = (await connection.read_response()).decode()
        await connection.send_command("TIME")
        seconds, micros = await connection.read_response()
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    connection.run_id = fields["run_id"].strip()  # type: ignore[attr-defined]
    connection.clock_ms = int(seconds) * 1000 + int(micros) // 1000 - monotonic_ms()  # type: ignore[attr-defined]


def monotonic_ms() -> int:
    """This process's own clock; only differences mean something."""
    return time.monotonic_ns() // 1_000_000


def run_id(connection: AbstractConnection) -> str:
    """The run id of the server that this connection reached."""
    return connection.run_id  # type: ignore[attr-defined, no-any-return]


async def evaluate(
    connection: AbstractConnection, text: str, sha: str, keys: Sequence[str], args: Sequence[Argument]
) -> Any:
    """Run a script by its hash; a server that does not know it is given it, which cannot run it twice."""
    words: list[Argument] = [sha, len(keys), *keys, *args]
    await connection.send_command("EVALSHA", *words)
    try:
        return await connection.read_response()
    except NoScriptError:
        await connection.send_command("EVAL", text, *words[1:])
        return await connection.read_response()
