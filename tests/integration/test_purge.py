"""The daily purge: what is old and of no use goes, in pieces, also with two workers; nothing else does."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import msgspec
import pytest
from checkout_world import until
from ledger_world import run_sql
from payment_world import Till, open_till

from seatmap.config import Settings
from seatmap.ledger import jobs, purge, schedule
from seatmap.ledger.pool import connection, open_pool
from seatmap.ledger.purge import PURGE, Purge
from seatmap.worker import jobs as worker
from seatmap.worker.run import Worker

OLD = "now() - interval '31 days'"
NEVER = ("events", "seats", "verdicts", "orders", "bookings", "payments", "refunds", "audit_log")


@pytest.fixture
async def till(settings: Settings) -> AsyncIterator[Till]:
    async with open_till(settings) as till:
        yield till


async def fill(till: Till) -> None:
    """Of everything that may go: something old, and something that is still of use."""
    sql = till.shop.sql
    paid = await till.order("ann", 2)
    payment = await till.payment(paid)
    await till.say(payment, "captured")
    await till.cancel("ann", paid)
    await till.cashier.beat()
    await till.say(await till.payment(await till.order("bob", 3)), "authorized")
    await sql(f"UPDATE payment_messages SET created_at = {OLD} WHERE payment_id = $1", payment.id)
    await sql(
        f"""
        INSERT INTO users (email, created_at, verified_at, role) VALUES
            ('never@example.org', {OLD}, NULL, 'buyer'), ('again@example.org', {OLD}, NULL, 'buyer'),
            ('new@example.org', now(), NULL, 'buyer'), ('true@example.org', {OLD}, {OLD}, 'buyer'),
            ('acted@example.org', {OLD}, NULL, 'buyer'), ('staff@example.org', {OLD}, NULL, 'admin')
        """
    )
    for address, lasts, used in (
        ("never", "- interval '30 days'", "NULL"),
        ("again", "+ interval '1 day'", "NULL"),
        ("true", "+ interval '1 day'", "now() - interval '2 days'"),
        ("true", "- interval '1 hour'", "NULL"),
    ):
        await sql(
            f"""
            INSERT INTO account_tokens (hash, user_id, purpose, expires_at, used_at)
            SELECT sha256(gen_random_uuid()::text::bytea), id, 'verify', now() {lasts}, {used}
            FROM users WHERE email = $1
            """,
            f"{address}@example.org",
        )
    await sql(
        "INSERT INTO audit_log (user_id, verb, object, details)"
        " SELECT id, 'x', 'y', '{}' FROM users WHERE email = 'acted@example.org'"
    )
    await sql(
        f"INSERT INTO idempotency_keys (caller, key, fingerprint, created_at)"
        f" SELECT 'ann', n::text, '', CASE WHEN n > 5 THEN {OLD} ELSE now() END FROM generate_series(1, 1205) n"
    )
    await sql("ALTER TABLE jobs DISABLE TRIGGER touch")
    await sql(
        f"INSERT INTO jobs (kind, state, updated_at) SELECT 'x', s, t FROM"
        f" unnest(ARRAY['done', 'failed', 'queued']) s, unnest(ARRAY[now(), {OLD}]) t"
    )
    await sql("ALTER TABLE jobs ENABLE TRIGGER touch")
    await sql(
        f"INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, created) SELECT n, 'successful', 0, 'x',"
        f" CASE WHEN n > 7 THEN {OLD} ELSE now() END FROM generate_series(1, 20) n"
    )


async def counts(till: Till, *tables: str) -> dict[str, int]:
    return {table: await till.value(f"SELECT count(*) FROM {table}") for table in tables}


async def enqueue(till: Till, times: int = 1) -> list[int]:
    async with connection(till.pool) as conn, conn.transaction():
        return [await jobs.enqueue(conn, PURGE, Purge()) for _ in range(times)]


async def work(till: Till, workers: int = 1) -> None:
    settings = till.shop.stores.settings
    await asyncio.gather(
        *(worker.run(till.pool, settings, asyncio.Event(), drain=True) for _ in range(workers))
    )


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_is_old_goes_and_nothing_else(till: Till, workers: int) -> None:
    await fill(till)
    before = await counts(till, *NEVER)
    ids = await enqueue(till, workers)
    await work(till, workers)
    assert await counts(till, *NEVER) == before
    left = await till.shop.sql("SELECT email FROM users ORDER BY email")
    assert [row[0].partition("@")[0] for row in left] == ["acted", "again", "new", "staff", "true"]
    assert await till.value("SELECT count(*) FROM account_tokens") == 2
    assert await till.value("SELECT count(*) FROM idempotency_keys") == 5
    assert await till.value("SELECT outcome FROM payment_messages") == "authorized"
    assert await till.value("SELECT count(*) FROM jobs WHERE kind = 'x'") == 5
    assert await till.value("SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'x'") == 7
    seen = [await jobs.progress(till.pool, job_id) for job_id in ids]
    assert all(job is not None and job.state == "done" for job in seen)
    # tokens 2, account 1, keys 1200, message 1, job 1, log 13; each once
    assert sum(job.done for job in seen if job) >= 1218
    if workers == 1:
        assert seen[0] is not None
        assert (seen[0].done, seen[0].total) == (1218, 1218)
    await enqueue(till)
    await work(till)
    assert await counts(till, *NEVER) == before
    assert await till.value("SELECT count(*) FROM users") == 5


async def test_it_goes_on_where_it_was_cut_off(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies in the middle: the next run does the rest."""
    await fill(till)
    some, calls = purge.some, 0

    async def dies(pool: asyncpg.Pool, what: purge.Old) -> int:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise OSError("the worker dies")
        return await some(pool, what)

    monkeypatch.setattr(purge, "some", dies)
    (job_id,) = await enqueue(till)
    await work(till)
    job = await jobs.progress(till.pool, job_id)
    assert job is not None
    assert job.state == "done"
    assert await till.value("SELECT count(*) FROM idempotency_keys") == 5


