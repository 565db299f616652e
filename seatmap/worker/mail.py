"""Sending mails: by SMTP where a server is set, else into files of the data folder, to be read there."""

import asyncio
import logging
import smtplib
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from seatmap.config import Settings
from seatmap.errors import Refused, Unavailable
from seatmap.ledger.jobs import Handler
from seatmap.ledger.mails import Mail
from seatmap.ledger.pool import Pool

SMTP_SECONDS = 20.0
OUTBOX = "outbox"  # in the data folder
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})

log = logging.getLogger(__name__)


def sender(settings: Settings) -> Handler:
    """The job of `Mail`. A second run sends the same Message-ID again, or writes the same file."""

    async def send(pool: Pool, job_id: int, payload: bytes) -> None:
        message = compose(msgspec.json.decode(payload, type=Mail), settings.mail_from, job_id)
        if settings.smtp_url:
            await asyncio.to_thread(_post, settings.smtp_url, message)
        else:
            path = await asyncio.to_thread(_file, settings.data / OUTBOX, job_id, message)
            log.info("a mail is in %s; set SEATMAP_SMTP_URL to have mails sent", path)

    return send


def compose(mail: Mail, mail_from: str, job_id: int) -> EmailMessage:
    """The mail as it travels. Refuses with invalid where the address is not one, or another than it seems."""
    message = EmailMessage()
    message["From"] = mail_from
    message["To"] = mail.to
    # A buyer's address is proved by nobody: "all,a@b.c" would be two people's, "me<a@b.c>" another's.
    if [address.addr_spec for address in message["To"].addresses] != [mail.to]:
        raise Refused("invalid", f"{mail.to!r} is not one mail address.")
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    domain = mail_from.rpartition("@")[2].strip("> ") or "localhost"
    message["Message-ID"] = f"<seatmap-{job_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    return message


def _file(outbox: Path, job_id: int, message: EmailMessage) -> Path:
    outbox.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = outbox / f"{job_id}.eml"
    unfinished = path.with_suffix(".part")
    unfinished.touch(mode=0o600)  # the links in it are as good as passwords
    unfinished.write_bytes(message.as_bytes())
    return unfinished.replace(path)


def clear(outbox: Path, age: timedelta) -> int:
    """Deletes the mails in files that are older than `age`; how many."""
    oldest = datetime.now(UTC).timestamp() - age.total_seconds()
    gone = 0
    for path in outbox.glob("*"):
        with suppress(FileNotFoundError):  # another worker was faster
            if path.stat().st_mtime < oldest:
                path.unlink()
                gone += 1
    return gone


def _post(url: str, message: EmailMessage) -> None:
    """Hand the mail to the server.

    Raises Unavailable where the server is not there for anybody, RuntimeError where it does not take this mail.
    """
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    context = ssl.create_default_context()
    try:
        if parts.scheme == "smtps":
            with smtplib.SMTP_SSL(host, parts.port or 465, timeout=SMTP_SECONDS, context=context) as server:
                _deliver(server, parts.username, parts.password, message)
            return
        with smtplib.SMTP(host, parts.port or 587, timeout=SMTP_SECONDS) as server:
            server.ehlo()
            # Plain text goes to this machine only: on any other way the links in it could be read.
            if server.has_extn("starttls") or host not in LOCAL:
                server.starttls(context=context)
            _deliver(server, parts.username, parts.password, message)
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        raise RuntimeError(f"The mail server {host} did not take this mail: {error}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise Unavailable(f"The mail server {host} takes no mail: {error}") from error


def _deliver(server: smtplib.SMTP, name: str | None, password: str | None, message: EmailMessage) -> None:
    if name:
        server.login(unquote(name), unquote(password or ""))
    server.ehlo_or_helo_if_needed()  # after STARTTLS nothing is known of what the server can do
    try:
        server.send_message(message)
    except smtplib.SMTPNotSupportedError as error:
        raise RuntimeError(f"The mail server knows no addresses like {message['To']}: {error}") from error
