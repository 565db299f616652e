"""Events, plans, seats, the instance, and what the absence of Postgres looks like."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import msgspec
import pytest
from ledger_world import BACK, FRONT, make_event, plan_seats, purchase, run_sql

from seatmap.config import Settings
from seatmap.errors import Refused, Unavailable
from seatmap.ledger import events, instance, orders, plans, seats
from seatmap.ledger.group import GroupCommit
from seatmap.ledger.pool import connection, open_pool

pytestmark = pytest.mark.integration


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(settings)
    yield pool
    await pool.close()


async def test_an_event_is_read_as_it_was_made(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool, publish=False)
    event = await events.get(pool, event_id)
    assert event is not None
    assert (event.name, event.status, event.status_version, event.epoch) == ("Show", "draft", 0, 0)
    assert (event.seat_count, event.currency, event.plan_version, event.seats_per_visitor) == (
        20,
        "EUR",
        1,
        4,
    )
    assert event.starts_at == datetime(2030, 5, 1, 19, tzinfo=UTC)
    assert [(c.name, c.price, c.color) for c in event.categories] == [
        ("front", FRONT, "#112233"),
        ("back", BACK, ""),
    ]
    assert await plans.body(pool, event.plan_id) == b"{}"
    assert await events.get(pool, 12345) is None
    assert msgspec.json.encode(event)
    with pytest.raises(Refused):
        await plans.body(pool, 12345)


async def test_the_status_moves_forward_only(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool, publish=False)
    assert await events.published(pool) == []
    assert await events.publish(pool, event_id)
    assert await events.publish(pool, event_id)
    (event,) = await events.published(pool)
    assert (event.id, event.status_version) == (event_id, 1)
    assert await events.cancel(pool, event_id) == 1
    assert await events.cancel(pool, event_id) == 1, "a lost answer can be asked for again"
    assert not await events.publish(pool, event_id)
    event_now = await events.get(pool, event_id)
    assert event_now is not None
    assert (event_now.status, event_now.status_version, event_now.epoch) == ("cancelled", 2, 1)
    for change in (events.cancel, events.raise_epoch):
        with pytest.raises(Refused) as refused:
            await change(pool, 12345)
        assert refused.value.code == "event_not_found"


async def test_an_event_without_all_its_seats_is_not_published(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool, publish=False)
    await run_sql(pool, "DELETE FROM seats WHERE event_id = $1 AND index = 19", event_id)
    assert not await events.publish(pool, event_id)


async def test_occupied_tells_what_nobody_can_buy(pool: asyncpg.Pool) -> None:
    event_id, other = await make_event(pool), await make_event(pool)
    await run_sql(pool, "UPDATE seats SET status = 'blocked' WHERE event_id = $1 AND index > 17", event_id)
    group = GroupCommit(pool)
    kept, returned = purchase(event_id, 3, 1), purchase(event_id, 4)
    for each in (kept, returned, purchase(other, 7)):
        assert (await group.book(each)).outcome == "committed"
    await orders.cancel(pool, returned.order_id, returned.visitor)
    occupied = await events.occupied(pool, event_id)
    assert occupied.taken == (
        (1, kept.order_id.hex, "confirmed", ""),
        (3, kept.order_id.hex, "confirmed", ""),
    )
    assert occupied.blocked == (18, 19)


async def test_one_rebuilder_at_a_time(pool: asyncpg.Pool) -> None:
    async with (
        events.try_lock(pool, 1) as mine,
        events.try_lock(pool, 1) as also,
        events.try_lock(pool, 2) as other,
    ):
        assert (mine, also, other) == (True, False, True)
    with pytest.raises(ConnectionError):
        async with events.try_lock(pool, 1):
            raise ConnectionError("of the block, not of Postgres")
    async with events.try_lock(pool, 1) as mine:
        assert mine


async def test_a_rebuilder_may_lose_its_lock_and_end_in_peace(pool: asyncpg.Pool) -> None:
    async with events.try_lock(pool, 1) as mine:
        assert mine
        async with connection(pool) as conn:
            before = pool.get_size()
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks"
                " WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
            async with asyncio.timeout(30):
                while pool.get_size() == before:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
    async with events.try_lock(pool, 1) as mine:
        assert mine


async def test_seats_are_generated_once_however_often_it_is_tried(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool, 0, publish=False)
    plan = plan_seats(12_001)
    told: list[tuple[int, int]] = []

    async def progress(done: int, total: int) -> None:
        told.append((done, total))
        if done == 5000:
            raise RuntimeError("killed here")

    async with connection(pool) as conn:
        ids = await seats.categories(conn, event_id)
        with pytest.raises(RuntimeError):
            await seats.generate(conn, event_id, plan, ids, progress)
        assert told == [(0, 12_001), (5000, 12_001)]

    async def again() -> None:
        async with connection(pool) as conn:
            await seats.generate(conn, event_id, plan, ids)

    await asyncio.gather(again(), again(), again())
    table = await seats.seat_table(pool, event_id)
    assert len(table.labels) == 12_001
    assert table.labels[:2] == ("Hall, row A, seat 1", "Hall, row A, seat 2")
    assert table.categories[:2] == ("front", "back")
    assert table.prices[:2] == (FRONT, BACK)
    assert table.blocked == frozenset()
    async with connection(pool) as conn:
        with pytest.raises(KeyError, match="front"):
            await seats.generate(conn, event_id, plan, {"back": 1})


async def test_a_hundred_thousand_seats(pool: asyncpg.Pool, capsys: pytest.CaptureFixture[str]) -> None:
    start = time.perf_counter()
    event_id = await make_event(pool, 100_000)
    made = time.perf_counter()
    await events.occupied(pool, event_id)
    await seats.seat_table(pool, event_id)
    with capsys.disabled():
        print(f"\n100,000 seats: made in {made - start:.1f} s, read in {time.perf_counter() - made:.2f} s")  # noqa: T201


async def test_a_booking_does_not_edit_its_event(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    read = "SELECT updated_at, seq FROM events WHERE id = $1"
    (before,) = await run_sql(pool, read, event_id)
    await GroupCommit(pool).book(purchase(event_id, 1))
    (booked,) = await run_sql(pool, read, event_id)
    await events.raise_epoch(pool, event_id)
    (raised,) = await run_sql(pool, read, event_id)
    assert before["updated_at"] == booked["updated_at"] < raised["updated_at"]
    assert before["seq"] + 1 == booked["seq"] == raised["seq"]


async def test_the_secret_is_made_once(pool: asyncpg.Pool) -> None:
    secret = await instance.secret(pool)
    assert len(secret) == 32
    assert await instance.secret(pool) == secret
    with pytest.raises(asyncpg.UniqueViolationError):
        await run_sql(pool, "INSERT INTO instance DEFAULT VALUES")


async def test_no_postgres_is_unavailable(settings: Settings) -> None:
    nowhere = msgspec.structs.replace(settings, database_url="postgresql://nobody@/none?host=/nowhere")
    with pytest.raises(Unavailable):
        await open_pool(nowhere)
    pool = await open_pool(settings, size=2)
    await pool.close()
    with pytest.raises(Unavailable):
        await instance.secret(pool)


async def test_a_slow_statement_is_unavailable(settings: Settings) -> None:
    pool = await open_pool(msgspec.structs.replace(settings, ledger_timeout_ms=50))
    with pytest.raises(Unavailable):
        await run_sql(pool, "SELECT pg_sleep(1)")
    assert await instance.secret(pool), "the pool goes on"
    await pool.close()
