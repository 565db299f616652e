"""Mails: with the transaction, by a real SMTP conversation or into files, safely twice."""

import asyncio
import email
import email.policy
import logging
import os
import stat
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace
from smtp_server import postbox

from seatmap.config import Settings
from seatmap.errors import Refused, Unavailable
from seatmap.ledger import jobs, mails
from seatmap.ledger.mails import Mail
from seatmap.ledger.pool import connection, open_pool
from seatmap.worker import jobs as worker
from seatmap.worker import mail

MAIL = Mail("ada@example.org", "Plätze für Sie", "Grüße.\n.\nA line with one dot.\n")


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(settings)
    yield pool
    await pool.close()


async def enqueued(pool: asyncpg.Pool) -> int:
    async with connection(pool) as conn, conn.transaction():
        return await mails.enqueue(conn, MAIL.to, MAIL.subject, MAIL.text)


async def test_without_a_server_a_mail_becomes_a_file_that_only_its_owner_reads(
    pool: asyncpg.Pool, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(settings, data=tmp_path, mail_from="Box office <tickets@seats.example>")
    job_id = await enqueued(pool)
    with caplog.at_level(logging.INFO, "seatmap"):
        await worker.run(pool, settings, asyncio.Event(), drain=True)
    path = tmp_path / "outbox" / f"{job_id}.eml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert (message["To"], message["Subject"]) == (MAIL.to, MAIL.subject)
    assert message["From"] == "Box office <tickets@seats.example>"
    assert message["Message-ID"] == f"<seatmap-{job_id}@seats.example>"
    assert message.get_content() == MAIL.text  # type: ignore[attr-defined]
    said = [record.getMessage() for record in caplog.records if "outbox" in record.getMessage()]
    assert len(said) == 1
    assert str(path) in said[0]
    assert "Grüße" not in caplog.text


async def test_a_mail_of_a_transaction_that_failed_is_not_sent(
    pool: asyncpg.Pool, settings: Settings, tmp_path: Path
) -> None:
    async with connection(pool) as conn:
        transaction = conn.transaction()
        await transaction.start()
        await mails.enqueue(conn, MAIL.to, MAIL.subject, MAIL.text)
        await transaction.rollback()
    await worker.run(pool, replace(settings, data=tmp_path), asyncio.Event(), drain=True)
    assert not (tmp_path / "outbox").exists()


async def test_the_job_twice_is_one_file(pool: asyncpg.Pool, settings: Settings, tmp_path: Path) -> None:
    send = mail.sender(replace(settings, data=tmp_path))
    for _ in range(2):
        await send(pool, 7, msgspec.json.encode(MAIL))
    assert [path.name for path in (tmp_path / "outbox").iterdir()] == ["7.eml"]


async def test_a_mail_server_is_given_the_mail(pool: asyncpg.Pool, settings: Settings) -> None:
    async with postbox() as box:
        job_id = await enqueued(pool)
        reached = replace(settings, smtp_url=f"smtp://127.0.0.1:{box.port}")
        await worker.run(pool, reached, asyncio.Event(), drain=True)
    assert box.recipients == [f"<{MAIL.to}>"]
    (sent,) = box.mails
    assert f"Message-ID: <seatmap-{job_id}@localhost>".encode() in sent
    done = await jobs.progress(pool, job_id)
    assert done is not None
    assert done.state == "done"


async def test_a_mail_that_is_not_taken_is_tried_again(pool: asyncpg.Pool, settings: Settings) -> None:
    async with postbox() as box:
        send = mail.sender(replace(settings, smtp_url=f"smtp://127.0.0.1:{box.port}"))
        box.refuses = True
        with pytest.raises(RuntimeError, match="did not take this mail"):
            await send(pool, 7, msgspec.json.encode(MAIL))
        assert box.mails == []
        box.refuses = False
        await send(pool, 7, msgspec.json.encode(MAIL))
        assert len(box.mails) == 1


async def test_a_mail_to_an_address_that_the_server_cannot_write_to_is_given_up(
    pool: asyncpg.Pool, settings: Settings
) -> None:
    """It would never be taken, and many of them would keep everybody else's mails waiting."""
    async with postbox() as box:
        send = mail.sender(replace(settings, smtp_url=f"smtp://127.0.0.1:{box.port}"))
        with pytest.raises(RuntimeError, match="knows no addresses like ada@höfe"):
            await send(pool, 7, msgspec.json.encode(Mail("ada@höfe.de", "Hello", "Text\n")))
        await send(pool, 8, msgspec.json.encode(MAIL))
        assert len(box.mails) == 1


async def test_no_mail_leaves_this_machine_unencrypted(pool: asyncpg.Pool, settings: Settings) -> None:
    async with postbox("127.0.0.2") as box:  # by its name, it could be anywhere
        send = mail.sender(replace(settings, smtp_url=f"smtp://ada:secret@127.0.0.2:{box.port}"))
        with pytest.raises(Unavailable) as caught:
            await send(pool, 7, msgspec.json.encode(MAIL))
        assert "secret" not in caught.value.detail
        assert (box.mails, box.recipients) == ([], [])


async def test_no_server_at_all_is_a_later_try(pool: asyncpg.Pool, settings: Settings) -> None:
    async with postbox() as box:
        url = f"smtp://127.0.0.1:{box.port}"
    with pytest.raises(Unavailable):
        await mail.sender(replace(settings, smtp_url=url))(pool, 7, msgspec.json.encode(MAIL))


@pytest.mark.parametrize("to", ["a@b.c\r\nBcc: all@example.org", "a@b.c\nSubject: x"])
async def test_an_address_cannot_write_headers(
    pool: asyncpg.Pool, settings: Settings, tmp_path: Path, to: str
) -> None:
    with pytest.raises(ValueError, match="may not contain linefeed"):
        await mail.sender(replace(settings, data=tmp_path))(
            pool, 7, msgspec.json.encode(Mail(to, "Hello", "Text\n"))
        )


@pytest.mark.parametrize("to", ["all,ada@b.c", "me<ada@b.c>", "all;ada@b.c", "x:ada@b.c;", "a(b)@b.c"])
async def test_an_address_is_one_address(
    pool: asyncpg.Pool, settings: Settings, tmp_path: Path, to: str
) -> None:
    """A buyer's is proved by nobody."""
    with pytest.raises(Refused, match="is not one mail address"):
        await mail.sender(replace(settings, data=tmp_path))(
            pool, 7, msgspec.json.encode(Mail(to, "Hello", "Text\n"))
        )


@pytest.mark.parametrize("to", ["o'neil+seats@b.c", "ada@höfe.de", "a.b-c_d@x.y.z"])
def test_an_address_may_be_unusual(to: str) -> None:
    assert mail.compose(Mail(to, "Hello", "Text\n"), "a@b.c", 7)["To"] == to


def test_old_mails_in_files_are_deleted(tmp_path: Path) -> None:
    keep = timedelta(days=30)
    assert mail.clear(tmp_path / "outbox", keep) == 0
    (tmp_path / "outbox").mkdir()
    for name, days in (("1.eml", 31), ("2.part", 31), ("3.eml", 29)):
        path = tmp_path / "outbox" / name
        path.touch()
        os.utime(path, (time.time(), time.time() - days * 86400))
    assert mail.clear(tmp_path / "outbox", keep) == 2
    assert [path.name for path in (tmp_path / "outbox").iterdir()] == ["3.eml"]
