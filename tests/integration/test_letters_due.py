"""How letters become mails: each once, whoever dies and however many work, and never more than is allowed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from checkout_world import until
from ledger_world import purchase
from letter_world import ADA, ask_for, buy, due, posted, waiting
from payment_world import Till, open_till

from seatmap.config import Settings
from seatmap.errors import Unavailable
from seatmap.ledger import mails, orders
from seatmap.ledger.jobs import JOBS_AT_ONCE
from seatmap.ledger.mails import Mail
from seatmap.ledger.orders import Purchase
from seatmap.ledger.pool import connection, open_pool
from seatmap.worker import jobs, letters
from seatmap.worker.run import Worker


@pytest.fixture
async def till(settings: Settings) -> AsyncIterator[Till]:
    async with open_till(settings, 200, letters_per_s=7) as till:
        yield till


async def wanted(till: Till, seat: int, **changes: Any) -> Purchase:
    """An order by Ada that is confirmed at once."""
    epoch = await till.value("SELECT epoch FROM events")
    return purchase(till.shop.event_id, seat, **({"epoch": epoch, "email": ADA, "method": "free"} | changes))


async def book(conn: Any, batch: list[Purchase]) -> list[str]:
    """What each order of a batch stands at."""
    verdicts = await orders.book(conn, batch[0].event_id, batch, 900)
    return [verdicts[one.order_id].standing for one in batch]


async def sell(till: Till, count: int) -> set[str]:
    """So many orders, in batches as a rush makes them: their ids."""
    sold = [await wanted(till, seat) for seat in range(count)]
    async with connection(till.pool) as conn:
        for first in range(0, count, 32):
            batch = sold[first : first + 32]
            assert await book(conn, batch) == ["free"] * len(batch)
    return {str(one.order_id) for one in sold}


def about(found: list[Mail]) -> list[str]:
    """The orders that mails are about."""
    return [mail.text.rpartition("Your order: ")[2].strip() for mail in found]


async def test_a_batch_owes_a_letter_for_each_order_that_it_made(till: Till) -> None:
    batch = [await wanted(till, seat) for seat in (0, 1, 1)]
    batch += [await wanted(till, 3, method="test_card"), await wanted(till, 5, email="")]
    async with connection(till.pool) as conn:
        assert await book(conn, batch) == ["free", "free", "", "pending", "free"]
    rows = await till.shop.sql("SELECT order_id, kind FROM letters_due")
    assert {tuple(row) for row in rows} == {(one.order_id, "confirmed") for one in batch[:2]}


async def test_a_booking_pays_for_no_index_and_no_foreign_key(till: Till) -> None:
    table = "'letters_due'::regclass"
    assert not await till.value(f"SELECT count(*) FROM pg_index WHERE indrelid = {table}")
    assert not await till.value(
        f"SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = {table}"
    )


async def test_a_round_makes_as_many_as_are_allowed_and_less_what_waits(till: Till) -> None:
    settings = till.shop.stores.settings
    await sell(till, 20)
    assert [await letters.post(till.pool, settings) for _ in range(3)] == [7, 0, 0]
    assert await due(till) == 13
    await till.shop.sql(
        "UPDATE jobs SET state = 'done' WHERE id IN (SELECT id FROM jobs ORDER BY id LIMIT 3)"
    )
    assert [await letters.post(till.pool, settings) for _ in range(2)] == [3, 0]
    await till.shop.sql("UPDATE jobs SET state = 'failed'")
    assert [await letters.post(till.pool, settings) for _ in range(2)] == [7, 0]
    assert len(await waiting(till)) == 17
    assert await due(till) == 3


async def test_two_workers_at_once_make_each_once(till: Till, settings: Settings) -> None:
    sold = await sell(till, 150)
    others = [await open_pool(settings, size=1) for _ in range(2)]

    async def work(pool: asyncpg.Pool) -> None:
        while await due(till):
            await letters.post(pool, till.shop.stores.settings)
            await till.shop.sql("UPDATE jobs SET state = 'done'")

    await asyncio.gather(*(work(pool) for pool in others))
    for pool in others:
        await pool.close()
    told = about(await waiting(till))
    assert len(told) == 150
    assert set(told) == sold


async def test_what_one_worker_has_taken_the_other_does_not_wait_for(till: Till, settings: Settings) -> None:
    sold = await sell(till, 10)
    other = await open_pool(settings, size=1)
    async with connection(other) as conn, conn.transaction():
        taken = await letters.letters.take(conn, 4)
        rest = about(await posted(till))
    await other.close()
    assert len(rest) == 6
    assert set(rest) | {str(letter.order_id) for letter in taken} == sold


@pytest.mark.parametrize("death", ["of the worker", "of its session"])
async def test_a_worker_that_dies_between_taking_and_enqueueing_loses_nothing(
    till: Till, monkeypatch: pytest.MonkeyPatch, death: str
) -> None:
    sold = await sell(till, 5)
    enqueue = mails.enqueue_last

    async def dies(conn: Any, found: list[Mail]) -> None:
        await enqueue(conn, found)
        if death == "of its session":
            await conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        raise OSError("the worker dies")

    monkeypatch.setattr(mails, "enqueue_last", dies)
    with pytest.raises(Unavailable):
        await letters.post(till.pool, till.shop.stores.settings)
    monkeypatch.undo()
    assert await waiting(till) == []
    assert sorted(about(await posted(till))) == sorted(sold)
    assert await due(till) == 0


async def test_an_order_that_was_rolled_back_owes_nothing(till: Till) -> None:
    async with connection(till.pool) as conn:
        transaction = conn.transaction()
        await transaction.start()
        assert await book(conn, [await wanted(till, 0)]) == ["free"]
        assert await conn.fetchval("SELECT count(*) FROM letters_due") == 1
        await transaction.rollback()
    assert await due(till) == 0


async def test_the_worker_sends_them(till: Till) -> None:
    order = await buy(till, "ann", 2, 3)
    outbox = till.shop.stores.settings.data / "outbox"
    stop = asyncio.Event()
    working = asyncio.create_task(Worker(till.shop.stores).run(stop))

    async def sent() -> bool:
        return any(str(order.order_id) in path.read_text() for path in outbox.glob("*.eml"))

    await until(sent)
    stop.set()
    await working


async def test_other_jobs_go_first(till: Till) -> None:
    """A letter can wait; who has forgotten a password sits in front of the screen."""
    await sell(till, 7)
    await letters.post(till.pool, till.shop.stores.settings)
    async with connection(till.pool) as conn, conn.transaction():
        password = await mails.enqueue(conn, ADA, "Choose a new password", "Here.\n")
    await jobs.run(till.pool, till.shop.stores.settings, asyncio.Event(), drain=True)
    sent = [row["id"] for row in await till.shop.sql("SELECT id FROM jobs ORDER BY updated_at")]
    assert len(sent) == 8
    assert password in sent[:JOBS_AT_ONCE]


async def test_names_are_no_more_than_names(till: Till) -> None:
    await till.shop.sql(
        "UPDATE events SET name = $1, venue = $2", "Show\r\nBcc: all@x.y", "Hall\n\nFree beer"
    )
    order = await ask_for(till, "ann", 2, method="free", name="Ada\u2028\u2028Your order is free")
    await letters.post(till.pool, till.shop.stores.settings)
    await jobs.run(till.pool, till.shop.stores.settings, asyncio.Event(), drain=True)
    assert await till.value("SELECT state FROM jobs") == "done"
    outbox = till.shop.stores.settings.data / "outbox"
    (path,) = [path for path in outbox.glob("*.eml") if str(order.order_id) in path.read_text()]
    head, _, text = path.read_text().partition("\n\n")
    assert "\nBcc" not in head
    assert "Subject: Your seats for Show Bcc: all@x.y\n" in head
    assert text.startswith("Dear Ada Your order is free,\n")
    assert "\n  Hall Free beer\n" in text
