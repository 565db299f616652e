"""All rooms of a process, and the slow beats that keep them right even when no worker lives."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress

from seatmap.booking.commands import Expire
from seatmap.checkout.announce import announce
from seatmap.checkout.rebuild import open_event
from seatmap.checkout.resolve import resolve
from seatmap.checkout.stores import Stores
from seatmap.errors import Refused, SeatmapError, Unavailable
from seatmap.failpoints import failpoint
from seatmap.ledger import events, staff_events
from seatmap.ledger.staff_events import DELETED
from seatmap.live.feed import Feed
from seatmap.model import Change, Event, Position, Snapshot
from seatmap.tasks import end, together
from seatmap.web.room import Facts, Room, read_facts

SWEEP_MAX = 200  # expired holds that one head check ends
REFRESH_SECONDS = 2.0  # until a change of an event's facts is seen here
RESOLVE_SECONDS = 5.0
LIVE_SECONDS = 5.0  # how long a request waits for an event's map to be there
OPEN_AHEAD_MAX = 50  # events whose maps are kept ready before anybody asks
UNUSED_SECONDS = 600.0  # until a room without pages is closed; longer than an order may stay undecided
START_SECONDS = 2.0  # how long the start waits for them
RESTORE_AT_ONCE = 2  # each takes two of the pool's connections, and all together must leave some

log = logging.getLogger(__name__)


class _Source:
    """Where the feed reads from: state for maps and changes, the desk for the head, which sweeps on the way."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def snapshot(self, event_id: int) -> Snapshot:
        return await self._stores.state.snapshot(event_id)

    async def replay(self, event_id: int, since: Position) -> tuple[str, list[Change] | None]:
        return await self._stores.state.replay(event_id, since)

    async def head(self, event_id: int) -> Position:
        await failpoint("sweep.before")
        answer = await self._stores.desk.decide(event_id, Expire(SWEEP_MAX))
        await failpoint("sweep.after")
        return answer.position


