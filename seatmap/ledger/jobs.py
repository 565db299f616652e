"""Background jobs: a thin layer over pgqueuer, and a row per job that tells people how far it is.

A job is enqueued inside the caller's transaction: it exists exactly if what it is about was committed. It may
run twice (a worker that died, or that was thought dead), so what a job does must be safe to repeat.
"""

from typing import Any

import asyncpg
import msgspec
from msgspec import Struct
from pgqueuer.queries import Queries

from seatmap.ledger.pool import connection


class Job(Struct, frozen=True, kw_only=True):
    """`state` is queued, running, done or failed; `done` of `total` are in the job's own unit."""

    id: int
    kind: str
    event_id: int | None
    state: str
    done: int
    total: int
    error: str


class Envelope(Struct, frozen=True):
    """What travels through the queue: the progress row, and the job's own payload as JSON."""

    job_id: int
    payload: msgspec.Raw


async def enqueue(conn: Any, kind: str, payload: Struct, event_id: int | None = None) -> int:
    """Adds a job to the transaction that is open on `conn`; answers the id for `progress`."""
    job_id = int(
        await conn.fetchval("INSERT INTO jobs (kind, event_id) VALUES ($1, $2) RETURNING id", kind, event_id)
    )
    body = msgspec.json.encode(Envelope(job_id, msgspec.Raw(msgspec.json.encode(payload))))
    await Queries.from_asyncpg_connection(conn).enqueue(kind, body)
    return job_id


async def progress(pool: asyncpg.Pool, job_id: int) -> Job | None:
    """How far a job is; None if there is no such job."""
    async with connection(pool) as conn:
        row = await conn.fetchrow(
            "SELECT id, kind, event_id, state, done, total, error FROM jobs WHERE id = $1", job_id
        )
    return None if row is None else Job(**row)


async def advance(conn: Any, job_id: int, done: int, total: int) -> None:
    """Says how far a running job is. A second run of the same job may start lower again."""
    await conn.execute(
        "UPDATE jobs SET state = 'running', done = $2, total = $3, error = '' WHERE id = $1",
        job_id,
        done,
        total,
    )


async def finish(conn: Any, job_id: int) -> None:
    """Says that a job is done."""
    await conn.execute("UPDATE jobs SET state = 'done', done = total, error = '' WHERE id = $1", job_id)


async def stumble(conn: Any, job_id: int, error: str, *, final: bool) -> None:
    """Says what went wrong; `final` if it is not tried again."""
    state = "failed" if final else "queued"
    await conn.execute(
        "UPDATE jobs SET state = $2, error = $3 WHERE id = $1 AND state <> 'done'", job_id, state, error
    )
