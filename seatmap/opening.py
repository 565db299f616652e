"""`seatmap import-plan`: from a plan file to an event on sale."""

import asyncio
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from seatmap.config import Settings
from seatmap.errors import SettingInvalid, Unavailable
from seatmap.ledger import events, jobs, plans
from seatmap.ledger.events import NewEvent, Price
from seatmap.ledger.pool import Pool, connection, open_pool
from seatmap.ledger.tasks import GENERATE_SEATS, GenerateSeats
from seatmap.model import Plan
from seatmap.plan import pretix
from seatmap.plan.public import storable
from seatmap.worker.jobs import run as work_off

DAYS_AHEAD = 30
LOOK_SECONDS = 0.1
STUCK_SECONDS = 120.0  # without any progress of the job

Progress = Callable[[int, int], None]


class Imported(Struct, frozen=True, kw_only=True):
    """What became of a file. `event_id` is None where only the plan was kept; `mended` are sentences."""

    name: str
    seats: int
    plan_id: int
    event_id: int | None
    mended: tuple[str, ...]


async def import_plan(
    settings: Settings,
    data: bytes,
    *,
    event_name: str,
    price: int,
    currency: str,
    progress: Progress | None = None,
) -> Imported:
    """Keep a pretix seating plan; with an event name, also publish an event on it, 30 days ahead.

    Every category costs `price` minor units of `currency`. `progress` is told (seats done, of how many).
    Raises PlanInvalid, SettingInvalid for a currency that is none, Unavailable without Postgres.
    """
    if not re.fullmatch("[A-Z]{3}", currency):
        raise SettingInvalid("currency", currency, "a currency is three capital letters, like EUR")
    plan, report = await asyncio.to_thread(pretix.read, data)
    body = await asyncio.to_thread(storable, plan)
    pool = await open_pool(settings, size=6)  # the jobs need four
    try:
        async with connection(pool) as conn, conn.transaction():
            plan_id = await plans.save(conn, plan.name, body, len(plan.seats))
            event_id = job_id = None
            if event_name:
                event = _event(event_name, plan, price, currency, settings)
                event_id = await events.create(conn, event, plan_id, len(plan.seats))
                job_id = await jobs.enqueue(conn, GENERATE_SEATS, GenerateSeats(event_id), event_id)
        if job_id is not None:
            await _until_done(pool, settings, job_id, progress or (lambda done, total: None))
    finally:
        pool.terminate()
    return Imported(
        name=plan.name, seats=len(plan.seats), plan_id=plan_id, event_id=event_id, mended=report.mended
    )


def _event(name: str, plan: Plan, price: int, currency: str, settings: Settings) -> NewEvent:
    colors = dict(zip(plan.categories, plan.colors, strict=False))
    return NewEvent(
        name=name,
        venue=plan.name,
        starts_at=datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=DAYS_AHEAD),
        currency=currency,
        seats_per_visitor=settings.seats_per_visitor,
        prices=tuple(
            Price(name=category, price=price, color=colors.get(category, "")) for category in plan.categories
        ),
    )


async def _until_done(pool: Pool, settings: Settings, job_id: int, progress: Progress) -> None:
    """Whoever takes the job, a worker that runs or this process: wait until it is done, and say how far it is."""
    stop = asyncio.Event()
    working = asyncio.create_task(_work(pool, settings, stop))
    seen, moved = (-1, ""), time.monotonic()
    try:
        while True:
            job = await jobs.progress(pool, job_id)
            assert job is not None, "a job's row is never deleted"
            if (job.done, job.state) != seen:
                seen, moved = (job.done, job.state), time.monotonic()
                progress(job.done, job.total)
            if job.state == "done":
                return
            if working.done():
                working.result()  # raises what ended it
            if job.state == "failed":
                raise Unavailable(f"The seats could not be made: {job.error}.")
            if time.monotonic() - moved > STUCK_SECONDS:
                raise Unavailable(
                    "The seats are not made yet; the event is published when a worker has made them."
                )
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        stop.set()
        await asyncio.gather(working, return_exceptions=True)


async def _work(pool: Pool, settings: Settings, stop: asyncio.Event) -> None:
    """Works the queue off, again and again: a job that failed comes back later."""
    while not stop.is_set():
        await work_off(pool, settings, stop, drain=True)
        await asyncio.sleep(LOOK_SECONDS)
