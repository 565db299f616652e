"""The pool of connections, and what its failures mean."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

import asyncpg

from seatmap.config import Settings
from seatmap.errors import Unavailable

Pool: TypeAlias = asyncpg.Pool  # for the signatures of those who only hand it on

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


@contextmanager
def translated() -> Iterator[None]:
    """Turns what Postgres or its absence raises into `Unavailable`; mistakes of ours pass unchanged."""
    try:
        yield
    except AWAY as error:
        if isinstance(error, ValueError):  # asyncpg's complaint about an argument is an InterfaceError too
            raise
        raise Unavailable(
            "Orders and bookings are not available right now; asking again in a moment is safe."
        ) from error


async def open_pool(settings: Settings, *, size: int = 8, url: str = "") -> asyncpg.Pool:
    """A pool of at most `size` connections to `url` (default: `settings.database_url`).

    Raises `Unavailable` if Postgres does not answer. The caller closes the pool.
    """
    with translated():
        return await asyncpg.create_pool(
            url or settings.database_url,
            min_size=1,
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
async def connection(pool: asyncpg.Pool) -> AsyncIterator[Any]:
    """A connection of `pool`, its errors translated.

    The time limit also bounds giving the connection back: a Postgres that stopped in the middle of a
    statement would otherwise hold the caller for as long as it stays stopped.
    """
    with translated():
        async with pool.acquire(timeout=ACQUIRE_S) as conn:
            yield conn
