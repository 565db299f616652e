"""A site whose dashboard takes a role from a header, so that its tests need nobody's password."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from running_site import served
from site_clients import Page, Site
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import connect

from seatmap import protocol
from seatmap.checkout.book import Checkout
from seatmap.checkout.stores import open_stores
from seatmap.config import Settings
from seatmap.model import Role, User
from seatmap.web.dashboard import Dashboards
from seatmap.web.execute import Counter
from seatmap.web.rooms import Rooms
from seatmap.web.socket import Socket
from seatmap.web.visitor import Visitors


class Watcher(Page):
    """A page of the dashboard. `raw` is all that was ever said to it."""

    @property
    def last(self) -> dict[str, Any]:
        """What it was told last."""
        return self.told("dashboard")[-1] if self.told("dashboard") else {}

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [text for text in self.texts if text["type"] == kind]

    async def _take(self, frame: bytes) -> None:
        if frame[0] != protocol.AGES:  # says nothing of its own position
            await super()._take(frame)

    @property
    def raw(self) -> bytes:
        return msgspec.json.encode(self.texts) + b"".join(self.frames)


class WatchedSite(Site):
    """The site; `roles` is what its accounts may do, and may change."""

    def __init__(self, url: str, settings: Settings, roles: dict[str, Role]) -> None:
        super().__init__(url, settings)
        self.roles = roles
        self.watchers: list[Watcher] = []

    async def watch(self, event_id: int, account: str = "", **headers: str) -> Watcher:
        """A dashboard. Raises websockets' InvalidStatus where it is refused."""
        url = f"{self.url.replace('http', 'ws')}/ws/admin/events/{event_id}"
        headers |= {"x-account": account} if account else {}
        socket = await connect(
            url, additional_headers=headers, compression=None, max_size=None, ping_interval=None
        )
        self.watchers.append(Watcher(socket, ""))
        return self.watchers[-1]

    async def close(self) -> None:
        for watcher in self.watchers:
            await watcher.close()
        await super().close()


@asynccontextmanager
async def watched_site(settings: Settings) -> AsyncIterator[WatchedSite]:
    """One process with pages and dashboards."""
    roles: dict[str, Role] = {}

    async def identify(request: HTTPConnection) -> User | None:
        account = request.headers.get("x-account", "")
        return User(id=1, email=account, name=account, role=roles[account]) if account else None

    async with open_stores(settings) as stores:
        rooms, checkout = Rooms(stores), Checkout(stores)
        socket = Socket(rooms, Counter(stores, checkout), Visitors(b"a secret of the test"))
        dashboards = Dashboards(rooms, identify)
        app = Starlette(
            routes=[
                WebSocketRoute("/ws/events/{event_id}", socket.__call__),
                WebSocketRoute("/ws/admin/events/{event_id}", dashboards.__call__),
            ]
        )
        tasks = [asyncio.create_task(rooms.run()), asyncio.create_task(dashboards.run())]
        try:
            async with served(app) as url:
                site = WatchedSite(url, settings, roles)
                yield site
                await site.close()
        finally:
            await checkout.close()
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
