"""Jobs as staff see them: listed by state, and tried again when they failed for good."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from site_clients import Refusal, Site, Visitor, make_event, result, visited_site
from staff_world import bearer, make_key, run

from seatmap.config import Settings
from seatmap.ledger import jobs, mails
from seatmap.ledger.pool import Pool, connection, open_pool
from seatmap.ledger.tasks import GENERATE_SEATS, GenerateSeats
from seatmap.model import Role
from seatmap.worker import jobs as worker

PATH = "/api/admin/jobs"


@pytest.fixture
async def site(settings: Settings) -> AsyncIterator[Site]:
    await make_event(settings)
    async with visited_site(settings) as site:
        yield site


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[Pool]:
    pool = await open_pool(settings)
    yield pool
    await pool.close()


@pytest.fixture
async def admin(site: Site) -> Visitor:
    visitor = site.visitor()
    visitor.http.headers.update(bearer((await make_key(site.settings, Role.admin))[0]))
    return visitor


async def queued(pool: Pool, event_id: int = 1) -> int:
    async with connection(pool) as conn, conn.transaction():
        return await jobs.enqueue(conn, GENERATE_SEATS, GenerateSeats(event_id), event_id)


async def test_mails_that_were_sent_are_listed_on_request_only(
    admin: Visitor, pool: Pool, settings: Settings
) -> None:
    async with connection(pool) as conn, conn.transaction():
        sent = await mails.enqueue(conn, "ada@example.org", "Hello", "A mail.")
    await work(pool, settings)
    async with connection(pool) as conn, conn.transaction():
        waits = await mails.enqueue(conn, "ada@example.org", "Hello", "Another.")
    assert [job["id"] for job in (await admin.get(PATH))["jobs"]] == [waits]
    assert [job["id"] for job in (await admin.get(f"{PATH}?sent_mails=1"))["jobs"]] == [waits, sent]


async def work(pool: Pool, settings: Settings) -> None:
    await worker.run(pool, settings, asyncio.Event(), drain=True)


async def test_jobs_are_listed_in_pieces_and_by_state(admin: Visitor, pool: Pool) -> None:
    made = [await queued(pool) for _ in range(5)]
    first = await admin.get(f"{PATH}?limit=3")
    assert [job["id"] for job in first["jobs"]] == made[:1:-1]
    rest = await admin.get(f"{PATH}?limit=3&cursor={first['next']}")
    assert [job["id"] for job in rest["jobs"]] == made[1::-1]
    assert rest["next"] is None
    assert {"kind", "event_id", "state", "done", "total", "error", "created_at"} <= first["jobs"][0].keys()
    assert (await admin.get(f"{PATH}?state=failed"))["jobs"] == []
    assert len((await admin.get(f"{PATH}?state=queued"))["jobs"]) == 5
    with pytest.raises(Refusal, match="invalid"):
        await admin.get(f"{PATH}?state=lost")


async def test_a_failed_job_is_tried_again_and_then_done(
    site: Site, admin: Visitor, pool: Pool, settings: Settings
) -> None:
    [plan] = await run(settings, "SELECT id, body FROM plans")
    await run(settings, "UPDATE plans SET body = 'not a plan'")
    job_id = await queued(pool)
    await work(pool, settings)
    [failed] = (await admin.get(f"{PATH}?state=failed"))["jobs"]
    assert (failed["id"], failed["done"]) == (job_id, 0)
    assert failed["error"]
    await run(settings, "UPDATE plans SET body = $1", plan["body"])
    assert result(await admin.http.post(f"{PATH}/{job_id}/retry")) == {}
    with pytest.raises(Refusal, match="job_not_failed"):
        result(await admin.http.post(f"{PATH}/{job_id}/retry"))
    await work(pool, settings)
    [done] = (await admin.get(f"{PATH}?state=done"))["jobs"]
    assert (done["id"], done["error"]) == (job_id, "")
    assert [row["payload"] for row in await run(settings, "SELECT payload FROM jobs")] == [""]
    logged = await run(settings, "SELECT details FROM audit_log WHERE object = 'job' AND verb = 'retry'")
    assert len(logged) == 1


async def test_only_what_failed_can_be_tried_again(admin: Visitor, pool: Pool) -> None:
    job_id = await queued(pool)
    for number, code in ((job_id, "job_not_failed"), (999999, "job_not_found"), ("x", "job_not_found")):
        with pytest.raises(Refusal, match=code):
            result(await admin.http.post(f"{PATH}/{number}/retry"))


async def test_all_that_failed_is_tried_again_after_what_waits(
    admin: Visitor, pool: Pool, settings: Settings
) -> None:
    [plan] = await run(settings, "SELECT id, body FROM plans")
    await run(settings, "UPDATE plans SET body = 'not a plan'")
    failed = [await queued(pool) for _ in range(3)]
    await work(pool, settings)
    await run(settings, "UPDATE plans SET body = $1", plan["body"])
    waits = await queued(pool)
    assert result(await admin.http.post(f"{PATH}/retry")) == {"jobs": 3}
    assert result(await admin.http.post(f"{PATH}/retry")) == {"jobs": 0}
    first, *others = await run(
        settings,
        "SELECT (convert_from(payload, 'UTF8')::jsonb ->> 'job_id')::bigint AS job FROM pgqueuer"
        " ORDER BY priority DESC, id",
    )
    assert first["job"] == waits
    assert sorted(row["job"] for row in others) == failed
    await work(pool, settings)
    done = (await admin.get(f"{PATH}?state=done"))["jobs"]
    assert sorted(job["id"] for job in done) == [*failed, waits]
    logged = await run(settings, "SELECT details FROM audit_log WHERE object = 'job' AND verb = 'retry'")
    assert len(logged) == 1
