"""The feed: keeps replicas of the watched events true to Redis.

Pub/sub is a hint; the log and its positions are the truth. Per event: subscribe, wait for the
confirmation, then read and buffer what arrives meanwhile; any hole, any repeated confirmation and any
unexpected unsubscription is a gap; the head is checked every second, because a lost last message is
invisible. (The algorithm follows Centrifugo's recovery: internal/recovery and client.go.)
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from redis.exceptions import RedisError

from seatmap.changes import decode
from seatmap.connections import Redis, run_id
from seatmap.errors import Recovering, SeatmapError, Unavailable
from seatmap.keys import keys
from seatmap.live.replica import RING_CHANGES_MAX, Outcome, Replica
from seatmap.model import NOWHERE, Change, Position, Snapshot
from seatmap.tasks import together

BACKOFF_SECONDS = (0.05, 0.2, 0.5, 1.0)
STALE_SECONDS = (
    2.5  # a map not verified for so long says so: by the next check, which may wait for Redis, it is 5 s
)
STALE_CHECKS = 2.5  # …and at least for so many checks
LOOK_SECONDS = 0.1  # that news of the head are given to arrive by themselves
MISSED_CHECKS_MAX = 2  # then the subscription itself is suspect

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where whole maps and missed changes come from."""

    async def snapshot(self, event_id: int) -> Snapshot:
        """The whole map."""

    async def replay(self, event_id: int, since: Position) -> tuple[str, list[Change] | None]:
        """(run id, changes after a position); None where they are not all there any more."""

    async def head(self, event_id: int) -> Position:
        """The position that Redis is at."""


class Watcher(Protocol):
    """Who is told what happens to a replica. The methods return at once."""

    def changed(self, change: Change) -> None:
        """A change was applied."""

    def caught_up(self) -> None:
        """The replica is true again after a start or a gap; what is anybody's own should be read again."""

    def verified(self, *, stale: bool) -> None:
        """The head was compared (or could not be)."""

    def recovering(self) -> None:
        """Redis has no state of this event to trust."""


class Watch:
    """One event that this process watches."""

    def __init__(self, event_id: int, watcher: Watcher) -> None:
        self.event_id = event_id
        self.channel = keys(event_id).channel.encode()
        self.watcher = watcher
        self.replica = Replica()
        self.live = asyncio.Event()
        # Bounded: what falls out is a hole until a later snapshot has it.
        self.buffer: deque[Change] = deque(maxlen=RING_CHANGES_MAX)
        self.subscribed_on = ""  # run id of the server that confirmed; empty: nobody did yet
        self.syncing: asyncio.Task[None] | None = None
        self.looking: asyncio.Task[None] | None = None
        self.head = NOWHERE  # as of the check before
        self.missed_checks = 0  # since anything was heard: the log heals each, so that only silence tells
        self.verified_at = 0.0

    @property
    def lag(self) -> int:
        """How many changes of the head, as of the last check, are not here."""
        here, head = self.replica.position, self.head
        return max(0, head.version - here.version) if here.epoch == head.epoch else head.version

    def receive(self, change: Change) -> bool:
        """Take one message; False when something before it is missing."""
        if not self.live.is_set():
            self.buffer.append(change)
            return True
        outcome = self.replica.receive(change)
        if outcome is Outcome.gap:
            self.live.clear()
            self.buffer.clear()
            self.buffer.append(change)
            return False
        if outcome is Outcome.applied:
            self.watcher.changed(change)
        return True


