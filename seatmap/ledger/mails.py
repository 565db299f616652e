"""Mails to be sent: each is a job in the transaction of what it is about."""

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
