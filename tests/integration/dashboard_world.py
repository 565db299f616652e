"""The dashboards of a site: pages of its staff that are told what happens."""

from typing import Any

import msgspec
from site_clients import Page, Site
from staff_world import bearer
from websockets.asyncio.client import connect

from seatmap import protocol


class Watcher(Page):
    """A page of the dashboard."""

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
        """All that was ever said to it."""
        return msgspec.json.encode(self.texts) + b"".join(self.frames)


async def watch(site: Site, event_id: int, key: str = "", **headers: str) -> Watcher:
    """A dashboard of whoever has the API key. Raises websockets' InvalidStatus where it is refused."""
    url = f"{site.url.replace('http', 'ws')}/ws/admin/events/{event_id}"
    headers |= bearer(key) if key else {}
    socket = await connect(
        url, additional_headers=headers, compression=None, max_size=None, ping_interval=None
    )
    watcher = Watcher(socket, "")
    site.visitor().pages.append(watcher)  # who leaves with the site
    return watcher
