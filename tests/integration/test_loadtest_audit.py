"""The audit of a load test believes a clean run and finds every kind of lie."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from running_site import running_site

from loadtest.audit import Findings, audit
from loadtest.bench_site import get
from loadtest.client import Client, decode_reply
from loadtest.page import Page
from loadtest.record import Record, Records, Seen, Told
from seatmap import demo
from seatmap.config import Settings
from seatmap.ledger.pool import open_pool
from seatmap.simulate import uuid7

STUDIO = 2
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(settings, size=2)
    yield pool
    await pool.close()


@pytest.fixture
async def told(settings: Settings) -> list[Record]:
    """What clients were really told: one order, one order given back, one refusal, one map."""
    await demo.make(settings)
    async with running_site(settings) as url:
        page = Page()
        watcher = await Client.connect(url, STUDIO, page.apply)
        buyer = await Client.connect(url, STUDIO)
        found: list[Record] = []
        for seats, price in (((0, 1), 3600), ((20,), 1200), ((30,), 1)):
            found.append(await book(buyer, seats, price))
        order_id = found[1].order_id if isinstance(found[1], Told) else ""
        gone = b'{"type":"cancel","order_id":"%s"}' % order_id.encode()
        assert decode_reply(await buyer.ask(gone)).error is None
        found.append(Told(event_id=STUDIO, order_id=order_id, command="cancel", answer="cancelled"))
        found.append(await last_map(url, page))
        watcher.close()
        buyer.close()
    return found


async def book(buyer: Client, seats: tuple[int, ...], total: int) -> Told:
    mine = decode_reply(await buyer.ask(msgspec.json.encode({"type": "hold", "seats": seats}))).mine
    assert mine is not None
    order_id = uuid7()
    order = {"type": "book", "order_id": order_id, "hold_id": mine.hold_id, "seats": seats, "total": total}
    error = decode_reply(
        await buyer.ask(msgspec.json.encode({**order, "name": "Ada", "email": "ada@example.org"}))
    ).error
    answer, code = ("refused", error.code) if error else ("booked", "")
    if error:
        await buyer.ask(msgspec.json.encode({"type": "release", "hold_id": mine.hold_id}))
    return Told(
        event_id=STUDIO, order_id=str(order_id), command="book", answer=answer, seats=seats, code=code
    )


async def last_map(url: str, page: Page) -> Seen:
    async with asyncio.timeout(30):
        while True:
            site = await asyncio.to_thread(get, f"{url}/api/events/{STUDIO}/seats?compact=1")
            epoch, version = page.position
            if (site["epoch"], site["version"]) == page.position and site["counts"]["booked"] == 2:
                return Seen(
                    event_id=STUDIO, epoch=epoch, version=version, page=page.digits, site=site["statuses"]
                )
            await asyncio.sleep(0.05)


def order_of(record: Record) -> UUID:
    assert isinstance(record, Told)
    return UUID(record.order_id)


async def test_a_clean_run_passes(settings: Settings, told: list[Record]) -> None:
    found = await audit(settings, told)
    assert found.lies == []
    assert found.counts["booked"] == 2
    assert found.counts["refused"] == found.counts["cancelled"] == found.counts["maps"] == 1
    assert found.counts["bookings"] == 3


def changed(record: Record, **fields: object) -> Record:
    return msgspec.structs.replace(record, **fields)


LIES: list[tuple[str, Callable[[list[Record]], Record]]] = [
    ("told to be booked", lambda told: changed(told[0], order_id=str(uuid4()))),
    ("told to be booked", lambda told: changed(told[2], answer="booked")),
    ("Postgres has {0, 1}", lambda told: changed(told[0], seats=(0,))),
    ("told to be refused", lambda told: changed(told[0], answer="refused", code="seat_taken")),
    ("told to be cancelled", lambda told: changed(told[0], command="cancel", answer="cancelled")),
    ("in seats [3]", lambda told: swapped(told[4])),
    ("never came", lambda told: changed(told[4], site="")),
]


def swapped(record: Record) -> Record:
    assert isinstance(record, Seen)
    return changed(record, version=9999, page=record.page[:3] + "2" + record.page[4:])


@pytest.mark.parametrize(("words", "lie"), LIES)
async def test_each_lie_is_found(
    settings: Settings, told: list[Record], words: str, lie: Callable[[list[Record]], Record]
) -> None:
    found = await audit(settings, [*told, lie(told)])
    assert any(words in sentence for sentence in found.lies), found.lies


async def broken(settings: Settings, pool: asyncpg.Pool, told: list[Record], *statements: str) -> Findings:
    for statement in statements:
        await pool.execute(statement)
    return await audit(settings, told)


async def test_a_seat_sold_twice_is_found(settings: Settings, pool: asyncpg.Pool, told: list[Record]) -> None:
    found = await broken(
        settings,
        pool,
        told,
        "DROP INDEX one_active_booking_per_seat",
        f"""
        INSERT INTO bookings (order_id, event_id, seat, status, price, currency, seq_on)
        SELECT '{order_of(told[0])}', event_id, 20, 'confirmed', price, currency, seq_on FROM bookings
        WHERE seat = 20
        """,
    )
    assert any("seat 20 belonged to" in lie for lie in found.lies)
    assert any("Event 2, seat 20: Redis says" in lie for lie in found.lies)


async def test_half_an_order_is_found(settings: Settings, pool: asyncpg.Pool, told: list[Record]) -> None:
    half = "UPDATE bookings SET status = 'cancelled', seq_off = seq_on + 1 WHERE seat = 1"
    found = await broken(settings, pool, told, half)
    assert any("its bookings ['cancelled', 'confirmed']" in lie for lie in found.lies)


async def test_the_program_fails_loudly(settings: Settings, told: list[Record], tmp_path: Path) -> None:
    async def run() -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "loadtest.audit", str(tmp_path / "records"), "--json"]
        stores = {"REDIS_URL": settings.redis_url, "DATABASE_URL": settings.database_url}
        return await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, env=os.environ | stores, capture_output=True, check=False
        )

    records = Records(tmp_path / "records")
    for record in told:
        records.add(record)
    clean = await run()
    assert clean.returncode == 0, clean.stderr
    assert msgspec.json.decode(clean.stdout)["lies"] == []
    records.add(changed(told[0], order_id=str(uuid4())))
    records.close()
    lie = await run()
    assert lie.returncode == 1
    assert len(msgspec.json.decode(lie.stdout)["lies"]) == 1
