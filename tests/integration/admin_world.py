"""A box office at work: a running site, a worker's job queue, and an admin who calls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
from site_clients import WAIT_SECONDS, Refusal, Site, result, visited_site
from staff_world import bearer, make_key, run

from seatmap.checkout.cancel_event import canceller
from seatmap.checkout.stores import open_stores
from seatmap.config import Settings
from seatmap.ledger.tasks import CANCEL_ORDERS
from seatmap.model import Role
from seatmap.worker import jobs

NEW = {
    "name": "The Tempest",
    "starts_at": "2030-05-01T19:30:00+02:00",
    "grid": {"rows": 4, "columns": 10, "aisles": [5], "section": "Stalls"},
    "categories": [{"name": "Standard", "price": 2500, "color": "#1b5ce0"}],
}


class Office:
    """The site, and an account's way to call it."""

    def __init__(self, site: Site, secret: str) -> None:
        self.site = site
        self.http = httpx.AsyncClient(base_url=site.url, headers=bearer(secret), timeout=WAIT_SECONDS)

    async def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """A call under /api/admin. Raises Refusal."""
        content = None if body is None else msgspec.json.encode(body)
        return result(await self.http.request(method, f"/api/admin{path}", content=content))

    async def get(self, path: str) -> dict[str, Any]:
        return await self.call("GET", path)

    async def post(self, event_id: int, verb: str, body: Any = None) -> dict[str, Any]:
        """Something done to an event."""
        return await self.call("POST", f"/events/{event_id}/{verb}", body)

    async def code(self, method: str, path: str, body: Any = None) -> str:
        """The code with which a call is refused; empty if it is not."""
        try:
            await self.call(method, path, body)
        except Refusal as refusal:
            return refusal.code
        return ""

    async def draft(self, **changes: Any) -> int:
        """A draft with its seats."""
        made = await self.call("POST", "/events", {**NEW, **changes})
        await self.work()
        return int(made["id"])

    async def published(self, **changes: Any) -> int:
        """An event on sale, in a room that has its map."""
        event_id = await self.draft(**changes)
        await self.post(event_id, "publish")
        await self.site.page(event_id)
        return event_id

    async def work(self) -> None:
        """Work the job queue off."""
        async with open_stores(self.site.settings) as stores:
            others = {CANCEL_ORDERS: canceller(stores)}
            await jobs.run(stores.pool, stores.settings, asyncio.Event(), drain=True, others=others)

    async def sql(self, statement: str, *arguments: Any) -> list[Any]:
        return list(await run(self.site.settings, statement, *arguments))

    async def log(self, event_id: int) -> list[str]:
        """The verbs of an event's log, the first first."""
        found = await self.get(f"/audit?event={event_id}")
        return [entry["verb"] for entry in reversed(found["entries"])]


@asynccontextmanager
async def open_office(settings: Settings, role: Role = Role.admin) -> AsyncIterator[Office]:
    """A running site, and somebody of a role."""
    secret, _ = await make_key(settings, role)
    async with visited_site(settings) as site:
        office = Office(site, secret)
        try:
            yield office
        finally:
            await office.http.aclose()
