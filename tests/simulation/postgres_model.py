"""A model of Postgres: tables, transactions at READ COMMITTED, row locks, advisory locks. What the statements do is
in `statements.py` and its neighbours.

A statement is carried out at once, apart from waiting for locks; its transaction is committed some time later, and
until then others see what was committed before. An integration test holds the model against the real one.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

Row = dict[str, Any]

TABLES = (
    "events",
    "categories",
    "seats",
    "verdicts",
    "orders",
    "bookings",
    "payments",
    "payment_messages",
    "refunds",
    "test_card_sessions",
    "test_card_refunds",
    "jobs",
    "queue",
    "audit_log",
)
ORDER_TRANSITIONS = {("pending", "confirmed"), ("pending", "cancelled"), ("confirmed", "cancelled")}
PAYMENT_TRANSITIONS = {
    ("created", "authorized"),
    ("created", "captured"),
    ("created", "failed"),
    ("created", "expired"),
    ("created", "stuck"),
    ("authorized", "captured"),
    ("authorized", "failed"),
    ("authorized", "expired"),
    ("authorized", "stuck"),
    ("failed", "captured"),
    ("failed", "stuck"),
    ("expired", "captured"),
    ("expired", "stuck"),
    ("captured", "refund_due"),
    ("refund_due", "refunded"),
    ("refund_due", "stuck"),
    ("stuck", "refund_due"),
}
ACTIVE = ("pending", "confirmed")
_TRANSITIONS = {"orders": ORDER_TRANSITIONS, "payments": PAYMENT_TRANSITIONS}


class Record:
    """A row of an answer: by place or by name, and unpacked as its values, as asyncpg's."""

    __slots__ = ("_row", "_values")

    def __init__(self, row: Row) -> None:
        self._row = row
        self._values = tuple(row.values())

    def __getitem__(self, key: int | str) -> Any:
        return self._values[key] if isinstance(key, int) else self._row[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def keys(self) -> Any:
        return self._row.keys()

    def items(self) -> Any:
        return self._row.items()

    def __repr__(self) -> str:
        return repr(self._row)


class Database:
    """What is committed, and who has locked what."""

    def __init__(self, clock: Callable[[], float], rng: random.Random) -> None:
        self.clock = clock
        self.rng = rng
        self.tables: dict[str, dict[Any, Row]] = {name: {} for name in TABLES}
        self.locks: dict[Hashable, object] = {}
        self.waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self.on_commit: list[Callable[[Transaction], None]] = []
        self._numbers: dict[str, int] = {}

    def number(self, table: str) -> int:
        """The next of an identity column."""
        self._numbers[table] = self._numbers.get(table, 0) + 1
        return self._numbers[table]

    def uuid(self) -> UUID:
        """gen_random_uuid()."""
        return UUID(int=self.rng.getrandbits(128), version=4)

    def crash(self) -> None:
        """Only what was committed is left."""
        self.locks.clear()
        self.waiting.clear()

    async def lock(self, owner: object, key: Hashable, timeout_s: float | None = 1.0) -> None:
        """Wait for a lock. Raises what lock_timeout raises."""
        if self.locks.setdefault(key, owner) is owner:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self.waiting.setdefault(key, deque())
        queue.append(turn)
        try:
            async with asyncio.timeout(timeout_s):
                await turn
        except BaseException as error:
            if turn in queue:
                queue.remove(turn)
            else:
                self.unlock(turn, key)  # it was granted just now
            if isinstance(error, TimeoutError):
                raise asyncpg.LockNotAvailableError("canceling statement due to lock timeout") from None
            raise
        self.locks[key] = owner

    def unlock(self, owner: object, key: Hashable) -> None:
        if self.locks.get(key) is not owner:
            return
        queue = self.waiting.get(key)
        while queue:
            turn = queue.popleft()
            if not turn.done():
                self.locks[key] = turn  # until its owner runs again
                turn.set_result(None)
                return
        del self.locks[key]

    def dump(self) -> dict[str, list[Row]]:
        """All tables, for comparison."""
        return {name: [dict(row) for row in rows.values()] for name, rows in self.tables.items()}


class Transaction:
    """What one transaction has written, over what is committed."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = database.clock()
        self.writes: dict[str, dict[Any, Row]] = {}
        self._locked: list[Hashable] = []
        self._ended = False

    def get(self, table: str, key: Any) -> Row | None:
        written = self.writes.get(table)
        if written is not None and key in written:
            return written[key]
        return self.database.tables[table].get(key)

    def rows(self, table: str) -> list[Row]:
        """All rows that this transaction sees, in the order in which they were made."""
        written = self.writes.get(table)
        committed = self.database.tables[table]
        return list((committed | written).values()) if written else list(committed.values())

    def find(self, table: str, **fields: Any) -> list[Row]:
        """The rows that have these values."""
        wanted = list(fields.items())
        return [row for row in self.rows(table) if all(row[name] == value for name, value in wanted)]

    async def lock(self, *key: Hashable) -> None:
        if self.database.locks.get(key) is not self:
            await self.database.lock(self, key)
            self._locked.append(key)
        if self._ended:  # its client went away meanwhile
            self.end()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed")

    async def locked(self, table: str, key: Any) -> Row | None:
        """A row FOR UPDATE, as it is once the lock is granted."""
        await self.lock(table, key)
        return self.get(table, key)

    def free(self, table: str, key: Any) -> bool:
        """Whether nobody else has locked a row (SKIP LOCKED)."""
        return self.database.locks.get((table, key), self) is self

    async def insert(self, table: str, key: Any, row: Row) -> bool:
        """ON CONFLICT DO NOTHING: whether the row was not there. Waits for who is inserting it."""
        await self.lock(table, key)
        if self.get(table, key) is not None:
            return False
        self._put(table, key, row)
        return True

    async def update(
        self, table: str, key: Any, *, when: Callable[[Row], bool] | None = None, **changes: Any
    ) -> bool:
        """Change a row if it is as `when` says, once its lock is granted; whether it was."""
        row = await self.locked(table, key)
        if row is None or (when is not None and not when(row)):
            return False
        becomes = changes.get("status", row.get("status"))
        allowed = _TRANSITIONS.get(table)
        if allowed is not None and becomes != row["status"] and (row["status"], becomes) not in allowed:
            raise asyncpg.RaiseError(f"{row['status']} cannot become {becomes} in {table}")
        if "updated_at" in row:
            changes["updated_at"] = self.now
        self._put(table, key, {**row, **changes})
        return True

    def _put(self, table: str, key: Any, row: Row) -> None:
        if table == "bookings":
            self._check_booking(key, row)
        if table == "payments" and row["session"] is not None:
            same = self.find("payments", provider=row["provider"], session=row["session"])
            if any(other["id"] != key for other in same):
                raise asyncpg.UniqueViolationError("payments_of_session")
        self.writes.setdefault(table, {})[key] = row

    def _check_booking(self, key: Any, row: Row) -> None:
        if (row["status"] == "cancelled") != (row["seq_off"] is not None):
            raise asyncpg.CheckViolationError("bookings_check")
        if row["seq_off"] is not None and row["seq_off"] <= row["seq_on"]:
            raise asyncpg.CheckViolationError("bookings_seq_off_check")
        if row["status"] in ACTIVE and any(
            other["id"] != key and other["status"] in ACTIVE
            for other in self.find("bookings", event_id=row["event_id"], seat=row["seat"])
        ):
            raise asyncpg.UniqueViolationError("one_active_booking_per_seat")

    async def event(self, event_id: int) -> Row | None:
        """UPDATE events SET seq = seq + 1 … RETURNING *: the lock under which an event is written."""
        row = await self.locked("events", event_id)
        if row is not None:
            row = {**row, "seq": row["seq"] + 1}
            self._put("events", event_id, row)
        return row

    def commit(self) -> None:
        for table, written in self.writes.items():
            self.database.tables[table].update(written)
        for told in self.database.on_commit:
            told(self)
        self.end()

    def end(self) -> None:
        """Roll back, or let go of the locks after a commit."""
        self._ended = True
        self.writes = {}
        for key in self._locked:
            self.database.unlock(self, key)
        self._locked = []


def moment(seconds: float | None) -> datetime | None:
    """A time as asyncpg gives it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
