"""Venue plans, as text that seatmap.plan writes and reads."""

from typing import Any

import asyncpg

from seatmap.errors import Refused
from seatmap.ledger.pool import connection


async def save(conn: Any, name: str, body: bytes, seat_count: int) -> int:
    """Keeps a plan; answers its id. `body` is UTF-8 text."""
    return int(
        await conn.fetchval(
            "INSERT INTO plans (name, body, seat_count) VALUES ($1, $2, $3) RETURNING id",
            name,
            body.decode(),
            seat_count,
        )
    )


async def body(pool: asyncpg.Pool, plan_id: int) -> bytes:
    """What was saved. Refuses with not_found."""
    async with connection(pool) as conn:
        text = await conn.fetchval("SELECT body FROM plans WHERE id = $1", plan_id)
    if text is None:
        raise Refused("not_found", f"There is no plan {plan_id}.")
    return str(text).encode()
