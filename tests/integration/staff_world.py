"""Accounts of every role, and API keys that act in their names: who calls in the tests of who may what."""

import asyncpg

from seatmap.config import Settings
from seatmap.ledger import api_keys
from seatmap.ledger.api_keys import ApiKey
from seatmap.ledger.pool import connection, open_pool
from seatmap.model import Role, User


async def make_user(pool: asyncpg.Pool, role: Role, email: str = "") -> User:
    """An account with a proved address."""
    address = email or f"{role.name}@example.org"
    async with connection(pool) as conn:
        user_id = await conn.fetchval(
            "INSERT INTO users (email, name, role, verified_at) VALUES ($1, $2, $3, now()) RETURNING id",
            address,
            role.name,
            role.name,
        )
    return User(id=user_id, email=address, name=role.name, role=role, verified=True)


async def make_key(settings: Settings, role: Role, email: str = "") -> tuple[str, ApiKey]:
    """A new account's key with every scope: it may do what the account may."""
    pool = await open_pool(settings, size=1)
    try:
        user = await make_user(pool, role, email)
        return await api_keys.create(pool, "a program", frozenset(api_keys.SCOPES), user)
    finally:
        await pool.close()


async def run(settings: Settings, statement: str, *arguments: object) -> list[asyncpg.Record]:
    """A statement on the site's own database."""
    pool = await open_pool(settings, size=1)
    try:
        async with connection(pool) as conn:
            return list(await conn.fetch(statement, *arguments))
    finally:
        await pool.close()


def bearer(secret: str) -> dict[str, str]:
    """The header that shows a key."""
    return {"authorization": f"Bearer {secret}"}
