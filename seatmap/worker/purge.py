"""The daily job that deletes what is of no use any more: rows, and mails that were written into files."""

import asyncio
import logging
from datetime import timedelta

from seatmap.config import Settings
from seatmap.ledger import jobs, purge
from seatmap.ledger.jobs import Handler
from seatmap.ledger.pool import Pool, connection
from seatmap.worker import mail

log = logging.getLogger(__name__)


def purger(settings: Settings) -> Handler:
    """The job of `Purge`. Twice, or two at once, do the same: each row goes once, and none that is not old."""
    keep = timedelta(days=settings.keep_days)
    old = purge.everything(keep=keep, unverified=timedelta(days=settings.unverified_days))

    async def run(pool: Pool, job_id: int, payload: bytes) -> None:
        total = sum([await purge.count(pool, what) for what in old])
        done = 0
        for what in old:
            while gone := await purge.some(pool, what):
                done += gone
                async with connection(pool) as conn:
                    await jobs.advance(conn, job_id, done, max(done, total))
                await asyncio.sleep(0)
        files = await asyncio.to_thread(mail.clear, settings.data / mail.OUTBOX, keep)
        log.info("%d rows and %d mails in files were of no use any more", done, files)

    return run
