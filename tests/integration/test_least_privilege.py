"""Row 28: the product as users of both stores who may do no more than docs/operations.md grants them."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import redis
from account_world import Person, mails_to
from admin_world import NEW, Office, open_office
from msgspec.structs import replace
from site_clients import order, until

from seatmap import doctor
from seatmap.config import Settings
from seatmap.verify import verify
from seatmap.worker.run import work

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
FORBIDDEN_REDIS = [
    "CONFIG GET maxmemory",
    "CONFIG SET maxmemory-policy allkeys-lru",
    "FLUSHALL",
    "FLUSHDB",
    "KEYS *",
    "SCRIPT FLUSH",
    "FUNCTION FLUSH",
    "ACL LIST",
    "CLIENT LIST",
    "CLIENT PAUSE 1",
    "SHUTDOWN NOSAVE",
    "REPLICAOF NO ONE",
    "SAVE",
    "MONITOR",
    "MODULE LIST",
    "GET elsewhere",
    "SET elsewhere 1",
    "SPUBLISH elsewhere 1",
]
FORBIDDEN_POSTGRES = [
    "CREATE TABLE more (id int)",
    "CREATE TEMPORARY TABLE more (id int)",
    "CREATE SCHEMA more",
    "CREATE ROLE more",
    "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER TABLE orders ADD COLUMN more int",
    "ALTER TABLE bookings DISABLE TRIGGER ALL",
    "DROP INDEX audit_log_of_event",
    "DROP TABLE bookings",
    "TRUNCATE bookings",
    "UPDATE audit_log SET verb = 'nothing'",
    "DELETE FROM audit_log",
    "DELETE FROM schema_migrations",
    "INSERT INTO schema_migrations VALUES ('1')",
    "ALTER SYSTEM SET fsync = off",
    "COPY users TO PROGRAM 'cat'",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT rolpassword FROM pg_authid",
]


def block(language: str) -> str:
    """What the document says to run."""
    found = re.search(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def name() -> str:
    return f"app_{uuid4().hex[:8]}"


@pytest.fixture
def redis_url(settings: Settings, name: str) -> Iterator[str]:
    with redis.Redis.from_url(settings.redis_url) as admin:
        admin.execute_command(*block("redis").replace("seatmap_app", name).split())
        yield settings.redis_url.replace("unix://", f"unix://{name}:a-long-random-one@")
        admin.execute_command("ACL", "DELUSER", name)


@pytest.fixture
async def database_url(settings: Settings, name: str) -> AsyncIterator[str]:
    url = settings.database_url
    database = url.partition("?")[0].rpartition("/")[2]
    statements = block("sql").replace("seatmap_app", name).replace("DATABASE seatmap", f"DATABASE {database}")
    owner = await asyncpg.connect(url)
    try:
        for statement in statements.split(";\n"):
            if statement.strip():
                await owner.execute(statement)
        yield url.replace("//postgres@", f"//{name}:password@")
        await owner.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    finally:
        await owner.close()


@pytest.fixture
def bounded(settings: Settings, redis_url: str, database_url: str) -> Settings:
    assert redis_url != settings.redis_url
    assert database_url != settings.database_url
    return replace(settings, redis_url=redis_url, database_url=database_url, grace_ms=0)


async def test_a_whole_sale(settings: Settings, bounded: Settings) -> None:
    """An event made, held, booked, cancelled, lost in Redis and rebuilt; accounts, mails, jobs and the worker."""
    async with open_office(bounded) as office:
        event = await office.published()
        page = await office.site.page(event)
        hold = await page.ask("hold", seats=[0, 1])
        booked = await page.ask("book", **(order(hold) | {"total": 2 * NEW["categories"][0]["price"]}))
        assert booked["status"] == "confirmed"
        kept = await page.ask("hold", seats=[2])
        await page.ask("book", **(order(kept) | {"total": NEW["categories"][0]["price"]}))
        cancelled = await page.ask("cancel", order_id=booked["id"])
        assert cancelled["status"] == "cancelled"
        person = Person(office.site)
        await person.sign_up()
        await person.sign_in()
        assert await mails_to(bounded, person.address)

        epoch = page.position.epoch
        with redis.Redis.from_url(settings.redis_url) as admin:
            admin.flushall()  # which the product itself could not do
        await until(lambda: page.position.epoch > epoch, 30)
        await until(lambda: page.statuses[2] == 2 and page.statuses[0] == 0)
        await person.sign_in()
        assert (await page.ask("hold", seats=[0]))["seats"] == [0]
        await office.post(event, "cancel", {"reason": "rain"})
        await office.work()
        assert "cancel" in await office.log(event)
        assert await verify(bounded, event) == []


async def made(office: Office, event: int) -> None:
    """Wait until the worker has made an event's seats."""
    async with asyncio.timeout(30):
        while True:
            if (await office.get(f"/events/{event}"))["seat_count"] == 40:
                return
            await asyncio.sleep(0.05)


