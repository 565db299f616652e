"""The price classes of an event."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from seatmap.errors import Refused


class Wanted(Struct, frozen=True, kw_only=True):
    """A category as it should be; without an id it is a new one. `price` is in minor units."""

    name: str
    price: int
    color: str = ""
    id: int | None = None


async def put(conn: Any, event_id: int, wanted: Sequence[Wanted]) -> None:
    """Makes the event's categories exactly `wanted`, in this order. The caller has locked the event.

    Refuses with invalid, naming the category: one that is not the event's, or that is left out while seats
    are in it.
    """
    rows = await conn.fetch(
        "SELECT id, name FROM categories WHERE event_id = $1 AND deleted_at IS NULL", event_id
    )
    names = {row["id"]: row["name"] for row in rows}
    kept = {category.id for category in wanted if category.id is not None}
    for unknown in kept - set(names):
        raise Refused("invalid", f"categories: the event has no category with the id {unknown}.")
    gone = list(set(names) - kept)
    used = await conn.fetchval(
        """
        SELECT c.name FROM categories c
        WHERE c.id = ANY ($2) AND EXISTS (SELECT FROM seats WHERE event_id = $1 AND category_id = c.id) LIMIT 1
        """,
        event_id,
        gone,
    )
    if used is not None:
        raise Refused("invalid", f"categories: {used} cannot be left out while it has seats.")
    await conn.execute("UPDATE categories SET deleted_at = now() WHERE id = ANY ($1)", gone)
    # Out of the way first: two categories may change their names with each other. No name has such a character.
    await conn.execute("UPDATE categories SET name = chr(1) || id WHERE id = ANY ($1)", list(kept))
    for position, category in enumerate(wanted, 1):
        if category.id is None:
            await conn.execute(
                "INSERT INTO categories (event_id, name, price, color, position) VALUES ($1, $2, $3, $4, $5)",
                event_id,
                category.name,
                category.price,
                category.color,
                position,
            )
        else:
            await conn.execute(
                "UPDATE categories SET name = $2, price = $3, color = $4, position = $5 WHERE id = $1",
                category.id,
                category.name,
                category.price,
                category.color,
                position,
            )


async def add_missing(conn: Any, event_id: int, names: Sequence[str]) -> None:
    """Gives an event the categories that it does not have yet; they cost nothing until somebody says what."""
    await conn.execute(
        """
        INSERT INTO categories (event_id, name, price, position)
        SELECT $1, wanted.name, 0, 100 + wanted.place FROM unnest($2::text[]) WITH ORDINALITY wanted (name, place)
        ON CONFLICT (event_id, name) WHERE deleted_at IS NULL DO NOTHING
        """,
        event_id,
        list(names),
    )


async def remove(conn: Any, event_id: int, category_id: int, replacement: int | None, why: str) -> None:
    """Takes a category away and gives its seats the replacement; removed ones any. The caller has locked the event.

    Refuses with category_in_use where a seat of it is sold, or where there are seats and no replacement.
    """
    used = await conn.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM seats s JOIN bookings b ON b.event_id = s.event_id AND b.seat = s.index
                AND b.status IN ('pending', 'confirmed')
            WHERE s.event_id = $1 AND s.category_id = $2
        ) OR $3::bigint IS NULL AND EXISTS (
            SELECT FROM seats WHERE event_id = $1 AND category_id = $2 AND deleted_at IS NULL)
        """,
        event_id,
        category_id,
        replacement,
    )
    if used:
        raise Refused("category_in_use", f"{why}.")
    await conn.execute(
        """
        UPDATE seats SET category_id = coalesce($3, (
            SELECT id FROM categories WHERE event_id = $1 AND id <> $2 AND deleted_at IS NULL ORDER BY id LIMIT 1
        )) WHERE event_id = $1 AND category_id = $2
        """,
        event_id,
        category_id,
        replacement,
    )
    await conn.execute("UPDATE categories SET deleted_at = now() WHERE id = $1", category_id)
