"""What this installation is, apart from its events."""

import asyncpg

from seatmap.ledger.pool import connection


async def secret(pool: asyncpg.Pool) -> bytes:
    """The 32 bytes that sign visitor cookies where no secret is set; the same for every process, for ever."""
    async with connection(pool) as conn:
        return bytes(await conn.fetchval("SELECT cookie_secret FROM instance"))
