"""Closing websockets whose session ended: signed out, signed out everywhere, with another role, or too old."""

import asyncio
import logging
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

    def watch(self, key: str, screen: PageScreen) -> None:
        """The connection is cut when its session ends, until it is forgotten; its page comes back as a visitor."""
        self._open.setdefault(key, set()).add(screen)

    def forget(self, key: str, screen: PageScreen) -> None:
        """The connection is gone."""
        screens = self._open[key]
        screens.discard(screen)
        if not screens:
            del self._open[key]

    async def session_of(self, websocket: WebSocket) -> str:
        """The session that a connection depends on; empty for none.

        A cookie left over from a session that ended long ago makes no difference, nor a store that is away.
        """
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
