"""Waiters: visitors who hold a seat and do nothing, to be told on their open page that it is theirs no longer."""

import asyncio

import msgspec

from tests.chaos.buyers import HOT_SEATS
from tests.chaos.clients import Gone, Page
from tests.chaos.crowd import ANSWER_SECONDS, Crowd
from tests.chaos.history import now

PATIENCE_SECONDS = 15.0  # after the end that they were told
LOOK_SECONDS = 0.02


class Waiter:
    """One hold after the other, each by somebody new. A `wait` is answered when, and with why, the hold ended."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self.crowd = crowd
        self._number = number
        self._visits = 0
        self._reason = ""

    async def run(self) -> None:
        while not self.crowd.stopping:
            await self._wait()
            await asyncio.sleep(0.2)

    async def _wait(self) -> None:
        shows = [show for show in self.crowd.shows if show.main]
        if not shows:
            return
        show = self.crowd.chance.choice(shows)
        self._visits += 1
        self._reason = ""
        web, who = self.crowd.chance.randrange(2), f"w{self._number}.{self._visits}"
        page = Page(self.crowd.ports[web], show.id)
        page.on_mine = self._news
        try:
            await page.open()
        except Gone:
            return
        seat = self.crowd.chance.randrange(HOT_SEATS)  # which all others want meanwhile
        held = self.crowd.begin("hold", who, show.id, web, "ws", seats=(seat,))
        answer = await self.crowd.over_page(page, held, {"type": "hold", "seats": [seat]})
        if answer.result == "ok":
            wait = self.crowd.begin("wait", who, show.id, web, "ws", seats=(seat,), hold_id=answer.hold_id)
            deadline = held.t + answer.expires_ms * 1_000_000 + int(PATIENCE_SECONDS * 1e9)
            over = False
            while not (self._reason or page.closed or show.closing or self.crowd.stopping or over):
                await asyncio.sleep(LOOK_SECONDS)
                over = now() > deadline
            self.crowd.end(wait, self._outcome(silent=over))
        page.leave()
        await asyncio.sleep(ANSWER_SECONDS * self.crowd.chance.random())

    def _outcome(self, *, silent: bool) -> dict[str, object] | None:
        """As a reply: refused with the reason that was told, or with `silent`; None where the page or sale ended."""
        if self._reason or silent:
            return {"error": {"code": self._reason or "silent", "temporary": False, "status": 409}}
        return None

    def _news(self, news: bytes) -> None:
        told = msgspec.json.decode(news)
        if told["reason"] in ("expired", "lost"):
            self._reason = told["reason"]
