"""The seats of an event, as Postgres knows them: index, label, category, for sale at all or not."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import asyncpg
from msgspec import Struct

from seatmap.ledger.pool import connection
from seatmap.model import Seat

CHUNK = 5000
_COLUMNS = ("event_id", "index", "section", "row", "number", "label", "x", "y", "category_id")

Progress = Callable[[int, int], Awaitable[None]]


class SeatTable(Struct, frozen=True):
    """What is told about seats; each tuple is in index order. `prices` are in minor units."""

    labels: tuple[str, ...]
    categories: tuple[str, ...]
    prices: tuple[int, ...]
    blocked: frozenset[int]


async def categories(conn: Any, event_id: int) -> dict[str, int]:
    """Category name → id of an event."""
    rows = await conn.fetch(
        "SELECT name, id FROM categories WHERE event_id = $1 AND deleted_at IS NULL", event_id
    )
    return {row["name"]: row["id"] for row in rows}


async def generate(
    conn: Any,
    event_id: int,
    seats: Sequence[Seat],
    categories: Mapping[str, int],
    progress: Progress | None = None,
) -> None:
    """Writes the event's seats, in chunks that are each committed, unless the caller has a transaction open.

    Goes on where an earlier run stopped, and several may run at once: what is there is always the seats below
    some index, so a chunk that collides was written by another and the next one starts after it. `progress`
    is told (done, total). Raises KeyError for a seat whose category the event does not have.
    """
    missing = {seat.category for seat in seats} - set(categories)
    if missing:
        raise KeyError(f"event {event_id} has no price for {', '.join(sorted(map(repr, missing)))}")
    while True:
        start = await conn.fetchval(
            "SELECT coalesce(max(index) + 1, 0) FROM seats WHERE event_id = $1", event_id
        )
        if progress is not None:
            await progress(min(start, len(seats)), len(seats))
        if start >= len(seats):
            return
        records = [
            (event_id, index, s.section, s.row, s.number, s.label, s.x, s.y, categories[s.category])
            for index, s in enumerate(seats[start : start + CHUNK], start)
        ]
        try:
            async with conn.transaction():
                await conn.copy_records_to_table("seats", records=records, columns=_COLUMNS)
        except asyncpg.UniqueViolationError:
            continue


async def seat_table(pool: asyncpg.Pool, event_id: int) -> SeatTable:
    """All seats of an event; empty while they are not generated."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            """
            SELECT s.label, c.name, c.price, s.status = 'blocked'
            FROM seats s JOIN categories c ON c.id = s.category_id
            WHERE s.event_id = $1 ORDER BY s.index
            """,
            event_id,
        )
    return SeatTable(
        labels=tuple(row[0] for row in rows),
        categories=tuple(row[1] for row in rows),
        prices=tuple(row[2] for row in rows),
        blocked=frozenset(index for index, row in enumerate(rows) if row[3]),
    )
