"""Background jobs: a thin layer over pgqueuer, and a row per job that tells people how far it is.

A job is enqueued inside the caller's transaction: it exists exactly if what it is about was committed. It may
run twice (a worker that died, or that was thought dead), so what a job does must be safe to repeat.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import FailingListenerError, RetryRequested
from pgqueuer.domain.types import QueueExecutionMode
from pgqueuer.models import Job as QueuedJob
from pgqueuer.queries import Queries

from seatmap.errors import Refused, SeatmapError, Unavailable
from seatmap.ledger.pool import AWAY, connection

ATTEMPTS_MAX = 6  # of a job that fails by itself; for a store that is away it waits as long as it takes
RETRY_SECONDS_MAX = 30.0
JOBS_AT_ONCE = 2
LOOK_SECONDS = 2.0
RETURN_AFTER_S = 1.0  # when Postgres went away
LAST = -1  # the priority of what nobody sits and waits for

log = logging.getLogger(__name__)

# Given the pool, the job's id (for `advance`) and its payload as JSON. Safe to run twice, also at once.
Handler = Callable[[asyncpg.Pool, int, bytes], Awaitable[None]]


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
    row = await conn.fetchrow(
        "INSERT INTO jobs (kind, event_id, payload) VALUES ($1, $2, $3) RETURNING id, kind, payload",
        kind,
        event_id,
        msgspec.json.encode(payload).decode(),
    )
    await _queue(conn, [row])
    return int(row["id"])


async def enqueue_many(conn: Any, kind: str, payloads: Sequence[Struct], priority: int = 0) -> None:
    """Adds jobs of one kind to the transaction that is open on `conn`; those of a higher priority are run first."""
    rows = await conn.fetch(
        "INSERT INTO jobs (kind, payload) SELECT $1, unnest($2::text[]) RETURNING id, kind, payload",
        kind,
        [msgspec.json.encode(payload).decode() for payload in payloads],
    )
    await _queue(conn, rows, priority)


async def enqueue_once(conn: Any, kind: str, payload: Struct) -> None:
    """Adds a job unless one of its kind waits or runs already, in the transaction that is open on `conn`."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"enqueue {kind}")
    waits = await conn.fetchval(
        "SELECT true FROM jobs WHERE kind = $1 AND state IN ('queued', 'running') LIMIT 1", kind
    )
    if not waits:
        await enqueue(conn, kind, payload)


async def _queue(conn: Any, rows: Sequence[Any], priority: int = 0) -> None:
    """Gives rows of jobs (id, kind, payload) to the queue."""
    if not rows:
        return
    bodies: list[bytes | None] = [
        msgspec.json.encode(Envelope(row["id"], msgspec.Raw(row["payload"].encode()))) for row in rows
    ]
    queries = Queries.from_asyncpg_connection(conn)
    await queries.enqueue([row["kind"] for row in rows], bodies, [priority] * len(rows))


class Shown(Job, frozen=True, kw_only=True):
    """A job as staff see it."""

    created_at: datetime
    updated_at: datetime


async def listed(
    pool: asyncpg.Pool,
    state: str = "",
    before: int | None = None,
    limit: int = 50,
    *,
    without: str = "",
) -> list[Shown]:
    """The latest jobs first, those in one state where given; `before` is the last id seen.

    What is done of the kind `without` is left out.
    """
    async with connection(pool) as conn:
        rows = await conn.fetch(
            """
            SELECT id, kind, event_id, state, done, total, error, created_at, updated_at FROM jobs
            WHERE ($1 = '' OR state = $1) AND ($2::bigint IS NULL OR id < $2)
                AND NOT (kind = $4 AND state = 'done')
            ORDER BY id DESC LIMIT $3
            """,
            state,
            before,
            limit,
            without,
        )
    return [Shown(**row) for row in rows]


async def retry(conn: Any, job_id: int) -> None:
    """Queues a job that failed for good once more, in the transaction that is open on `conn`.

    Refuses with job_not_found, or job_not_failed unless it failed.
    """
    row = await conn.fetchrow(
        """
        UPDATE jobs SET state = 'queued', error = '' WHERE id = $1 AND state = 'failed' AND payload <> ''
        RETURNING id, kind, payload
        """,
        job_id,
    )
    if row is None:
        known = await conn.fetchval("SELECT true FROM jobs WHERE id = $1", job_id)
        raise Refused("job_not_failed" if known else "job_not_found")
    await _queue(conn, [row])


async def retry_all(conn: Any) -> int:
    """Queues all jobs that failed for good once more, after all others, in the transaction that is open on `conn`.

    Answers how many.
    """
    rows = await conn.fetch(
        """
        UPDATE jobs SET state = 'queued', error = '' WHERE state = 'failed' AND payload <> ''
        RETURNING id, kind, payload
        """
    )
    await _queue(conn, rows, LAST)
    return len(rows)


