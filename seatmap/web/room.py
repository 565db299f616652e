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
from seatmap.config import Settings
from seatmap.errors import Refused, SeatmapError
from seatmap.ledger import plans, seats
from seatmap.ledger.seats import SeatTable
from seatmap.live.feed import Watch
from seatmap.live.hub import Hub
from seatmap.live.pulse import Pulse
from seatmap.model import Change, Event, Mine, Plan, Position, Status
from seatmap.plan.public import public, restore
from seatmap.protocol import Hello, encode
from seatmap.tasks import end
from seatmap.web.screens import PageScreen
from seatmap.web.session import Session
from seatmap.zones import zone

TELL_AT_ONCE = 500  # visitors whose own is read side by side; the desk takes many in one call
TELL_AGAIN_SECONDS = 0.25
GREET_AT_ONCE = 250  # pages between two turns for everybody else in the process

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
    places = {category.name: place for place, category in enumerate(event.categories)}
    shown = public(
        plan,
        plan_version=event.plan_version,
        currency=event.currency,
        categories=event.categories,
        category_of_seat=[places[name] for name in table.categories],
        accessible=table.accessible,
        accessible_until=event.accessible_until,
    )
    return Facts(event, table, msgspec.json.encode(shown))


def sale_of(event: Event) -> str:
    """Whether people may choose seats now: on_sale, paused, not_yet, ended or closed."""
    now = datetime.now(UTC)
    if event.status != "published":
        return "closed"
    if event.on_sale_from is not None and now < event.on_sale_from:
        return "not_yet"
    if event.on_sale_until is not None and now >= event.on_sale_until:
        return "ended"
    return "paused" if event.paused else "on_sale"


def hello_of(event: Event, settings: Settings) -> Hello:
    """The first message of a connection."""
    return Hello(
        event_id=event.id,
        plan_version=event.plan_version,
        heartbeat_ms=settings.heartbeat_ms,
        reconnect_ms=settings.reconnect_ms,
        seats_per_visitor=event.seats_per_visitor,
        sale=sale_of(event),
        message=event.message,
    )


