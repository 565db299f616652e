"""The simulation's model of Postgres against the real one: the same stories, the same answers, the same tables.

A mistake in a function of the database shows here too: the simulation itself never runs one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any
from uuid import UUID

import msgspec
import pytest
from ledger_overlap import FIRST, SECOND, overlap
from ledger_story import BLOCKED, EVENT, METHODS, SEATS, TABLES, Story, columns
from ledger_world import make_event, run_sql

from seatmap.config import Settings
from seatmap.ledger import jobs
from seatmap.ledger import pool as ledger_pool
from seatmap.ledger.pool import open_pool
from tests.simulation.postgres_model import Database
from tests.simulation.postgres_world import PostgresWorld, SimPool
from tests.simulation.run_context import Run
from tests.simulation.simulate import make_event as make_model_event

STORIES, LENGTH = 12, 60
PATIENT_MS = 60_000


def in_the_model(seed: int, play: Callable[[Any], Awaitable[Any]]) -> tuple[Any, Database]:
    """What `play` returns when it is given the model's pool."""
    run = Run(seed)
    world = PostgresWorld(run)
    make_model_event(run, world.database, seats=SEATS, blocked=BLOCKED)
    event = world.database.tables["events"][EVENT]
    event["payment_methods"], event["seats_per_visitor"] = list(METHODS), 4
    client = run.loop.outside
    try:
        pool = client.context.run(SimPool, world, size=4, timeout_s=PATIENT_MS / 1000)
        answer = run.loop.run_until_complete(client.spawn(play(pool)))  # type: ignore[arg-type]
        assert run.violations == []
        return answer, world.database
    finally:
        run.loop.end()


@pytest.fixture(autouse=True)
def no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is pgqueuer's, and no part of the model."""

    async def queue(*_: Any) -> None:
        return

    monkeypatch.setattr(jobs, "_queue", queue)


@pytest.fixture
async def real(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A pool of the real Postgres, in which nothing times out, with the same event."""
    monkeypatch.setattr(ledger_pool, "LOCK_TIMEOUT_MS", PATIENT_MS)
    monkeypatch.setattr(ledger_pool, "IDLE_IN_TRANSACTION_MS", PATIENT_MS)
    pool = await open_pool(msgspec.structs.replace(settings, ledger_timeout_ms=PATIENT_MS))
    await make_real_event(pool)
    yield pool
    pool.terminate()


async def make_real_event(pool: Any) -> None:
    assert await make_event(pool, SEATS, per_visitor=4) == EVENT
    await run_sql(pool, "UPDATE events SET payment_methods = $1", list(METHODS))
    await run_sql(pool, "UPDATE seats SET status = 'blocked' WHERE index = $1", BLOCKED)


def sorted_rows(rows: list[list[Any]]) -> list[list[Any]]:
    return sorted(rows, key=repr)


async def real_tables(pool: Any, names: dict[UUID, str]) -> dict[str, list[list[Any]]]:
    return {
        table: sorted_rows([[plain(value, names) for value in row] for row in await run_sql(pool, statement)])
        for table, statement in TABLES.items()
    }


def model_tables(database: Database, names: dict[UUID, str]) -> dict[str, list[list[Any]]]:
    found = {}
    for table in TABLES:
        rows = []
        for key, row in database.tables[table].items():
            payment = database.tables["payments"].get(row.get("payment_id"))
            known = ({"order_id": payment["order_id"]} if payment else {}) | row
            if table == "payment_messages":
                known["message_id"] = key[1]
            rows.append([plain(known[name], names) for name in columns(table)])
        found[table] = sorted_rows(rows)
    return found


def plain(value: Any, names: dict[UUID, str]) -> Any:
    if isinstance(value, UUID):
        return names.get(UUID(int=value.int), str(value))
    return bytes(value) if isinstance(value, bytes | memoryview) else value


@pytest.mark.parametrize("seed", range(STORIES))
async def test_a_story_goes_the_same_in_both(real: Any, seed: int) -> None:
    async def tell(pool: Any) -> Story:
        story = Story(pool, seed)
        await story.tell(LENGTH)
        return story

    in_model, database = await asyncio.to_thread(in_the_model, seed, tell)
    in_postgres = await tell(real)
    for number, (expected, answer) in enumerate(zip(in_postgres.answers, in_model.answers, strict=False)):
        assert answer == expected, f"step {number}: {in_postgres.answers[max(0, number - 3) : number]}"
    assert len(in_model.answers) == len(in_postgres.answers)
    expected_tables = await real_tables(real, in_postgres.names)
    for table, rows in model_tables(database, in_model.names).items():
        assert rows == expected_tables[table], table


# ---- two at once ----

RESET = """
    TRUNCATE bookings, orders, verdicts, payments, payment_messages, refunds, test_card_sessions, test_card_refunds
    RESTART IDENTITY CASCADE
"""


async def waits_in_postgres(pool: Any, task: asyncio.Task[Any]) -> bool:
    while not task.done():
        if (await run_sql(pool, "SELECT count(*) FROM pg_locks WHERE NOT granted"))[0][0]:
            return True
        await asyncio.sleep(0.002)
    return False


async def waits_in_the_model(pool: Any, task: asyncio.Task[Any]) -> bool:
    await asyncio.sleep(0.9)
    return not task.done()


@pytest.mark.parametrize("first", FIRST)
async def test_two_at_once_wait_for_each_other_in_both(real: Any, first: str) -> None:
    for second, commit in product(SECOND, (True, False)):
        asked = f"{first}, {second}, {'committed' if commit else 'rolled back'}"
        await run_sql(real, RESET)
        await run_sql(real, "UPDATE events SET status = 'published', status_version = 1, epoch = 0, seq = 0")
        expected = await overlap(real, waits_in_postgres, first, second, commit=commit)

        async def in_model(pool: Any, second: str = second, commit: bool = commit) -> list[Any]:
            return await overlap(pool, waits_in_the_model, first, second, commit=commit)

        answer, database = await asyncio.to_thread(in_the_model, 0, in_model)
        assert Story(None, 0).plain(answer) == Story(None, 0).plain(expected), asked
        assert model_tables(database, {}) == await real_tables(real, {}), asked