async def queue_lost(pool: asyncpg.Pool) -> list[int]:
    """Queues jobs again that are not done and that the queue does not know of any more; their ids.

    Where Postgres goes away under a job, the queue may write it off as failed once it is back, and nobody else
    would ever try it again.
    """
    async with connection(pool) as conn, conn.transaction():
        rows = await conn.fetch(
            """
            SELECT id, kind, payload FROM jobs j
            WHERE state IN ('queued', 'running') AND payload <> '' AND NOT EXISTS (
                SELECT FROM pgqueuer q WHERE q.status IN ('queued', 'picked')
                    AND (convert_from(q.payload, 'UTF8')::jsonb ->> 'job_id')::bigint = j.id
            ) FOR UPDATE SKIP LOCKED
            """
        )
        await _queue(conn, rows)
    return [row["id"] for row in rows]


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
    """Says that a job is done. What it was about is forgotten: a mail may carry a secret."""
    await conn.execute(
        "UPDATE jobs SET state = 'done', done = total, error = '', payload = '' WHERE id = $1", job_id
    )


async def stumble(conn: Any, job_id: int, error: str, *, final: bool) -> None:
    """Says what went wrong; `final` if it is not tried again."""
    state = "failed" if final else "queued"
    await conn.execute(
        "UPDATE jobs SET state = $2, error = $3 WHERE id = $1 AND state <> 'done'", job_id, state, error
    )


async def count_by_state(pool: asyncpg.Pool) -> dict[str, int]:
    """How many jobs are queued, running, done and failed."""
    async with connection(pool) as conn:
        rows = await conn.fetch("SELECT state, count(*) FROM jobs GROUP BY state")
    return dict.fromkeys(("queued", "running", "done", "failed"), 0) | {row[0]: row[1] for row in rows}


async def serve(
    pool: asyncpg.Pool, handlers: Mapping[str, Handler], stop: asyncio.Event, *, drain: bool = False
) -> None:
    """Runs jobs until `stop` is set, then ends those under way; with `drain`, until none is left.

    Needs JOBS_AT_ONCE + 2 connections. Comes back by itself when Postgres was away.
    """
    while not stop.is_set():
        try:
            await _serve(pool, handlers, stop, drain=drain)
        except (*AWAY, FailingListenerError, Unavailable) as error:
            if drain:
                raise
            log.warning("The job queue is not available, trying again: %s: %s", type(error).__name__, error)
            await _pause(stop, RETURN_AFTER_S)
        else:
            return


async def _serve(
    pool: asyncpg.Pool, handlers: Mapping[str, Handler], stop: asyncio.Event, *, drain: bool
) -> None:
    manager = QueueManager(Queries.from_asyncpg_pool(pool))
    for kind, handler in handlers.items():
        manager.entrypoint(kind)(_entrypoint(pool, handler))

    async def end() -> None:
        await stop.wait()
        manager.shutdown.set()

    ending = asyncio.create_task(end(), name="jobs-end")
    try:
        await manager.run(
            mode=QueueExecutionMode.drain if drain else QueueExecutionMode.continuous,
            batch_size=1,
            max_concurrent_tasks=JOBS_AT_ONCE,
            # Its listener's health check may lose its first message and would end the queue every half minute;
            # looking by itself this often, the queue does not depend on being told.
            dequeue_timeout=timedelta(seconds=LOOK_SECONDS),
        )
    finally:
        ending.cancel()


def _entrypoint(pool: asyncpg.Pool, handler: Handler) -> Callable[[QueuedJob], Awaitable[None]]:
    async def run(queued: QueuedJob) -> None:
        envelope = msgspec.json.decode(queued.payload or b"", type=Envelope)
        try:
            await handler(pool, envelope.job_id, bytes(envelope.payload))
        except Exception as error:
            final = (
                not error.temporary
                if isinstance(error, SeatmapError)
                else queued.attempts + 1 >= ATTEMPTS_MAX
            )
            try:
                async with connection(pool) as conn:
                    await stumble(conn, envelope.job_id, str(error), final=final)
            except Unavailable as away:
                raise RetryRequested(timedelta(seconds=RETURN_AFTER_S), str(away)) from error
            if final:
                raise
            pause = min(2.0 ** min(queued.attempts, ATTEMPTS_MAX), RETRY_SECONDS_MAX)
            raise RetryRequested(timedelta(seconds=pause), str(error)) from error
        async with connection(pool) as conn:
            await finish(conn, envelope.job_id)

    return run


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
