"""Closing websockets whose session ended: signed out, signed out everywhere, with another role, or too old."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice

from starlette.websockets import WebSocket

from seatmap.errors import Unavailable
from seatmap.web.screens import PageScreen
from seatmap.web.sessions import Sessions

BEAT_SECONDS = 2.0
ASKED_AT_ONCE = 500

log = logging.getLogger(__name__)


class Revocation:
    """Knows which open connections depend on which session. `run` must be running."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._open: dict[str, set[PageScreen]] = {}

    @asynccontextmanager
    async def watched(self, websocket: WebSocket, screen: PageScreen) -> AsyncIterator[None]:
        """The connection is cut during the block when its session ends; its page comes back as a visitor."""
        key = await self._session_of(websocket)
        if key:
            self._open.setdefault(key, set()).add(screen)
        try:
            yield
        finally:
            if key:
                screens = self._open[key]
                screens.discard(screen)
                if not screens:
                    del self._open[key]

    async def _session_of(self, websocket: WebSocket) -> str:
        """A cookie left over from a session that ended long ago makes no difference, nor a store that is away."""
        try:
            return self._sessions.key(websocket) if await self._sessions.identify(websocket) else ""
        except Unavailable:
            return ""

    async def run(self) -> None:
        """Until cancelled. Nobody is cut off because Redis is away."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await self._look()
            except Unavailable:
                pass
            except Exception:
                log.exception("which sessions ended is not known; the next round asks again")

    async def _look(self) -> None:
        keys = iter(list(self._open))
        while some := list(islice(keys, ASKED_AT_ONCE)):
            for key in await self._sessions.ended(some):
                for screen in list(self._open.get(key, ())):
                    screen.abort()
