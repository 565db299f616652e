"""Accounts: who they are, what they may do, and how their passwords and sessions are checked."""

from typing import Any

import asyncpg
from msgspec import Struct

from seatmap.errors import Refused
from seatmap.ledger.pool import connection
from seatmap.model import Role, User


class Account(Struct, frozen=True, kw_only=True):
    """An account with what only sign-in may see. `password_hash` is empty where there is no password.

    A session holds as long as its `generation` is the account's.
    """

    user: User
    password_hash: str
    generation: int


_COLUMNS = "id, email, name, role, verified_at IS NOT NULL AS verified, password_hash, generation"


def _user(row: Any) -> User:
    return User(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        role=Role[row["role"]],
        verified=row["verified"],
    )


def _account(row: Any) -> Account | None:
    if row is None:
        return None
    return Account(user=_user(row), password_hash=row["password_hash"], generation=row["generation"])


async def by_id(pool: asyncpg.Pool, user_id: int) -> Account | None:
    """The account with this id."""
    async with connection(pool) as conn:
        return _account(
            await conn.fetchrow(f"SELECT {_COLUMNS} FROM users WHERE id = $1 AND deleted_at IS NULL", user_id)
        )


async def by_email(pool: asyncpg.Pool, email: str) -> Account | None:
    """The account with this address, in whatever case it is written."""
    async with connection(pool) as conn:
        return _account(
            await conn.fetchrow(
                f"SELECT {_COLUMNS} FROM users WHERE lower(email) = lower($1) AND deleted_at IS NULL", email
            )
        )


async def ensure(conn: Any, email: str) -> Account:
    """The account with this address, made without a password if there is none."""
    account = _account(
        await conn.fetchrow(
            f"""
            INSERT INTO users (email) VALUES ($1)
            ON CONFLICT (lower(email)) WHERE deleted_at IS NULL DO UPDATE SET email = users.email
            RETURNING {_COLUMNS}
            """,
            email,
        )
    )
    assert account is not None, "it was there or was made"
    return account


async def own(conn: Any, user_id: int, name: str, password_hash: str) -> Account:
    """Gives the account to whoever proved to own its address: with this password, and no session of before.

    An empty name leaves the name as it is.
    """
    account = _account(
        await conn.fetchrow(
            f"""
            UPDATE users SET password_hash = $3, name = coalesce(nullif($2, ''), name),
                verified_at = coalesce(verified_at, now()), generation = generation + 1
            WHERE id = $1 AND deleted_at IS NULL RETURNING {_COLUMNS}
            """,
            user_id,
            name,
            password_hash,
        )
    )
    if account is None:
        raise Refused("token_invalid")
    return account


async def rehash(pool: asyncpg.Pool, user_id: int, old: str, new: str) -> None:
    """Replaces a password's hash by a better one of the same password, unless the password changed meanwhile."""
    async with connection(pool) as conn:
        await conn.execute(
            "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2", user_id, old, new
        )


async def end_sessions(conn: Any, user_id: int) -> None:
    """Makes every session of the account invalid."""
    await conn.execute("UPDATE users SET generation = generation + 1 WHERE id = $1", user_id)


async def listed(pool: asyncpg.Pool, text: str, after: int, limit: int) -> list[User]:
    """Accounts whose name or address contains `text`, in the order of their ids, those after `after`."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            f"""
            SELECT {_COLUMNS} FROM users
            WHERE deleted_at IS NULL AND id > $2
                AND (strpos(lower(email), lower($1)) > 0 OR strpos(lower(name), lower($1)) > 0)
            ORDER BY id LIMIT $3
            """,
            text,
            after,
            limit,
        )
    return [_user(row) for row in rows]


async def set_role(conn: Any, user_id: int, role: Role) -> User:
    """Changes what an account may do, in the caller's transaction, and ends its sessions.

    Refuses with user_not_found, or last_admin if nobody would be left who could change it back.
    """
    # All admins are locked, in one order, so that two who demote each other cannot both succeed.
    admins = await conn.fetch(
        "SELECT id FROM users WHERE role = 'admin' AND verified_at IS NOT NULL AND deleted_at IS NULL"
        " ORDER BY id FOR UPDATE"
    )
    if role is not Role.admin and [row["id"] for row in admins] == [user_id]:
        raise Refused("last_admin")
    row = await conn.fetchrow(
        f"""
        UPDATE users SET role = $2, generation = generation + 1
        WHERE id = $1 AND deleted_at IS NULL RETURNING {_COLUMNS}
        """,
        user_id,
        role.name,
    )
    if row is None:
        raise Refused("user_not_found")
    return _user(row)
