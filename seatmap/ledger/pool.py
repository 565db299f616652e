"""The pool of connections, and what its failures mean."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import perf_counter
from typing import Any

import asyncpg

from seatmap.breaker import Breaker
from seatmap.config import Settings
from seatmap.errors import Unavailable
from seatmap.tally import Histogram

LOCK_TIMEOUT_MS = 1000
IDLE_IN_TRANSACTION_MS = 2000
# Longer than statement_timeout, so that the server ends a slow statement and the client only a silent server.
CLIENT_SLACK_S = 1.0
ACQUIRE_S = 3.0

AWAY = (
    OSError,  # refused, reset, no such socket; TimeoutError too
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # the connection was closed under us
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InsufficientResourcesError,  # too many connections, disk full
    asyncpg.ReadOnlySQLTransactionError,  # a standby after a failover
    asyncpg.IdleInTransactionSessionTimeoutError,
)
_AWAY = "Orders and bookings are not available right now; asking again in a moment is safe."


class Pool(asyncpg.Pool):  # type: ignore[misc] # asyncpg has no types
    """Connections to Postgres. While `breaker.run` is running and finds it away, none is given out."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(
            url,
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            loop=None,
            connection_class=asyncpg.Connection,
            record_class=asyncpg.Record,
            **options,
        )
        self.breaker = Breaker("Postgres", _Prober(url))
        self.latency = Histogram()  # of each use of a connection

    def acquire(self, *, timeout: float | None = None) -> Any:
        """A connection, as asyncpg gives it. Raises Unavailable at once while Postgres is known to be away."""
        if self.breaker.is_open:
            raise Unavailable(_AWAY)
        return super().acquire(timeout=timeout)


class _Prober:
    """Asks Postgres for its clock, over a connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None

    async def ask(self) -> float:
        if self._connection is None:
            self._connection = await asyncpg.connect(
                self._url, server_settings={"application_name": "seatmap-breaker"}
            )
        return float(await self._connection.fetchval("SELECT extract(epoch FROM clock_timestamp())"))

    async def drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


@contextmanager
def translated() -> Iterator[None]:
    """Turns what Postgres or its absence raises into `Unavailable`; mistakes of ours pass unchanged."""
    try:
        yield
    except AWAY as error:
        if isinstance(error, ValueError):  # asyncpg's complaint about an argument is an InterfaceError too
            raise
        raise Unavailable(_AWAY) from error


async def open_pool(settings: Settings, *, size: int = 8, url: str = "") -> Pool:
    """A pool of at most `size` connections to `url` (default: `settings.database_url`).

    Raises `Unavailable` if Postgres does not answer. The caller closes the pool.
    """
    with translated():
        return await Pool(  # type: ignore[no-any-return]
            url or settings.database_url,
            init_size=1,
            # A floor would be restored ten times a second while Postgres is away, with a traceback each time.
            min_size=0,
            max_size=size,
            timeout=ACQUIRE_S,
            command_timeout=settings.ledger_timeout_ms / 1000 + CLIENT_SLACK_S,
            reset=_keep,
            server_settings={
                "application_name": "seatmap",
                "timezone": "UTC",
                "default_transaction_isolation": "read committed",
                "lock_timeout": str(LOCK_TIMEOUT_MS),
                "statement_timeout": str(settings.ledger_timeout_ms),
                "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
            },
        )


async def _keep(conn: Any) -> None:
    """Nothing: asyncpg's own reset costs a round trip per use, and the ledger changes no session state.

    asyncpg still rolls an open transaction back.
    """


@asynccontextmanager
async def connection(pool: Pool) -> AsyncIterator[Any]:
    """A connection of `pool`, its errors translated.

    The time limit also bounds giving the connection back: a Postgres that stopped in the middle of a
    statement would otherwise hold the caller for as long as it stays stopped.
    """
    with translated():
        async with pool.acquire(timeout=ACQUIRE_S) as conn:
            began = perf_counter()
            try:
                yield conn
            finally:
                pool.latency.observe(perf_counter() - began)