async def mailed(settings: Settings, order_id: str) -> None:
    """Wait until there is a mail about an order."""
    outbox = settings.data / "outbox"
    await until(lambda: any(order_id in path.read_text() for path in outbox.glob("*.eml")), 30)


async def test_the_worker(bounded: Settings) -> None:
    async with open_office(replace(bounded, hold_seconds=1, sweep_ms=20)) as office:
        event = await office.published()
        page = await office.site.page(event)
        stop = asyncio.Event()
        working = asyncio.create_task(work(office.site.settings, stop))
        try:
            kept = await page.ask("hold", seats=[5])
            total = NEW["categories"][0]["price"]
            booked = await page.ask("book", **order(kept, total=total, email="ada@seats.localhost"))
            await page.ask("hold", seats=[3])
            await page.shows(3, 0, 30)
            await mailed(bounded, booked["id"])
            done = await office.call("POST", "/events", NEW)
            await made(office, done["id"])
        finally:
            stop.set()
            await working


@pytest.mark.parametrize("command", FORBIDDEN_REDIS)
def test_what_redis_forbids(redis_url: str, command: str) -> None:
    with (
        redis.Redis.from_url(redis_url) as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.execute_command(*command.split())


def test_what_redis_would_forbid_if_it_were_there(settings: Settings, redis_url: str, name: str) -> None:
    """DEBUG is usually off for everybody, and then says so to everybody."""
    with redis.Redis.from_url(settings.redis_url, decode_responses=True) as admin:
        assert "no permissions" in admin.execute_command("ACL", "DRYRUN", name, "DEBUG", "SLEEP", "0")
        assert admin.execute_command("ACL", "DRYRUN", name, "EVALSHA", "0", "0") == "OK"


@pytest.mark.parametrize("statement", FORBIDDEN_POSTGRES)
async def test_what_postgres_forbids(database_url: str, statement: str) -> None:
    app = await asyncpg.connect(database_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(statement)
    finally:
        await app.close()


def test_the_doctor_warns_of_users_who_may_do_more(settings: Settings, bounded: Settings) -> None:
    asked = {"Redis user", "Postgres user", "Migrations", "Redis maxmemory-policy", "Redis appendonly"}

    def levels(checked: Settings) -> dict[str, str]:
        return {found.name: found.level for found in doctor.check(checked) if found.name in asked}

    assert levels(bounded) == dict.fromkeys(asked, "ok")
    elsewhere = replace(settings, data=settings.data / "elsewhere")
    for found in doctor.check(elsewhere):
        if found.name in ("Redis user", "Postgres user"):
            assert found.level == "warn"
            assert "docs/operations.md" in found.sentence
    # of the embedded servers nobody else can reach the sockets
    assert levels(settings)["Redis user"] == levels(settings)["Postgres user"] == "ok"
