"""What is of no use any more and would grow for ever, deleted by its age.

Orders, bookings, payments, verdicts and the audit log are never touched, nor jobs that failed, which wait for a
person.
"""

from datetime import timedelta

import asyncpg
from msgspec import Struct

from seatmap.ledger.idempotency import KEPT_HOURS
from seatmap.ledger.pool import connection

PURGE = "purge"
CHUNK = 500  # rows of one transaction: some milliseconds


class Purge(Struct, frozen=True):
    """The job's payload: how old what is to be deleted is, at least, is the worker's setting."""


class Old(Struct, frozen=True):
    """Rows that may go when they are older than `age`, which is $1 of both statements; `delete` takes some."""

    age: timedelta
    count: str
    delete: str


def everything(keep: timedelta, unverified: timedelta) -> list[Old]:
    """What may go, in an order that leaves nothing pointing at what is gone."""
    day, answers = timedelta(days=1), timedelta(hours=KEPT_HOURS)
    return [
        _old(day, "account_tokens", "hash", "least(t.used_at, t.expires_at) < now() - $1::interval"),
        _old(unverified, "users", "id", _UNVERIFIED),
        _old(answers, "idempotency_keys", "caller, key", "t.created_at < now() - $1::interval"),
        # Older than any provider sends a message again; a payment that has ended takes none of them anyway.
        _old(keep, "payment_messages", "provider, message_id", "t.created_at < now() - $1::interval"),
        _old(keep, "jobs", "id", "t.state = 'done' AND t.updated_at < now() - $1::interval"),
        _old(keep, "pgqueuer_log", "id", "t.created < now() - $1::interval"),
        _old(keep, "pgqueuer_statistics", "id", "t.created < now() - $1::interval"),
    ]


def _old(age: timedelta, table: str, key: str, condition: str) -> Old:
    """`condition` is about the row `t` of `table`, whose primary key is `key`."""
    return Old(
        age,
        f"SELECT count(*) FROM {table} t WHERE {condition}",
        f"""
        DELETE FROM {table} WHERE ({key}) IN (
            SELECT {key} FROM {table} t WHERE {condition} LIMIT {CHUNK} FOR UPDATE SKIP LOCKED
        ) RETURNING 1
        """,
    )


# Nobody followed the link, and nothing was ever done in the account's name.
_UNVERIFIED = """
    t.verified_at IS NULL AND t.created_at < now() - $1::interval AND t.role = 'buyer'
    AND NOT EXISTS (SELECT FROM account_tokens a WHERE a.user_id = t.id)
    AND NOT EXISTS (SELECT FROM orders o WHERE o.user_id = t.id)
    AND NOT EXISTS (SELECT FROM bookings b WHERE b.user_id = t.id)
    AND NOT EXISTS (SELECT FROM audit_log l WHERE l.user_id = t.id)
    AND NOT EXISTS (SELECT FROM api_keys k WHERE k.created_by = t.id)
    AND NOT EXISTS (SELECT FROM refunds r WHERE r.paid_out_by = t.id)
"""


async def count(pool: asyncpg.Pool, what: Old) -> int:
    """How many rows may go now."""
    async with connection(pool) as conn:
        return int(await conn.fetchval(what.count, what.age))


async def some(pool: asyncpg.Pool, what: Old) -> int:
    """Deletes up to CHUNK rows that nobody else is deleting; how many."""
    async with connection(pool) as conn:
        return len(await conn.fetch(what.delete, what.age))
