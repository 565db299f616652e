"""People with accounts on a real site: what they do, and the mails that reach them."""

import asyncio
import email
import email.policy
import re
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import uuid4

from site_clients import Site, Visitor, result

from seatmap.config import Settings
from seatmap.ledger.pool import connection, open_pool
from seatmap.worker import jobs

PASSWORD = "a seat by the aisle"


def new_address() -> str:
    return f"{uuid4().hex[:12]}@example.org"


async def mails_to(settings: Settings, address: str) -> list[EmailMessage]:
    """Everything that was sent to an address, the oldest first, after the worker had its turn."""
    pool = await open_pool(settings, size=4)
    try:
        await jobs.run(pool, settings, asyncio.Event(), drain=True)
    finally:
        await pool.close()
    paths = sorted((settings.data / "outbox").glob("*.eml"), key=lambda path: int(path.stem))
    found = [_read(path) for path in paths]
    return [mail for mail in found if mail["To"] == address]


def _read(path: Path) -> EmailMessage:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def token_in(mail: EmailMessage, purpose: str) -> str:
    """The secret of the link in a mail."""
    found = re.search(rf"/account#{purpose}=([\w-]+)\n", mail.get_content())
    assert found, mail.get_content()
    return found[1]


class Person(Visitor):
    """Somebody with a mail address, at one browser."""

    def __init__(self, site: Site, address: str = "", **headers: str) -> None:
        super().__init__(site)
        site._visitors.append(self)  # who leaves with it
        self.http.headers.update(headers)
        self.address = address or new_address()

    async def ask(self, call: str, /, **body: Any) -> dict[str, Any]:
        """A call of /api/account. Raises Refusal."""
        return result(await self.http.post(f"/api/account/{call}", json=body))

    async def me(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = (await self.get("/api/account/me"))["user"]
        return found

    async def sign_up(self, password: str = PASSWORD, name: str = "Ada Lovelace") -> dict[str, Any]:
        """Signed up and verified: the account."""
        await self.ask("sign-up", email=self.address, name=name, password=password)
        token = token_in((await mails_to(self.site.settings, self.address))[-1], "verify")
        user: dict[str, Any] = (await self.ask("verify", token=token))["user"]
        return user

    async def sign_in(self, password: str = PASSWORD) -> dict[str, Any]:
        user: dict[str, Any] = (await self.ask("sign-in", email=self.address, password=password))["user"]
        return user


async def sql(settings: Settings, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """What Postgres answers, for what no call of the site shows."""
    pool = await open_pool(settings, size=1)
    try:
        async with connection(pool) as conn:
            return [tuple(row) for row in await conn.fetch(statement, *arguments)]
    finally:
        await pool.close()
