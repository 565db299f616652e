"""Answers kept for whoever asks again with the same Idempotency-Key."""

import asyncpg
from msgspec import Struct

from seatmap.errors import Refused
from seatmap.ledger.pool import connection

KEPT_HOURS = 24
# After this the first asker is taken for dead, and the next one asks as if it were the first.
PATIENCE_SECONDS = 60
FORGOTTEN_AT_ONCE = 20  # by each that begins, so that the table keeps its size without a job


class Answer(Struct, frozen=True):
    """What was answered: an HTTP status, a media type, a body."""

    status: int
    media: str
    body: bytes


async def begin(pool: asyncpg.Pool, caller: str, key: str, fingerprint: bytes) -> Answer | None:
    """The answer that this request got before, or None: it is the first, and is to `finish` or `give_up`.

    Refuses with idempotency_mismatch for another request, idempotency_in_flight while the first is under way.
    """
    async with connection(pool) as conn:
        await conn.execute(
            f"""
            DELETE FROM idempotency_keys WHERE (caller, key) IN (
                SELECT caller, key FROM idempotency_keys
                WHERE created_at < now() - interval '{KEPT_HOURS} hours'
                ORDER BY created_at LIMIT {FORGOTTEN_AT_ONCE} FOR UPDATE SKIP LOCKED
            )
            """
        )
        first = await conn.fetchval(
            f"""
            INSERT INTO idempotency_keys AS known (caller, key, fingerprint) VALUES ($1, $2, $3)
            ON CONFLICT (caller, key) DO UPDATE SET created_at = now()
            WHERE known.status IS NULL AND known.fingerprint = $3
                AND known.created_at < now() - interval '{PATIENCE_SECONDS} seconds'
            RETURNING true
            """,
            caller,
            key,
            fingerprint,
        )
        if first:
            return None
        row = await conn.fetchrow(
            "SELECT fingerprint, status, media, body FROM idempotency_keys WHERE caller = $1 AND key = $2",
            caller,
            key,
        )
    if row is None or (row["status"] is None and row["fingerprint"] == fingerprint):
        raise Refused("idempotency_in_flight")  # no row: the first just gave up
    if row["fingerprint"] != fingerprint:
        raise Refused("idempotency_mismatch")
    return Answer(row["status"], row["media"], row["body"])


async def finish(pool: asyncpg.Pool, caller: str, key: str, answer: Answer) -> None:
    """Keeps the answer of the first."""
    async with connection(pool) as conn:
        await conn.execute(
            "UPDATE idempotency_keys SET status = $3, media = $4, body = $5 WHERE caller = $1 AND key = $2",
            caller,
            key,
            answer.status,
            answer.media,
            answer.body,
        )


async def give_up(pool: asyncpg.Pool, caller: str, key: str) -> None:
    """Forgets a first that has no answer to keep: the next one asks anew."""
    async with connection(pool) as conn:
        await conn.execute(
            "DELETE FROM idempotency_keys WHERE caller = $1 AND key = $2 AND status IS NULL", caller, key
        )