class Rooms:
    """Events by id, opened when first asked for. `run` must be running."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.cut_off = 0  # screens that lagged too long in rooms that are closed by now
        self.listed: list[Event] = []  # what everybody may see, the next first
        self._feed = Feed(stores.redis, _Source(stores), head_check_ms=stores.settings.head_check_ms)
        self._rooms: dict[int, Room] = {}
        self._opening: dict[int, asyncio.Task[Room]] = {}
        self._restoring: dict[int, asyncio.Task[None]] = {}
        self._restore_turns = asyncio.Semaphore(RESTORE_AT_ONCE)
        self._looking: dict[int, asyncio.Task[None]] = {}
        self._look_again: set[int] = set()  # events that changed while they were looked at
        self._broken: set[int] = set()  # events that cannot be opened, as the log already says

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self._rooms.values()))

    async def run(self) -> None:
        """Feed, refresh and resolve until cancelled."""
        try:
            await together(self._feed.run(), self._refresh_for_ever(), self._resolve_for_ever())
        finally:
            await end([*self._opening.values(), *self._restoring.values(), *self._looking.values()])
            for room in list(self._rooms.values()):
                await room.end()

    def known(self, event_id: int) -> Room | None:
        """The room if it is open and its map is there."""
        room = self._rooms.get(event_id)
        return room if room is not None and room.watch.replica.plan_version else None

    async def get(self, event_id: int) -> Room:
        """The event's room, with a map. Refuses with event_not_found; Unavailable where no map can be had."""
        room = await self._opened(event_id)
        room.used_at = asyncio.get_running_loop().time()
        if room.event.status == DELETED:
            raise Refused("event_not_found", f"There is no event {event_id}; see GET /api/events.")
        # A map that is only behind is better than none: it says itself that it may be old.
        if not room.watch.replica.plan_version:
            try:
                await asyncio.wait_for(room.watch.live.wait(), LIVE_SECONDS)
            except TimeoutError:
                raise Unavailable("The seat map cannot be loaded right now. Try again in a moment.") from None
        if room.watch.replica.plan_version > room.event.plan_version:
            await self._learn(room)  # the map is of a plan that was not read yet
        return room

    async def _opened(self, event_id: int) -> Room:
        """The event's room, whether it has a map yet or not."""
        room = self._rooms.get(event_id)
        if room is not None:
            return room
        opening = self._opening.get(event_id)
        if opening is None:

            def opened(task: asyncio.Task[Room]) -> None:
                del self._opening[event_id]
                if not task.cancelled():
                    task.exception()  # is told to those who wait, of whom there may be none left

            opening = asyncio.get_running_loop().create_task(self._open(event_id))
            self._opening[event_id] = opening
            opening.add_done_callback(opened)
        return await asyncio.shield(opening)

    async def _open(self, event_id: int) -> Room:
        event = await events.get(self.stores.pool, event_id)
        if event is None or event.status == "draft":
            raise Refused("event_not_found", f"There is no event {event_id}; see GET /api/events.")
        facts = await read_facts(self.stores, event)
        room = Room(self.stores, facts, self._restore, self.look_again, self._feed.look)
        self._rooms[event_id] = room
        await self._feed.watch(room.watch)
        return room

    def _restore(self, event_id: int) -> None:
        """Begin to rebuild an event's seats in Redis, unless this process is at it."""
        if event_id not in self._restoring:
            task = asyncio.get_running_loop().create_task(self._restore_once(event_id))
            self._restoring[event_id] = task
            task.add_done_callback(lambda _: self._restoring.pop(event_id, None))

    async def _restore_once(self, event_id: int) -> None:
        try:
            async with self._restore_turns:
                await open_event(self.stores, event_id)
        except SeatmapError as error:
            log.warning("event %s cannot be restored yet: %s", event_id, error)
        except Exception:
            log.exception("event %s cannot be restored", event_id)

    async def open_ahead(self) -> None:
        """Have the events' maps there before anybody asks, as far as the stores answer soon."""
        await self.refresh()
        maps = [room.watch.live.wait() for room in self._rooms.values()]
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*maps), START_SECONDS)

    async def refresh(self) -> None:
        """Read again which events there are, and the facts of those that changed."""
        self.listed = await events.published(self.stores.pool)
        listed = {event.id: event for event in self.listed}
        for event_id, room in list(self._rooms.items()):
            await self._learn(room, listed.get(event_id))
        ahead = [event.id for event in self.listed[:OPEN_AHEAD_MAX]]
        for event_id in ahead:
            await self._open_listed(event_id)
        await self._close_unused(frozenset(ahead))

    async def _close_unused(self, kept: frozenset[int]) -> None:
        """Close rooms that nobody looks into, save those that are kept ready."""
        now = asyncio.get_running_loop().time()
        for event_id, room in list(self._rooms.items()):
            if room.hub.screens or event_id in kept:
                room.used_at = now
            elif now - room.used_at > UNUSED_SECONDS:
                del self._rooms[event_id]
                self.cut_off += room.hub.cut_off
                await self._feed.unwatch(room.watch)
                await room.end()

    async def _learn(self, room: Room, event: Event | None = None) -> None:
        """Let a room know what its event is now, and Redis, if whoever changed it could not tell it."""
        if event is None:
            staff = await staff_events.get(self.stores.pool, room.event.id)
            event = staff.shown
        known = room.event
        if event.status_version < known.status_version:
            return  # it was read before what the room knows already
        if await self._is_behind(room, event):
            return  # the rebuild has the event read again
        if event.plan_version != known.plan_version or event.seat_count != known.seat_count:
            facts = await read_facts(self.stores, event)
        else:
            facts = Facts(event, room.facts.table, room.facts.plan)
        if event.status_version < room.event.status_version:
            return
        room.learn(facts)
        untold = room.announced != event.status_version and room.watch.live.is_set()
        if untold and await announce(self.stores, event):
            room.announced = event.status_version

    async def _is_behind(self, room: Room, event: Event) -> bool:
        """Whether Redis has not the event's new plan yet: whoever changed it is at it, or died before that."""
        replica = room.watch.replica
        if not 0 < replica.plan_version < event.plan_version or event.epoch <= replica.position.epoch:
            return False
        try:
            await self.stores.state.mark_behind(event.id, replica.position.epoch)
        except SeatmapError as error:
            log.warning("event %s: its plan is as it was: %s", event.id, error)
        return True

    def look_again(self, event_id: int) -> None:
        """Read an event's facts at once instead of at the next refresh."""
        if event_id in self._looking:
            self._look_again.add(event_id)
        else:
            self._looking[event_id] = asyncio.get_running_loop().create_task(self._look(event_id))

    async def _look(self, event_id: int) -> None:
        try:
            await self._learn(await self._opened(event_id))
        except SeatmapError as error:
            log.warning("event %s is as it was: %s", event_id, error)  # the refresh tries again
        except Exception:
            log.exception("event %s is as it was", event_id)
        del self._looking[event_id]
        if event_id in self._look_again:
            self._look_again.discard(event_id)
            self.look_again(event_id)

    async def _open_listed(self, event_id: int) -> None:
        try:
            await self._opened(event_id)
        except Unavailable:
            raise
        except Exception:  # of this event alone
            if event_id not in self._broken:
                self._broken.add(event_id)
                log.exception("event %s cannot be opened", event_id)

    async def _refresh_for_ever(self) -> None:
        while True:
            try:
                await self.refresh()
            except SeatmapError as error:
                log.warning("the list of events is as it was: %s", error)
            except Exception:
                log.exception("the list of events is as it was")
            await asyncio.sleep(REFRESH_SECONDS)

    async def _resolve_for_ever(self) -> None:
        while True:
            await asyncio.sleep(RESOLVE_SECONDS)
            for event_id in list(self._rooms):
                try:
                    await resolve(self.stores, event_id)
                except SeatmapError:
                    pass  # the next round finds the same orders
                except Exception:
                    log.exception("event %s: undecided orders stay so", event_id)
