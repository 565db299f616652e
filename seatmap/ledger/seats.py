"""The seats of an event, as Postgres knows them: index, label, category, for sale at all or not."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import asyncpg
from msgspec import Struct

from seatmap.errors import Refused
from seatmap.ledger.pool import connection
from seatmap.model import Seat

CHUNK = 5000
ACCESSIBLE_MAX = 5000  # Redis looks at all of them when their time is up
_COLUMNS = ("event_id", "index", "section", "row", "number", "label", "x", "y", "category_id")

Progress = Callable[[int, int], Awaitable[None]]


class SeatTable(Struct, frozen=True):
    """What is told about seats; each tuple is in index order. `prices` are in minor units."""

    labels: tuple[str, ...]
    categories: tuple[str, ...]
    prices: tuple[int, ...]
    blocked: frozenset[int]
    accessible: frozenset[int] = frozenset()


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
        try:
            async with conn.transaction():
                await append(conn, event_id, seats[start : start + CHUNK], start, categories)
        except asyncpg.UniqueViolationError:
            continue


async def append(
    conn: Any, event_id: int, seats: Sequence[Seat], first: int, categories: Mapping[str, int]
) -> None:
    """Writes seats, the first of which has the index `first`, as a part of the caller's transaction."""
    for at in range(0, len(seats), CHUNK):  # none of the statements takes long
        records = [
            (event_id, index, s.section, s.row, s.number, s.label, s.x, s.y, categories[s.category])
            for index, s in enumerate(seats[at : at + CHUNK], first + at)
        ]
        await conn.copy_records_to_table("seats", records=records, columns=_COLUMNS)


async def seat_table(pool: asyncpg.Pool, event_id: int) -> SeatTable:
    """All seats of an event; empty while they are not generated."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            """
            SELECT s.label, c.name, c.price, s.status = 'blocked', s.accessible
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
        accessible=frozenset(index for index, row in enumerate(rows) if row[4]),
    )


_FREE = """
    NOT EXISTS (
        SELECT FROM bookings b
        WHERE b.event_id = s.event_id AND b.seat = s.index AND b.status IN ('pending', 'confirmed')
    )
"""


async def set_status(conn: Any, event_id: int, chosen: Sequence[int], status: str) -> set[int]:
    """Takes seats off sale ("blocked") or puts them back ("available"); those that have changed.

    The caller has locked the event. Seats with an active booking, and removed ones, are left alone.
    """
    rows = await conn.fetch(
        f"""
        UPDATE seats s SET status = $3
        WHERE event_id = $1 AND index = ANY ($2) AND status <> $3 AND deleted_at IS NULL AND {_FREE}
        RETURNING index
        """,
        event_id,
        chosen,
        status,
    )
    return {row["index"] for row in rows}


async def set_category(conn: Any, event_id: int, chosen: Sequence[int], category_id: int) -> set[int]:
    """Puts seats into another category of the same event; those that have changed. As `set_status`."""
    rows = await conn.fetch(
        f"""
        UPDATE seats s SET category_id = $3
        WHERE event_id = $1 AND index = ANY ($2) AND category_id <> $3 AND deleted_at IS NULL AND {_FREE}
        RETURNING index
        """,
        event_id,
        chosen,
        category_id,
    )
    return {row["index"] for row in rows}


async def remove(conn: Any, event_id: int, chosen: Sequence[int]) -> set[int]:
    """Takes seats away for ever; those that are away now. As `set_status`."""
    rows = await conn.fetch(
        f"""
        UPDATE seats s SET status = 'blocked', accessible = false, deleted_at = now()
        WHERE event_id = $1 AND index = ANY ($2) AND deleted_at IS NULL AND {_FREE}
        RETURNING index
        """,
        event_id,
        chosen,
    )
    return {row["index"] for row in rows}


async def remove_all(conn: Any, event_id: int) -> None:
    """Forgets the seats of an event that was never on sale. The caller has locked it."""
    await conn.execute("DELETE FROM seats WHERE event_id = $1", event_id)


