"""A room: one event as this process serves it. Its facts, its live map, and the pages that look at it."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from seatmap.booking.commands import ReadMine
from seatmap.checkout.stores import Stores
from seatmap.errors import Refused, SeatmapError
from seatmap.ledger import plans, seats
from seatmap.ledger.seats import SeatTable
from seatmap.live.feed import Watch
from seatmap.live.hub import Hub
from seatmap.live.pulse import Pulse
from seatmap.model import Category, Change, Event, Mine, Plan, Position, Status
from seatmap.plan.public import public, restore
from seatmap.web.screens import PageScreen
from seatmap.web.session import Session

TELL_AT_ONCE = 500  # visitors whose own is read side by side; the desk takes many in one call
TELL_AGAIN_SECONDS = 0.25

log = logging.getLogger(__name__)


class Facts(msgspec.Struct, frozen=True):
    """What does not change with a click: an event with its seats' labels and prices, and its plan as JSON."""

    event: Event
    table: SeatTable
    plan: bytes


async def read_facts(stores: Stores, event: Event) -> Facts:
    """Read what a room needs to know about an event."""
    table = await seats.seat_table(stores.pool, event.id)
    body = await plans.body(stores.pool, event.plan_id)
    return await asyncio.to_thread(_facts, event, table, body)


def _facts(event: Event, table: SeatTable, body: bytes) -> Facts:
    plan: Plan = restore(body)
    by_name = {category.name: category for category in event.categories}
    categories: list[Category] = [by_name[name] for name in plan.categories]
    shown = public(plan, plan_version=event.plan_version, currency=event.currency, categories=categories)
    return Facts(event, table, msgspec.json.encode(shown))


def sale_of(event: Event) -> str:
    """Whether people may choose seats now: on_sale, not_yet, ended or closed."""
    now = datetime.now(UTC)
    if event.status != "published":
        return "closed"
    if event.on_sale_from is not None and now < event.on_sale_from:
        return "not_yet"
    if event.on_sale_until is not None and now >= event.on_sale_until:
        return "ended"
    return "on_sale"


class Room:
    """Watches one event's replica and passes on what its pages should hear."""

    def __init__(self, stores: Stores, facts: Facts, restore_event: Callable[[int], None]) -> None:
        self.facts = facts
        self._stores = stores
        self._restore_event = restore_event
        self._pages: dict[str, dict[Session, PageScreen]] = defaultdict(dict)
        self._tasks: set[asyncio.Task[None]] = set()
        self._telling: asyncio.Task[None] | None = None
        self.pulse = Pulse()
        self.watch = Watch(self.event.id, self)
        settings = stores.settings
        self.hub = Hub(self.watch.replica, frame_ms=settings.frame_ms, heartbeat_ms=settings.heartbeat_ms)
        self._start(self.hub.run())

    @property
    def event(self) -> Event:
        return self.facts.event

    async def end(self) -> None:
        """Stop serving."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("event %s: something ended early", self.event.id, exc_info=error)

    # ---- pages ----

    def enter(self, session: Session, screen: PageScreen, position: Position) -> None:
        """A page begins to look; it gets what it misses since `position` at once."""
        self._pages[session.visitor][session] = screen
        self.hub.attach(screen, position)

    def leave(self, session: Session, screen: PageScreen) -> None:
        """A page is gone."""
        self.hub.detach(screen)
        pages = self._pages[session.visitor]
        pages.pop(session, None)
        if not pages:
            del self._pages[session.visitor]

    async def tell_mine(self, visitor: str) -> bool:
        """Read what is a visitor's and tell all their pages here; False where it cannot be read."""
        try:
            answer = await self._stores.desk.decide(self.event.id, ReadMine(visitor))
        except SeatmapError:
            return False
        self._tell(visitor, answer.position, answer.mine, "")
        return True

    def _tell(self, visitor: str, position: Position, mine: Mine, reason: str) -> None:
        for session, screen in self._pages.get(visitor, {}).items():
            if news := session.news(position, mine, reason):
                screen.tell(news)

    # ---- what the feed says ----

    def changed(self, change: Change) -> None:
        self.pulse.changed(change)
        if change.seats:
            self.hub.changed()
        for visitor, reason, mine in change.touched:
            if visitor in self._pages:
                self._tell(visitor, Position(change.epoch, change.to), mine, reason)

    def caught_up(self) -> None:
        self.pulse.follow(self.watch.replica.statuses)
        self.hub.changed()
        # After a gap nobody knows what was missed of anybody's own.
        if self._telling is not None:
            self._telling.cancel()
        self._telling = self._start(self._tell_everybody())

    async def _tell_everybody(self) -> None:
        waiting = list(self._pages)
        while waiting:
            now, later = waiting[:TELL_AT_ONCE], waiting[TELL_AT_ONCE:]
            told = await asyncio.gather(*map(self.tell_mine, now))
            missed = [visitor for visitor, done in zip(now, told, strict=True) if not done]
            waiting = later + [visitor for visitor in missed if visitor in self._pages]
            if missed:
                await asyncio.sleep(TELL_AGAIN_SECONDS)

    def verified(self, *, stale: bool) -> None:
        self.hub.stale = stale

    def recovering(self) -> None:
        self._restore_event(self.event.id)

    # ---- facts for people ----

    def counts(self) -> dict[str, int]:
        """How many seats have each status now."""
        return {status.name: self.watch.replica.counts[status] for status in Status}

    def labelled(self, error: SeatmapError) -> SeatmapError:
        """The same refusal, naming its seats as people do."""
        named = [
            self.facts.table.labels[seat]
            for seat in error.extra.get("seats", ())
            if 0 <= seat < len(self.facts.table.labels)
        ]
        sentence = _SENTENCES.get(error.code)
        if not named or sentence is None:
            return error
        verb = ("is", "was") if len(named) == 1 else ("are", "were")
        return Refused(
            error.code, sentence.format("; ".join(named[:5]), is_=verb[0], was=verb[1]), **error.extra
        )


_SENTENCES = {
    "seat_taken": "{} {was} taken by somebody else. Choose another seat.",
    "seat_blocked": "{} {is_} not for sale.",
    "seat_repeated": "{} {is_} named twice in one command.",
}
