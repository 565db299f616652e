"""The job queue: with the transaction, twice, by two workers, after a failure."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
from ledger_world import run_sql

from seatmap import demo
from seatmap.config import Settings
from seatmap.errors import Unavailable
from seatmap.ledger import events, jobs, seats
from seatmap.ledger.events import NewEvent, Price
from seatmap.ledger.jobs import Job
from seatmap.ledger.pool import connection, open_pool
from seatmap.ledger.tasks import GENERATE_SEATS, GenerateSeats
from seatmap.model import Plan
from seatmap.plan.demo import arena
from seatmap.plan.public import storable
from seatmap.worker import jobs as worker

pytestmark = pytest.mark.integration


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(settings)
    yield pool
    await pool.close()


async def draft(pool: asyncpg.Pool, plan: Plan, body: bytes | None = None) -> tuple[int, int]:
    """A draft event on `plan`, and the job that generates its seats."""
    new = NewEvent(
        name="Show",
        starts_at=datetime(2030, 5, 1, 19, tzinfo=UTC),
        currency="EUR",
        prices=tuple(Price(name=name, price=100) for name in plan.categories),
    )
    async with connection(pool) as conn, conn.transaction():
        event_id = await events.create_from_plan(
            conn, new, plan.name, storable(plan) if body is None else body, len(plan.seats)
        )
        return event_id, await jobs.enqueue(conn, GENERATE_SEATS, GenerateSeats(event_id), event_id)


async def state(pool: asyncpg.Pool, job_id: int) -> Job:
    job = await jobs.progress(pool, job_id)
    assert job is not None
    return job


async def test_a_job_generates_the_seats_and_publishes(pool: asyncpg.Pool, settings: Settings) -> None:
    event_id, job_id = await draft(pool, arena(6000))
    assert (await state(pool, job_id)).state == "queued"
    await worker.run(pool, settings, asyncio.Event(), drain=True)
    job = await state(pool, job_id)
    assert (job.state, job.done, job.total, job.event_id) == ("done", 6000, 6000, event_id)
    assert [event.id for event in await events.published(pool)] == [event_id]
    assert len((await seats.seat_table(pool, event_id)).labels) == 6000


async def test_no_job_without_its_transaction(pool: asyncpg.Pool, settings: Settings) -> None:
    with pytest.raises(RuntimeError):  # noqa: PT012
        async with connection(pool) as conn, conn.transaction():
            await jobs.enqueue(conn, GENERATE_SEATS, GenerateSeats(1))
            raise RuntimeError
    await worker.run(pool, settings, asyncio.Event(), drain=True)
    assert await run_sql(pool, "SELECT FROM jobs") == []
    assert await jobs.progress(pool, 1) is None


async def test_two_workers_and_the_same_job_twice(pool: asyncpg.Pool, settings: Settings) -> None:
    event_id, first = await draft(pool, arena(12_000))
    async with connection(pool) as conn, conn.transaction():
        second = await jobs.enqueue(conn, GENERATE_SEATS, GenerateSeats(event_id), event_id)
    other = await open_pool(settings)
    await asyncio.gather(*(worker.run(each, settings, asyncio.Event(), drain=True) for each in (pool, other)))
    await other.close()
    assert [(await state(pool, job)).state for job in (first, second)] == ["done", "done"]
    assert len((await seats.seat_table(pool, event_id)).labels) == 12_000


async def test_a_worker_wakes_up_for_a_job_and_stops_when_told(
    pool: asyncpg.Pool, settings: Settings
) -> None:
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(pool, settings, stop))
    await asyncio.sleep(0.1)
    _, job_id = await draft(pool, arena(60))
    async with asyncio.timeout(5):
        while (await state(pool, job_id)).state != "done":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        stop.set()
        await working


async def test_a_hopeless_job_fails_at_once_and_says_why(pool: asyncpg.Pool, settings: Settings) -> None:
    _, job_id = await draft(pool, arena(60), b"not a plan")
    await worker.run(pool, settings, asyncio.Event(), drain=True)
    job = await state(pool, job_id)
    assert job.state == "failed"
    assert "cannot be read" in job.error


def away(monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """Postgres is away for so many looks at an event; these, and later ones."""
    real, calls = events.get, list[int]()

    async def get(pool: asyncpg.Pool, event_id: int) -> object:
        calls.append(event_id)
        if len(calls) <= times:
            raise Unavailable("away")
        return await real(pool, event_id)

    monkeypatch.setattr(events, "get", get)
    return calls


async def test_a_job_that_stumbles_is_tried_again(
    pool: asyncpg.Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, job_id = await draft(pool, arena(60))
    calls = away(monkeypatch, 1)
    await worker.run(pool, settings, asyncio.Event(), drain=True)
    assert len(calls) == 2
    assert (await state(pool, job_id)).state == "done"


async def test_a_job_waits_for_a_store_as_long_as_it_takes(
    pool: asyncpg.Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "RETRY_SECONDS_MAX", 0.01)
    _, job_id = await draft(pool, arena(60))
    await run_sql(pool, "UPDATE pgqueuer SET attempts = 2000")  # a day of it
    away(monkeypatch, 2 * jobs.ATTEMPTS_MAX)
    await worker.run(pool, settings, asyncio.Event(), drain=True)
    assert (await state(pool, job_id)).state == "done"


async def test_a_job_that_fails_by_itself_is_given_up(
    pool: asyncpg.Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "RETRY_SECONDS_MAX", 0.01)
    _, job_id = await draft(pool, arena(60))
    calls = 0

    async def fails(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise ZeroDivisionError

    monkeypatch.setattr(events, "get", fails)
    await worker.run(pool, settings, asyncio.Event(), drain=True)
    assert (calls, (await state(pool, job_id)).state) == (jobs.ATTEMPTS_MAX, "failed")


async def test_a_job_whose_stumble_cannot_be_written_down_is_tried_again(
    pool: asyncpg.Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, job_id = await draft(pool, arena(60))

    async def still_away(*_: object, **__: object) -> None:
        raise Unavailable("still away")

    away(monkeypatch, 1)
    monkeypatch.setattr(jobs, "stumble", still_away)
    await worker.run(pool, settings, asyncio.Event(), drain=True)
    assert (await state(pool, job_id)).state == "done"


async def test_a_job_that_the_queue_has_lost_is_found(pool: asyncpg.Pool, settings: Settings) -> None:
    _, job_id = await draft(pool, arena(60))
    assert await jobs.queue_lost(pool) == []
    await run_sql(pool, "UPDATE jobs SET state = 'running'")
    await run_sql(pool, "DELETE FROM pgqueuer")  # as the queue does with what it takes for failed
    assert await jobs.queue_lost(pool) == [job_id]
    assert await jobs.queue_lost(pool) == []
    await worker.run(pool, settings, asyncio.Event(), drain=True)
    assert (await state(pool, job_id)).state == "done"
    assert await jobs.queue_lost(pool) == []


async def test_the_demo_is_made_once(pool: asyncpg.Pool, settings: Settings) -> None:
    made = await asyncio.gather(demo.make(settings), demo.make(settings))
    assert sorted(len(ids) for ids in made) == [0, 2]
    room, theatre = await events.published(pool)
    assert (room.seat_count, room.currency) == (60, "EUR")
    assert 1500 < theatre.seat_count < 2500
    assert theatre.starts_at > datetime.now(UTC)
    table = await seats.seat_table(pool, theatre.id)
    assert len(table.prices) == theatre.seat_count
    assert min(table.prices) == 2900