class Feed:
    """All watched events of a process over one subscription connection. `run` must be running."""

    def __init__(self, redis: Redis, source: Source, *, head_check_ms: int) -> None:
        self._redis = redis
        self._source = source
        self._head_check_s = head_check_ms / 1000
        self._stale_s = max(STALE_SECONDS, STALE_CHECKS * self._head_check_s)
        self._watches: dict[bytes, Watch] = {}
        self._reading: asyncio.Task[None] | None = None
        self._attempt = 0
        self._send: Callable[[str, bytes], Awaitable[None]] | None = None

    async def watch(self, watch: Watch) -> None:
        """Begin to watch an event. `Watch.live` is set once its replica is true."""
        self._watches[watch.channel] = watch
        if self._send is not None:
            with suppress(RedisError, OSError):
                await self._send("SSUBSCRIBE", watch.channel)

    async def unwatch(self, watch: Watch) -> None:
        """Stop watching; the watcher hears no more."""
        self._watches.pop(watch.channel, None)
        for task in (watch.syncing, watch.looking):
            if task is not None:
                task.cancel()
        if self._send is not None:
            with suppress(RedisError, OSError):
                await self._send("SUNSUBSCRIBE", watch.channel)

    async def run(self) -> None:
        """Read the subscription and check the heads until cancelled."""
        await together(self._read_for_ever(), self._check_for_ever())

    # ---- the subscription ----

    async def _read_for_ever(self) -> None:
        try:
            while True:
                self._reading = asyncio.get_running_loop().create_task(self._read())
                await asyncio.wait({self._reading})
                if not self._reading.cancelled() and (error := self._reading.exception()):
                    log.warning("the subscription broke: %s", error, exc_info=not _expected(error) and error)
                for watch in self._watches.values():
                    watch.live.clear()
                    watch.subscribed_on = ""
                await asyncio.sleep(_backoff(self._attempt))
                self._attempt += 1
        finally:
            self._resubscribe()
            for watch in self._watches.values():
                for task in (watch.syncing, watch.looking):
                    if task is not None:
                        task.cancel()

    async def _read(self) -> None:
        connection = await self._redis.dedicated()

        async def send(word: str, channel: bytes) -> None:
            await connection.send_command(word, channel)

        self._send = send
        try:
            for channel in list(self._watches):
                await send("SSUBSCRIBE", channel)
            while True:
                kind, channel, payload = await connection.read_response()
                watch = self._watches.get(channel)
                if watch is None:
                    continue
                if kind == b"smessage":
                    watch.missed_checks = 0
                    if not watch.receive(decode(payload)):
                        self._resync(watch)
                elif kind == b"ssubscribe":
                    self._attempt = 0
                    watch.missed_checks = 0
                    watch.subscribed_on = run_id(connection)
                    self._resync(watch)
                else:
                    return  # a slot moved away: what follows would be silence
        finally:
            self._send = None
            await connection.disconnect(nowait=True)

    def _resubscribe(self) -> None:
        """Drop the subscription; the reader makes a new one, which is a gap for every event."""
        if self._reading is not None:
            self._reading.cancel()

    # ---- one event ----

    def _resync(self, watch: Watch) -> None:
        watch.live.clear()
        if watch.syncing is not None and not watch.syncing.done():
            watch.syncing.cancel()
        watch.syncing = asyncio.get_running_loop().create_task(self._sync(watch))

    async def _sync(self, watch: Watch) -> None:
        attempt = 0
        while not await self._sync_once(watch):
            await asyncio.sleep(_backoff(attempt))
            attempt += 1
        watch.buffer.clear()
        watch.live.set()
        watch.verified_at = asyncio.get_running_loop().time()
        watch.watcher.caught_up()

    async def _sync_once(self, watch: Watch) -> bool:
        try:
            if watch.replica.position != NOWHERE and await self._catch_up(watch):
                return True
            snapshot = await self._source.snapshot(watch.event_id)
        except Recovering:
            watch.watcher.recovering()
            return False
        except Unavailable:
            return False
        except Exception:
            log.exception("event %s: its seats cannot be read; trying again", watch.event_id)
            return False
        if snapshot.run_id != watch.subscribed_on:
            self._resubscribe()
            return False
        return watch.replica.install(snapshot, watch.buffer)

    async def _catch_up(self, watch: Watch) -> bool:
        reached, changes = await self._source.replay(watch.event_id, watch.replica.position)
        if changes is None or reached != watch.subscribed_on:
            return False
        for change in sorted([*changes, *watch.buffer], key=lambda c: (c.epoch, c.to)):
            outcome = watch.replica.receive(change)
            if outcome is Outcome.gap:
                return False
            if outcome is Outcome.applied:
                watch.watcher.changed(change)
        return True

    # ---- the head ----

    def look(self, watch: Watch) -> None:
        """Compare with the head now: a screen claims to have seen more than this process has."""
        if watch.looking is None or watch.looking.done():
            watch.looking = asyncio.get_running_loop().create_task(self._look(watch))

    async def _look(self, watch: Watch) -> None:
        with suppress(SeatmapError):
            head = await self._source.head(watch.event_id)
            await asyncio.sleep(LOOK_SECONDS)
            if watch.live.is_set() and watch.replica.position < head:
                self._resync(watch)

    async def _check_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._head_check_s)
            # Side by side: where Redis does not answer, each waits until its time is over.
            checks = [self._check(watch) for watch in self._watches.values()]
            for outcome in await asyncio.gather(*checks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    log.error("a head check failed", exc_info=outcome)

    async def _check(self, watch: Watch) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            head = await self._source.head(watch.event_id)
        except Recovering:
            watch.watcher.recovering()
        except SeatmapError:
            pass
        else:
            # What was the head a check ago must have arrived by now.
            if watch.live.is_set() and watch.replica.position >= watch.head:
                watch.verified_at = began
            elif watch.subscribed_on:
                watch.missed_checks += 1
                if watch.missed_checks > MISSED_CHECKS_MAX:
                    watch.missed_checks = 0
                    self._resubscribe()
                elif watch.live.is_set():
                    self._resync(watch)
            watch.head = head
        watch.watcher.verified(stale=loop.time() - watch.verified_at > self._stale_s)


def _backoff(attempt: int) -> float:
    return BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS) - 1)]


def _expected(error: BaseException) -> bool:
    return isinstance(error, SeatmapError | RedisError | OSError | EOFError)
