"""Jobs that come by themselves, at times that pgqueuer keeps in Postgres: of many workers one enqueues each."""

import asyncpg
from msgspec import Struct
from pgqueuer.core.sm import SchedulerManager
from pgqueuer.models import Schedule
from pgqueuer.queries import Queries

from seatmap.ledger import jobs
from seatmap.ledger.pool import connection, translated


async def serve(pool: asyncpg.Pool, kind: str, payload: Struct, cron: str) -> None:
    """Enqueues a job whenever `cron` (five fields, UTC) says, until it is cancelled. Raises Unavailable.

    What was missed while no worker lived comes once, as soon as one does.
    """
    manager = SchedulerManager(Queries.from_asyncpg_pool(pool))

    async def due(_: Schedule) -> None:
        async with connection(pool) as conn, conn.transaction():
            await jobs.enqueue_once(conn, kind, payload)

    manager.schedule(kind, cron)(due)
    with translated():
        await manager.run()
