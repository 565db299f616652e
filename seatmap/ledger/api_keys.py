"""API keys: what programs show instead of signing in."""

import hashlib
import secrets
from datetime import datetime

import asyncpg
from msgspec import Struct

from seatmap.errors import Refused
from seatmap.ledger import audit_log
from seatmap.ledger.pool import connection
from seatmap.model import Role, User

PREFIX = "sk_"
SCOPES = {"read": Role.viewer, "sell": Role.box_office, "admin": Role.admin}


class ApiKey(Struct, frozen=True, kw_only=True):
    """A key without its secret."""

    id: int
    name: str
    scopes: tuple[str, ...]
    created_by: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


_SELECT = """
    SELECT k.id, k.name, k.scopes, u.email AS created_by, k.created_at, k.last_used_at, k.revoked_at
    FROM api_keys k JOIN users u ON u.id = k.created_by
"""


async def create(pool: asyncpg.Pool, name: str, scopes: frozenset[str], by: User) -> tuple[str, ApiKey]:
    """A new key: its secret, which is not kept, and what is."""
    secret = PREFIX + secrets.token_urlsafe(32)
    async with connection(pool) as conn, conn.transaction():
        key_id = await conn.fetchval(
            "INSERT INTO api_keys (hash, name, scopes, created_by) VALUES ($1, $2, $3, $4) RETURNING id",
            _hash(secret),
            name,
            sorted(scopes),
            by.id,
        )
        await audit_log.record(
            conn,
            user_id=by.id,
            verb="create",
            object="api_key",
            details={"id": key_id, "name": name, "scopes": sorted(scopes)},
        )
        row = await conn.fetchrow(f"{_SELECT} WHERE k.id = $1", key_id)
    return secret, _key(row)


async def listed(pool: asyncpg.Pool) -> list[ApiKey]:
    """All keys, the newest first, revoked ones included."""
    async with connection(pool) as conn:
        return [_key(row) for row in await conn.fetch(f"{_SELECT} ORDER BY k.id DESC")]


async def revoke(pool: asyncpg.Pool, key_id: int, by: User) -> None:
    """Ends a key; repeating it changes nothing. Refuses with not_found."""
    async with connection(pool) as conn, conn.transaction():
        name = await conn.fetchval("SELECT name FROM api_keys WHERE id = $1", key_id)
        if name is None:
            raise Refused("not_found", "There is no API key with this number.")
        done = await conn.execute(
            "UPDATE api_keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL", key_id
        )
        if done == "UPDATE 1":
            await audit_log.record(
                conn, user_id=by.id, verb="revoke", object="api_key", details={"id": key_id, "name": name}
            )


async def user_of(pool: asyncpg.Pool, secret: str) -> tuple[User, bool] | None:
    """In whose name a key acts, with the lesser of its role and theirs, and whether it only reads.

    None for a key that is none.
    """
    async with connection(pool) as conn:
        row = await conn.fetchrow(
            """
            SELECT k.id AS key_id, k.scopes, u.id, u.email, u.name, u.role, u.verified_at IS NOT NULL AS verified,
                coalesce(k.last_used_at < now() - interval '1 minute', true) AS rested
            FROM api_keys k JOIN users u ON u.id = k.created_by
            WHERE k.hash = $1 AND k.revoked_at IS NULL AND u.deleted_at IS NULL
            """,
            _hash(secret),
        )
        if row is None:
            return None
        if row["rested"]:
            await conn.execute("UPDATE api_keys SET last_used_at = now() WHERE id = $1", row["key_id"])
    granted = max(SCOPES[scope] for scope in row["scopes"])
    user = User(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        role=min(granted, Role[row["role"]]),
        verified=row["verified"],
    )
    return user, granted == SCOPES["read"]


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _key(row: asyncpg.Record) -> ApiKey:
    return ApiKey(**{**row, "scopes": tuple(row["scopes"])})
