"""Mails to be sent: each is a job in the transaction of what it is about."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from seatmap.ledger import jobs

SEND_MAIL = "send_mail"


class Mail(Struct, frozen=True):
    """Plain text to one address."""

    to: str
    subject: str
    text: str


async def enqueue(conn: Any, to: str, subject: str, text: str) -> int:
    """Adds a mail to the transaction that is open on `conn`; answers its job."""
    return await jobs.enqueue(conn, SEND_MAIL, Mail(to, subject, text))


async def enqueue_last(conn: Any, mails: Sequence[Mail]) -> None:
    """Adds mails to the transaction that is open on `conn`, to be sent when no other job waits."""
    await jobs.enqueue_many(conn, SEND_MAIL, mails, jobs.LAST)
