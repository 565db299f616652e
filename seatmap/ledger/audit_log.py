"""The audit log: who did what, when; written in the transaction that did it, never changed."""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Raw, Struct

from seatmap.ledger.pool import connection


class Entry(Struct, frozen=True, kw_only=True):
    """One act. `user` is the account's name, or empty where the system acted; `details` are JSON."""

    id: int
    at: datetime
    user_id: int | None
    user: str
    verb: str
    object: str
    event_id: int | None
    order_id: UUID | None
    details: Raw


async def record(
    conn: Any,
    *,
    user_id: int | None,
    verb: str,
    object: str,  # noqa: A002 - the word of the log
    event_id: int | None = None,
    order_id: UUID | None = None,
    details: dict[str, Any],
) -> None:
    """Adds one act to the transaction that is open on `conn`. No user: the system itself acted."""
    await conn.execute(
        """
        INSERT INTO audit_log (user_id, verb, object, event_id, order_id, details)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        user_id,
        verb,
        object,
        event_id,
        order_id,
        msgspec.json.encode(details).decode(),
    )


async def entries(
    pool: asyncpg.Pool,
    *,
    event_id: int | None = None,
    order_id: UUID | None = None,
    user_id: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Entry]:
    """The latest acts first, of one event, order or account where given; `before` is the last id seen."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            """
            SELECT a.*, a.details::text AS said, coalesce(nullif(u.name, ''), u.email, '') AS user_name
            FROM audit_log a LEFT JOIN users u ON u.id = a.user_id
            WHERE ($1::bigint IS NULL OR a.event_id = $1) AND ($2::uuid IS NULL OR a.order_id = $2)
                AND ($3::bigint IS NULL OR a.user_id = $3) AND ($4::bigint IS NULL OR a.id < $4)
            ORDER BY a.id DESC LIMIT $5
            """,
            event_id,
            order_id,
            user_id,
            before,
            limit,
        )
    return [
        Entry(
            id=row["id"],
            at=row["at"],
            user_id=row["user_id"],
            user=row["user_name"],
            verb=row["verb"],
            object=row["object"],
            event_id=row["event_id"],
            # asyncpg's own UUID is a subclass that msgspec does not encode
            order_id=None if row["order_id"] is None else UUID(int=row["order_id"].int),
            details=Raw(row["said"].encode()),
        )
        for row in rows
    ]