async def move(pool: asyncpg.Pool, event_id: int, moved: Sequence[tuple[int, Seat]]) -> None:
    """Gives seats, by index, other places on the map, in chunks that are each committed."""
    for first in range(0, len(moved), CHUNK):
        chunk = moved[first : first + CHUNK]
        async with connection(pool) as conn:
            await conn.execute(
                """
                UPDATE seats SET x = there.x, y = there.y
                FROM unnest($2::int[], $3::float8[], $4::float8[]) AS there (index, x, y)
                WHERE event_id = $1 AND seats.index = there.index
                """,
                event_id,
                [index for index, _ in chunk],
                [seat.x for _, seat in chunk],
                [seat.y for _, seat in chunk],
            )


async def of_category(pool: asyncpg.Pool, event_id: int, category_id: int) -> tuple[int, ...]:
    """The seats of a category, without removed ones."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            """
            SELECT index FROM seats
            WHERE event_id = $1 AND category_id = $2 AND deleted_at IS NULL ORDER BY index
            """,
            event_id,
            category_id,
        )
    return tuple(row["index"] for row in rows)


async def set_accessible(conn: Any, event_id: int, chosen: Sequence[int], accessible: bool) -> set[int]:
    """Says whether seats are places for wheelchairs; those that have changed. The caller has locked the event.

    Seats that somebody has too: who has them keeps them. Refuses with too_many_seats.
    """
    rows = await conn.fetch(
        """
        UPDATE seats SET accessible = $3
        WHERE event_id = $1 AND index = ANY ($2) AND accessible <> $3 AND deleted_at IS NULL RETURNING index
        """,
        event_id,
        chosen,
        accessible,
    )
    count = await conn.fetchval("SELECT count(*) FROM seats WHERE event_id = $1 AND accessible", event_id)
    if count > ACCESSIBLE_MAX:
        raise Refused("too_many_seats", f"An event may have {ACCESSIBLE_MAX:,} accessible seats.")
    return {row["index"] for row in rows}


async def accessible(pool: asyncpg.Pool, event_id: int) -> tuple[int, ...]:
    """The event's accessible seats."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            "SELECT index FROM seats WHERE event_id = $1 AND accessible ORDER BY index", event_id
        )
    return tuple(row["index"] for row in rows)


async def on_offer(conn: Any, event_id: int, chosen: Sequence[int]) -> set[int]:
    """Those of `chosen` that are not blocked."""
    rows = await conn.fetch(
        "SELECT index FROM seats WHERE event_id = $1 AND index = ANY ($2) AND status = 'available'",
        event_id,
        chosen,
    )
    return {row["index"] for row in rows}


async def copy(conn: Any, source: int, event_id: int, progress: Progress) -> None:
    """Gives an event the seats of another that has the same plan and category names, as `generate` does.

    Refuses with wrong_state where a category was renamed since.
    """
    before = -1
    total = await conn.fetchval("SELECT count(*) FROM seats WHERE event_id = $1", source)
    while True:
        start = await conn.fetchval(
            "SELECT coalesce(max(index) + 1, 0) FROM seats WHERE event_id = $1", event_id
        )
        await progress(min(start, total), total)
        if start >= total:
            return
        if start == before:
            raise Refused("wrong_state", "The categories of the two events have different names by now.")
        before = start
        await conn.execute(
            """
            INSERT INTO seats (event_id, index, section, row, number, label, x, y, category_id, status,
                accessible, deleted_at)
            SELECT $2, s.index, s.section, s.row, s.number, s.label, s.x, s.y, mine.id, s.status, s.accessible,
                s.deleted_at
            FROM seats s JOIN categories c ON c.id = s.category_id
            JOIN categories mine ON mine.event_id = $2 AND mine.name = c.name AND mine.deleted_at IS NULL
            WHERE s.event_id = $1 AND s.index >= $3 AND s.index < $3 + $4
            ORDER BY s.index
            ON CONFLICT DO NOTHING
            """,
            source,
            event_id,
            start,
            CHUNK,
        )
