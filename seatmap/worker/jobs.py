"""The background jobs, by kind. Each is safe to run twice, and at the same time."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from seatmap.config import Settings
from seatmap.errors import Refused
from seatmap.ledger import events, jobs, plans, seats
from seatmap.ledger.mails import SEND_MAIL
from seatmap.ledger.pool import Pool, connection
from seatmap.ledger.purge import PURGE
from seatmap.ledger.tasks import COPY_SEATS, GENERATE_SEATS, CopySeats, GenerateSeats
from seatmap.plan.public import restore
from seatmap.worker import mail, purge


async def run(
    pool: Pool,
    settings: Settings,
    stop: asyncio.Event,
    *,
    drain: bool = False,
    others: Mapping[str, jobs.Handler] = MappingProxyType({}),
) -> None:
    """Works the queue off until `stop` is set, or until it is empty (`drain`). Needs 4 connections.

    `others` are jobs by kind that need more than Postgres.
    """
    handlers = {
        **others,
        GENERATE_SEATS: generate_seats,
        COPY_SEATS: copy_seats,
        SEND_MAIL: mail.sender(settings),
        PURGE: purge.purger(settings),
    }
    await jobs.serve(pool, handlers, stop, drain=drain)


async def generate_seats(pool: Pool, job_id: int, payload: bytes) -> None:
    """The job of `GenerateSeats`. Refuses with event_not_found."""
    wanted = msgspec.json.decode(payload, type=GenerateSeats)
    event = await events.get(pool, wanted.event_id)
    if event is None:
        raise Refused("event_not_found")
    body = await plans.body(pool, event.plan_id)
    plan = await asyncio.to_thread(restore, body)  # a large one would hold up the loop
    async with connection(pool) as conn:

        async def progress(done: int, total: int) -> None:
            await jobs.advance(conn, job_id, done, total)

        ids = {category.name: category.id for category in event.categories}
        await seats.generate(conn, event.id, plan.seats, ids, progress)
    if wanted.publish:
        await events.publish(pool, event.id)


async def copy_seats(pool: Pool, job_id: int, payload: bytes) -> None:
    """The job of `CopySeats`. Refuses with wrong_state where the two events fit no longer."""
    wanted = msgspec.json.decode(payload, type=CopySeats)
    async with connection(pool) as conn:

        async def progress(done: int, total: int) -> None:
            await jobs.advance(conn, job_id, done, total)

        await seats.copy(conn, wanted.source, wanted.event_id, progress)