async def test_ages_are_settings(till: Till) -> None:
    settings = msgspec.structs.replace(till.shop.stores.settings, keep_days=40, unverified_days=40)
    await fill(till)
    await enqueue(till)
    await worker.run(till.pool, settings, asyncio.Event(), drain=True)
    assert await till.value("SELECT count(*) FROM users") == 6
    assert await till.value("SELECT count(*) FROM jobs WHERE kind = 'x'") == 6
    assert await till.value("SELECT count(*) FROM payment_messages") == 2


async def test_mails_in_files_grow_old_too(till: Till, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(till.shop.stores.settings, data=tmp_path)
    (tmp_path / "outbox").mkdir()
    for name in ("1.eml", "2.eml"):
        (tmp_path / "outbox" / name).touch()
    os.utime(tmp_path / "outbox" / "1.eml", (0, 0))
    await enqueue(till)
    await worker.run(till.pool, settings, asyncio.Event(), drain=True)
    assert [path.name for path in (tmp_path / "outbox").iterdir()] == ["2.eml"]


async def test_it_comes_by_itself_once_for_all_workers(settings: Settings) -> None:
    pools = [await open_pool(settings) for _ in range(3)]
    await run_sql(
        pools[0],
        "INSERT INTO pgqueuer_schedules (expression, entrypoint, next_run) VALUES ('17 3 * * *', $1, now())",
        PURGE,
    )
    serving = [asyncio.create_task(schedule.serve(pool, PURGE, Purge(), "17 3 * * *")) for pool in pools]

    async def came() -> bool:
        done = await run_sql(
            pools[0], "SELECT FROM pgqueuer_schedules WHERE status = 'queued' AND next_run > now()"
        )
        return bool(done) and bool(await run_sql(pools[0], "SELECT FROM jobs"))

    await until(came)
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)
    assert len(await run_sql(pools[0], "SELECT FROM jobs WHERE kind = $1", PURGE)) == 1
    async with connection(pools[0]) as conn, conn.transaction():
        await jobs.enqueue_once(conn, PURGE, Purge())
    assert len(await run_sql(pools[0], "SELECT FROM jobs WHERE kind = $1", PURGE)) == 1
    for pool in pools:
        await pool.close()


async def test_the_worker_keeps_the_schedule(till: Till) -> None:
    stop = asyncio.Event()
    working = asyncio.create_task(Worker(till.shop.stores).run(stop))

    async def kept() -> bool:
        return bool(await till.shop.sql("SELECT FROM pgqueuer_schedules WHERE entrypoint = $1", PURGE))

    await until(kept)
    stop.set()
    await working
