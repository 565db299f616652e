"""The test card's own memory, as a payment company has one. Nothing of Seatmap decides by it."""

import asyncpg

from seatmap.ledger.pool import connection


async def open_session(pool: asyncpg.Pool, session: str, payment_id: int, amount: int, currency: str) -> str:
    """Opens a session for a payment, once; answers the session that it has."""
    async with connection(pool) as conn:
        await conn.execute(
            """
            INSERT INTO test_card_sessions (session, payment_id, amount, currency) VALUES ($1, $2, $3, $4)
            ON CONFLICT (payment_id) DO NOTHING
            """,
            session,
            payment_id,
            amount,
            currency,
        )
        return str(
            await conn.fetchval("SELECT session FROM test_card_sessions WHERE payment_id = $1", payment_id)
        )


async def close_session(pool: asyncpg.Pool, session: str, state: str) -> tuple[bool, str, int, str]:
    """Gives an open session a state: (whether this did it, its state now, amount, currency).

    A session that does not exist is ("", 0).
    """
    async with connection(pool) as conn:
        did = await conn.fetchval(
            "UPDATE test_card_sessions SET state = $2 WHERE session = $1 AND state = 'open' RETURNING true",
            session,
            state,
        )
        row = await conn.fetchrow(
            "SELECT state, amount, currency FROM test_card_sessions WHERE session = $1", session
        )
    return (bool(did), *row) if row else (False, "", 0, "")


async def pay_back(pool: asyncpg.Pool, refund_id: int, session: str, amount: int) -> None:
    """Pays a refund out, once, however often it is asked for."""
    async with connection(pool) as conn:
        await conn.execute(
            """
            INSERT INTO test_card_refunds (refund_id, session, amount) VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING
            """,
            refund_id,
            session,
            amount,
        )
