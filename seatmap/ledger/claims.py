"""Whose orders are whose, beyond the browser that made them: an account has those of its verified address."""

from typing import Any
from uuid import UUID

import asyncpg

from seatmap.ledger.pool import connection


async def claim(conn: Any, user_id: int, email: str) -> int:
    """Gives the account all guests' orders with its verified address; answers how many there were."""
    claimed = await conn.fetch(
        "UPDATE orders SET user_id = $1 WHERE user_id IS NULL AND lower(email) = lower($2) RETURNING id",
        user_id,
        email,
    )
    await conn.execute(
        "UPDATE bookings SET user_id = $1 WHERE order_id = ANY ($2::uuid[])",
        user_id,
        [row["id"] for row in claimed],
    )
    return len(claimed)


async def buyer(pool: asyncpg.Pool, order_id: UUID, user_id: int) -> str | None:
    """The visitor who made an order of the account; None if the order is not the account's."""
    async with connection(pool) as conn:
        visitor = await conn.fetchval(
            "SELECT visitor FROM orders WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL",
            order_id,
            user_id,
        )
    return None if visitor is None else str(visitor)
