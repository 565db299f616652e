"""Whose orders are whose, beyond the browser that made them: an account has those of its verified address."""

from typing import Any
from uuid import UUID

import asyncpg

from seatmap.ledger.pool import connection

# Whether an order is the account's, $2: also a guest's that was made since `claim` was last called.
OF_ACCOUNT = """
    (user_id = $2 OR user_id IS NULL AND lower(email) = (
        SELECT lower(u.email) FROM users u WHERE u.id = $2 AND u.verified_at IS NOT NULL))
"""


async def claim(conn: Any, user_id: int, email: str) -> int:
    """Gives the account all guests' orders with its verified address; answers how many there were."""
    done: str = await conn.execute(
        "UPDATE orders SET user_id = $1 WHERE user_id IS NULL AND lower(email) = lower($2)", user_id, email
    )
    return int(done.removeprefix("UPDATE "))


async def buyer(pool: asyncpg.Pool, order_id: UUID, user_id: int) -> str | None:
    """The visitor who made an order of the account; None if the order is not the account's."""
    async with connection(pool) as conn:
        visitor = await conn.fetchval(
            f"SELECT visitor FROM orders WHERE id = $1 AND {OF_ACCOUNT} AND deleted_at IS NULL",
            order_id,
            user_id,
        )
    return None if visitor is None else str(visitor)
