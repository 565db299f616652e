"""Events as staff see them: drafts and deleted ones too, with what was last done in the background."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from seatmap.errors import Refused
from seatmap.ledger import events
from seatmap.ledger.advisory import locked
from seatmap.ledger.event_states import State, check, state_of
from seatmap.ledger.pool import connection
from seatmap.model import Event

DELETED = "deleted"  # in place of the status that it will have again when it is restored

_EDITS = 0x5EA8 << 40  # keeps these advisory locks apart from those of events.py


class JobState(Struct, frozen=True, kw_only=True):
    """How far the event's last background job is."""

    id: int
    kind: str
    state: str
    done: int
    total: int


class StaffEvent(Struct, frozen=True, kw_only=True):
    """An event with what only staff are told."""

    event: Event
    deleted: bool
    created_at: datetime
    updated_at: datetime
    job: JobState | None

    @property
    def shown(self) -> Event:
        """The event, its status being DELETED where it is."""
        return replace(self.event, status=DELETED) if self.deleted else self.event

    @property
    def state(self) -> State:
        """Its state, in one word."""
        return state_of(self.event, deleted=self.deleted)


_SELECT = f"""
    SELECT found.*, j.id AS job_id, j.kind AS job_kind, j.state AS job_state, j.done AS job_done,
        j.total AS job_total
    FROM ({events.SELECT}) found
    LEFT JOIN LATERAL (
        SELECT id, kind, state, done, total FROM jobs WHERE event_id = found.id ORDER BY id DESC LIMIT 1
    ) j ON true
"""


def _of_row(row: Any) -> StaffEvent:
    job = None
    if row["job_id"] is not None:
        job = JobState(
            id=row["job_id"],
            kind=row["job_kind"],
            state=row["job_state"],
            done=row["job_done"],
            total=row["job_total"],
        )
    return StaffEvent(
        event=events.of_row(row),
        deleted=row["deleted_at"] is not None,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        job=job,
    )


async def find(pool: asyncpg.Pool, event_id: int) -> StaffEvent | None:
    """An event in any state, deleted ones included."""
    async with connection(pool) as conn:
        row = await conn.fetchrow(f"{_SELECT} WHERE found.id = $1", event_id)
    return None if row is None else _of_row(row)


async def get(pool: asyncpg.Pool, event_id: int) -> StaffEvent:
    """The same. Refuses with event_not_found."""
    found = await find(pool, event_id)
    if found is None:
        raise Refused("event_not_found", f"There is no event {event_id}.")
    return found


async def listing(
    pool: asyncpg.Pool,
    *,
    status: str = "",
    deleted: bool = False,
    text: str = "",
    before: int | None = None,
    limit: int = 50,
) -> list[StaffEvent]:
    """The newest first; `text` is looked for in name and venue; `before` is the last id seen."""
    async with connection(pool) as conn:
        rows = await conn.fetch(
            f"""
            {_SELECT}
            WHERE (found.deleted_at IS NOT NULL) = $1 AND ($2 = '' OR found.status = $2)
                AND ($3 = '' OR strpos(lower(found.name || ' ' || found.venue), lower($3)) > 0)
                AND ($4::bigint IS NULL OR found.id < $4)
            ORDER BY found.id DESC LIMIT $5
            """,
            deleted,
            status,
            text,
            before,
            limit,
        )
    return [_of_row(row) for row in rows]


@asynccontextmanager
async def changing(pool: asyncpg.Pool, event_id: int, verb: str) -> AsyncIterator[tuple[Any, StaffEvent]]:
    """(connection, event) in a transaction that has locked the event's row; committed after the block.

    Refuses with event_not_found, or wrong_state where `verb` is not drawn from its state.
    """
    async with connection(pool) as conn, conn.transaction():
        # A second statement, so that it sees what was committed while the first waited for the lock.
        await conn.execute("SELECT FROM events WHERE id = $1 FOR NO KEY UPDATE", event_id)
        row = await conn.fetchrow(f"{_SELECT} WHERE found.id = $1", event_id)
        if row is None:
            raise Refused("event_not_found", f"There is no event {event_id}.")
        found = _of_row(row)
        check(verb, found.state)
        yield conn, found


async def change(conn: Any, event_id: int, columns: dict[str, Any], *, replan: bool = False) -> None:
    """Sets columns, whose names are the program's own; `replan` where pages have to load their plan again."""
    sets = "".join(f"{name} = ${place}, " for place, name in enumerate(columns, 3))
    await conn.execute(
        f"""
        UPDATE events SET {sets}status_version = status_version + 1, plan_version = plan_version + $2
        WHERE id = $1
        """,
        event_id,
        int(replan),
        *columns.values(),
    )


async def has_bookings(conn: Any, event_id: int) -> bool:
    """Whether a seat of the event is sold, or claimed by an order that is not paid yet."""
    return bool(
        await conn.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM bookings WHERE event_id = $1 AND status IN ('pending', 'confirmed')
            )
            """,
            event_id,
        )
    )


async def has_all_seats(conn: Any, event_id: int) -> bool:
    """Whether the event's seats are all made."""
    return bool(
        await conn.fetchval(
            """
            SELECT seat_count = (SELECT count(*) FROM seats WHERE event_id = $1) FROM events WHERE id = $1
            """,
            event_id,
        )
    )


async def check_all_seats(conn: Any, event_id: int) -> None:
    """Refuses with wrong_state while the event's seats are being made."""
    if not await has_all_seats(conn, event_id):
        raise Refused("wrong_state", "The event's seats are not all made yet.")


async def has_orders(conn: Any, event_id: int) -> bool:
    """Whether anything of the event was ever sold, given back since or not."""
    return bool(await conn.fetchval("SELECT EXISTS (SELECT FROM orders WHERE event_id = $1)", event_id))


async def copy(conn: Any, event_id: int, name: str) -> int:
    """A draft like an event, with its categories and without its seats; answers its id."""
    new = await conn.fetchval(
        """
        INSERT INTO events (name, description, venue, starts_at, timezone, rows, columns, plan_id, seat_count,
            currency, seats_per_visitor, on_sale_from, on_sale_until, accessible_until, fee_per_seat,
            payment_methods)
        SELECT $2, description, venue, starts_at, timezone, rows, columns, plan_id, seat_count,
            currency, seats_per_visitor, on_sale_from, on_sale_until, accessible_until, fee_per_seat,
            payment_methods
        FROM events WHERE id = $1 RETURNING id
        """,
        event_id,
        name,
    )
    await conn.execute(
        """
        INSERT INTO categories (event_id, name, price, color, position)
        SELECT $2, name, price, color, position FROM categories WHERE event_id = $1 AND deleted_at IS NULL
        """,
        event_id,
        new,
    )
    return int(new)


def alone(pool: asyncpg.Pool, event_id: int) -> AbstractAsyncContextManager[bool]:
    """One edit of an event's seats at a time: each goes through both stores."""
    return locked(pool, _EDITS + event_id, wait=True)
