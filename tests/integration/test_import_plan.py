"""A file becomes a plan, and a plan an event on sale, with and without a worker that runs."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest

from seatmap.checkout.stores import open_stores
from seatmap.config import Settings
from seatmap.errors import PlanInvalid, SettingInvalid
from seatmap.ledger import events, jobs
from seatmap.ledger.pool import open_pool
from seatmap.ledger.seats import seat_table
from seatmap.opening import Imported, import_plan
from seatmap.worker.run import Worker

ROWS, COLUMNS = 5, 8


def plan_file() -> bytes:
    """A small hall as pretix saves it; one guid is there twice."""
    seats = [
        [
            {
                "seat_guid": f"{row}-{column}" if (row, column) != (0, 1) else "0-0",
                "seat_number": str(column + 1),
                "category": ("Front", "Back")[row > 1],
                "position": {"x": column * 25, "y": 0},
            }
            for column in range(COLUMNS)
        ]
        for row in range(ROWS)
    ]
    rows = [
        {"row_number": str(row + 1), "position": {"x": 0, "y": row * 25}, "seats": found}
        for row, found in enumerate(seats)
    ]
    return msgspec.json.encode(
        {
            "name": "Small hall",
            "size": {"width": 400, "height": 400},
            "categories": [{"name": "Front", "color": "#cc0000"}, {"name": "Back", "color": "#00cc00"}],
            "zones": [{"name": "Hall", "position": {"x": 50, "y": 50}, "rows": rows, "areas": []}],
        }
    )


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(settings, size=2)
    yield pool
    await pool.close()


async def test_a_plan_alone(settings: Settings, pool: asyncpg.Pool) -> None:
    done = await import_plan(settings, plan_file(), event_name="", price=0, currency="EUR")
    assert (done.name, done.seats, done.event_id) == ("Small hall", ROWS * COLUMNS, None)
    assert len(done.mended) == 1
    assert "guid" in done.mended[0]
    assert await events.published(pool) == []


async def check_event(pool: asyncpg.Pool, done: Imported, told: list[tuple[int, int]]) -> None:
    assert done.event_id is not None
    (event,) = await events.published(pool)
    assert (event.id, event.name, event.currency) == (done.event_id, "Première", "CHF")
    assert [(c.name, c.price, c.color) for c in event.categories] == [
        ("Front", 4200, "#cc0000"),
        ("Back", 4200, "#00cc00"),
    ]
    table = await seat_table(pool, event.id)
    assert len(table.labels) == ROWS * COLUMNS
    assert table.labels[0] == "Hall, row 1, seat 1"
    assert told[-1] == (ROWS * COLUMNS, ROWS * COLUMNS)
    job = await jobs.progress(pool, 1)
    assert job is not None
    assert job.state == "done"


async def test_an_event_without_a_worker(settings: Settings, pool: asyncpg.Pool) -> None:
    told: list[tuple[int, int]] = []
    done = await import_plan(
        settings,
        plan_file(),
        event_name="Première",
        price=4200,
        currency="CHF",
        progress=lambda done, total: told.append((done, total)),
    )
    await check_event(pool, done, told)


async def test_an_event_beside_a_worker(settings: Settings, pool: asyncpg.Pool) -> None:
    told: list[tuple[int, int]] = []
    stop = asyncio.Event()
    async with open_stores(settings) as stores, asyncio.TaskGroup() as tasks:
        tasks.create_task(Worker(stores).run(stop))
        await asyncio.sleep(0.2)
        done = await import_plan(
            settings,
            plan_file(),
            event_name="Première",
            price=4200,
            currency="CHF",
            progress=lambda done, total: told.append((done, total)),
        )
        stop.set()
    await check_event(pool, done, told)


@pytest.mark.parametrize("data", [b"", b"not JSON", b"[]", b'{"zones": []}'])
async def test_a_bad_file_leaves_nothing(settings: Settings, pool: asyncpg.Pool, data: bytes) -> None:
    with pytest.raises(PlanInvalid):
        await import_plan(settings, data, event_name="Never", price=1, currency="EUR")
    assert await pool.fetchval("SELECT count(*) FROM plans") == 0


async def test_a_currency_that_is_none(settings: Settings) -> None:
    with pytest.raises(SettingInvalid, match="currency"):
        await import_plan(settings, plan_file(), event_name="x", price=1, currency="euro")