class Room:
    """Watches one event's replica and passes on what its pages should hear."""

    def __init__(
        self,
        stores: Stores,
        facts: Facts,
        restore_event: Callable[[int], None],
        look_again: Callable[[int], None],
        look_at_head: Callable[[Watch], None],
    ) -> None:
        self.facts = facts
        self.announced = -1  # the status version that Redis is known to have heard of
        self._stores = stores
        self._restore_event = restore_event
        self._look_again = look_again
        self._hello = hello_of(facts.event, stores.settings)
        self._pages: dict[str, dict[Session, PageScreen]] = defaultdict(dict)
        self._tasks: set[asyncio.Task[None]] = set()
        self._telling: asyncio.Task[None] | None = None
        self._untold: set[str] = set()  # who could not be told when they came
        self._retelling: asyncio.Task[None] | None = None
        self._greeting: asyncio.Task[None] | None = None
        self._owners: set[str] | None = (
            None  # all visitors who have anything, and maybe others; None: not known
        )
        self._new_owners: set[str] = set()  # the same since the reading of `_owners` began
        self.pulse = Pulse()
        self.watch = Watch(self.event.id, self)
        settings = stores.settings
        self.used_at = asyncio.get_running_loop().time()  # when somebody last asked for this room
        self.hub = Hub(
            self.watch.replica,
            frame_ms=settings.frame_ms,
            heartbeat_ms=settings.heartbeat_ms,
            ahead=lambda: look_at_head(self.watch),
        )
        self._start(self.hub.run())

    @property
    def event(self) -> Event:
        return self.facts.event

    async def end(self) -> None:
        """Stop serving."""
        await end(self._tasks)

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
        """A page begins to look; it gets what it misses since `position` at once, and what is its own soon."""
        self._pages[session.visitor][session] = screen
        self.hub.attach(screen, position)
        if self._has_nothing(session.visitor):
            self._tell(session.visitor, self.watch.replica.position, Mine(), "")
        else:
            self._start(self._tell_first(session.visitor))

    def leave(self, session: Session, screen: PageScreen) -> None:
        """A page is gone."""
        self.hub.detach(screen)
        pages = self._pages[session.visitor]
        pages.pop(session, None)
        if not pages:
            del self._pages[session.visitor]

    def learn(self, facts: Facts) -> None:
        """Take what the event is now; pages hear of it as far as it is something to them."""
        self.facts = facts
        if facts.event.seat_count == len(self.watch.replica.statuses):  # else a rebuild brings both
            self.watch.replica.replan(facts.event.plan_version)
        hello = hello_of(facts.event, self._stores.settings)
        if hello != self._hello:
            self._hello = hello
            if self._greeting is not None:
                self._greeting.cancel()
            self._greeting = self._start(self._greet_everybody(encode(hello)))

    async def _greet_everybody(self, hello: bytes) -> None:
        pages = [screen for pages in self._pages.values() for screen in pages.values()]
        for i, screen in enumerate(pages):
            screen.tell(hello)
            if i % GREET_AT_ONCE == GREET_AT_ONCE - 1:
                await asyncio.sleep(0)

    def _has_nothing(self, visitor: str) -> bool:
        """Whether that is known without asking Redis; who comes back in a stampede mostly had nothing."""
        return self._owners is not None and self.watch.live.is_set() and visitor not in self._owners

    async def _tell_first(self, visitor: str) -> None:
        """A page does nothing before it has heard what is its own, and a silence may be too short to be a gap."""
        if await self._tell_mine(visitor):
            return
        self._untold.add(visitor)
        if self._retelling is None or self._retelling.done():
            self._retelling = self._start(self._tell_untold())

    async def _tell_untold(self) -> None:
        while self._untold:
            await asyncio.sleep(TELL_AGAIN_SECONDS)
            untold, self._untold = self._untold, set()
            await self._tell_each(list(untold))

    async def _tell_mine(self, visitor: str) -> bool:
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
            if not visitor:
                self._look_again(self.event.id)  # the event itself is another
                continue
            self._note_owner(visitor, mine)
            if visitor in self._pages:
                self._tell(visitor, Position(change.epoch, change.to), mine, reason)

    def _note_owner(self, visitor: str, mine: Mine) -> None:
        for owners in (self._owners, self._new_owners):
            if owners is not None and (mine.hold_id or mine.order_id):
                owners.add(visitor)
            elif owners is not None:
                owners.discard(visitor)

    def caught_up(self) -> None:
        self.pulse.follow(self.watch.replica.statuses)
        self.hub.changed()
        self.announced = -1  # a rebuild may have read the event before its last change
        self._look_again(self.event.id)
        # After a gap nobody knows what was missed of anybody's own.
        if self._telling is not None:
            self._telling.cancel()
        self._owners, self._new_owners = None, set()
        self._telling = self._start(self._tell_everybody())

    async def _tell_everybody(self) -> None:
        while True:
            try:
                owners = await self._stores.state.visitors(self.event.id)
                break
            except SeatmapError:
                await asyncio.sleep(TELL_AGAIN_SECONDS)
        self._owners = owners | self._new_owners
        waiting = []
        for i, visitor in enumerate(list(self._pages)):
            if self._has_nothing(visitor):
                self._tell(visitor, self.watch.replica.position, Mine(), "")
            else:
                waiting.append(visitor)
            if i % GREET_AT_ONCE == GREET_AT_ONCE - 1:
                await asyncio.sleep(0)
        await self._tell_each(waiting)

    async def _tell_each(self, waiting: list[str]) -> None:
        """Read what is theirs and tell it, for as long as it takes and they are there."""
        while waiting:
            now, later = waiting[:TELL_AT_ONCE], waiting[TELL_AT_ONCE:]
            told = await asyncio.gather(*map(self._tell_mine, now))
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
        until = self.event.accessible_until
        words = {"is_": verb[0], "was": verb[1], "until": until and _in_words(until, self.event.timezone)}
        return Refused(error.code, sentence.format("; ".join(named[:5]), **words), **error.extra)


_SENTENCES = {
    "seat_taken": "{} {was} taken by somebody else. Choose another seat.",
    "seat_blocked": "{} {is_} not for sale.",
    "seat_held_back": "{} {is_} kept for people who need an accessible place until {until}. Ask the box office.",
    "seat_repeated": "{} {is_} named twice in one command.",
}


def _in_words(moment: datetime, timezone: str) -> str:
    """ "1 May 2030, 10:00 (Europe/Paris)"."""
    local = moment.astimezone(zone(timezone))
    return f"{local.day} {local:%B %Y, %H:%M} ({timezone})"
