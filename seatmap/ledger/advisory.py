"""Advisory locks of Postgres, which end with the connection that took them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from seatmap.ledger.pool import ACQUIRE_S, AWAY, translated


@asynccontextmanager
async def locked(pool: asyncpg.Pool, key: int, *, wait: bool) -> AsyncIterator[bool]:
    """Whether the lock is the block's; with `wait` it always is. Takes a connection of its own.

    Raises Unavailable for what happens to that connection; an error of the block is the block's.
    """
    with translated():
        conn = await pool.acquire(timeout=ACQUIRE_S)
    try:
        with translated():
            lock = "SELECT pg_advisory_lock($1)" if wait else "SELECT pg_try_advisory_lock($1)"
            mine = await conn.fetchval(lock, key) is not False
        try:
            yield mine
        finally:
            if mine:
                try:
                    await conn.fetchval("SELECT pg_advisory_unlock($1)", key)
                except AWAY:
                    with suppress(asyncpg.InterfaceError):  # it has ended already
                        conn.terminate()
    finally:
        with translated():
            await pool.release(conn, timeout=ACQUIRE_S)
