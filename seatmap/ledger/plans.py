"""Venue plans, as text that seatmap.plan writes and reads."""

from typing import Any

import asyncpg
from msgspec import Struct

from seatmap.errors import Refused
from seatmap.ledger.pool import connection


class PlanSummary(Struct, frozen=True, kw_only=True):
    """A plan without its geometry."""

    id: int
    name: str
    seat_count: int


async def listing(pool: asyncpg.Pool, *, before: int | None = None, limit: int = 50) -> list[PlanSummary]:
    """The plans, the newest first; `before` is the last id seen."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            """
            SELECT id, name, seat_count FROM plans
            WHERE deleted_at IS NULL AND of_event IS NULL AND ($1::bigint IS NULL OR id < $1)
            ORDER BY id DESC LIMIT $2
            """,
            before,
            limit,
        )
    return [PlanSummary(**row) for row in rows]


async def save(conn: Any, name: str, body: bytes, seat_count: int, *, of_event: int | None = None) -> int:
    """Keeps a plan; answers its id. `body` is UTF-8 text. One that is of an event is nobody else's."""
    return int(
        await conn.fetchval(
            "INSERT INTO plans (name, body, seat_count, of_event) VALUES ($1, $2, $3, $4) RETURNING id",
            name,
            body.decode(),
            seat_count,
            of_event,
        )
    )


async def body(pool: asyncpg.Pool, plan_id: int, *, for_new: bool = False) -> bytes:
    """What was saved. Refuses with not_found; `for_new`, also where it was merged for one event alone."""
    async with connection(pool) as conn:
        text = await conn.fetchval(
            "SELECT body FROM plans WHERE id = $1 AND (NOT $2 OR of_event IS NULL)", plan_id, for_new
        )
    if text is None:
        raise Refused("not_found", f"There is no plan {plan_id}.")
    return str(text).encode()
