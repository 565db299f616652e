"""The hub: what screens are on an event, and when they get their next frame.

Leading edge: the first change leaves at once; then at most one frame per `max(frame_ms, 2 × the last
fan-out)`. A screen is never awaited. One that lags is skipped and later gets one merged frame; one that
lags too long is cut off.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from seatmap.live.replica import Frame, Replica, frame
from seatmap.model import Position
from seatmap.protocol import heartbeat_frame

YIELD_EVERY = 250  # writes between two turns for everybody else in the process
LAG_SECONDS_MAX = 8.0  # the dead are gone in ten, with what it takes to notice and to end them
AHEAD_SECONDS_MAX = 1.0  # that a screen which has seen more than the replica waits for it
RETRY_SECONDS = 0.25  # until a lagging screen is looked at again when nothing else happens

log = logging.getLogger(__name__)


class Screen(Protocol):
    """One connected page, as the hub sees it."""

    position: Position

    def show(self, frame: Frame) -> int:
        """Send a frame without waiting, unless something is unsent: so many bytes; negative when it is gone."""

    def abort(self) -> None:
        """Cut the connection without waiting for what is unsent."""


class Hub:
    """The screens of one event. All methods but `run` return at once."""

    def __init__(
        self,
        replica: Replica,
        *,
        frame_ms: int,
        heartbeat_ms: int,
        ahead: Callable[[], None] = lambda: None,
    ) -> None:
        """`ahead` is called when a screen has seen more than the replica."""
        self.replica = replica
        self.screens: set[Screen] = set()
        self.cut_off = 0  # screens that lagged too long
        self._lagging: dict[Screen, float] = {}  # screen → since when; its next frame will hold all it misses
        self._stale = self._told_stale = False
        self._ahead = ahead
        self._waiting: dict[Screen, float] = {}  # screen that is ahead → until when it waits
        self.fan_out_s = 0.0  # how long the last round over the screens took
        self._frame_s = frame_ms / 1000
        self._heartbeat_s = heartbeat_ms / 1000
        self._wake = asyncio.Event()

    def attach(self, screen: Screen, position: Position) -> None:
        """Add a screen and send what it misses. No await between the two, hence no race with a change."""
        self.screens.add(screen)
        self.sync(screen, position)

    def detach(self, screen: Screen) -> None:
        """Forget a screen; forgetting one twice is fine."""
        self.screens.discard(screen)
        self._lagging.pop(screen, None)
        self._waiting.pop(screen, None)

    def sync(self, screen: Screen, position: Position) -> None:
        """A screen says where it is; send what it misses from there."""
        now = asyncio.get_running_loop().time()
        screen.position = position
        if position > self.replica.position and screen not in self._waiting:
            self._waiting[screen] = now + AHEAD_SECONDS_MAX
            self._ahead()
        if screen in self.screens and not self._bring_to_head(screen, now):
            self._wake.set()  # it is busy: look again soon, whatever else happens

    def changed(self) -> None:
        """The replica moved in a way that screens should see soon."""
        self._wake.set()

    @property
    def stale(self) -> bool:
        """Whether the map may be old."""
        return self._stale

    @stale.setter
    def stale(self, stale: bool) -> None:
        self._stale = stale
        if stale is not self._told_stale:
            self._wake.set()

    @property
    def lagging(self) -> int:
        """How many screens have not taken what was sent to them."""
        return len(self._lagging)

    async def run(self) -> None:
        """Send frames until cancelled."""
        loop = asyncio.get_running_loop()
        beat = loop.time() + self._heartbeat_s
        retry = False
        while True:
            pause = max(0.0, beat - loop.time())
            # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(min(pause, RETRY_SECONDS) if retry else pause):
                    await self._wake.wait()
            self._wake.clear()
            started = loop.time()
            await self._fan_out(started)
            retry = bool(self._lagging or self._waiting)
            if loop.time() >= beat or self._stale is not self._told_stale:
                await self._heartbeat(loop.time())
                beat = loop.time() + self._heartbeat_s
            self.fan_out_s = took = loop.time() - started
            await asyncio.sleep(max(self._frame_s, 2 * took) - took)

    async def _fan_out(self, now: float) -> None:
        """One round over the screens."""
        screens = list(self.screens)
        for first in range(0, len(screens), YIELD_EVERY):
            self._bring_all_to_head(screens[first : first + YIELD_EVERY], now)
            await asyncio.sleep(0)

    def _bring_all_to_head(self, screens: Sequence[Screen], now: float) -> None:
        """Send screens what they miss: most are at the very object that was the head, so it is looked up once."""
        replica, head = self.replica, self.replica.position
        usual: Position | None = None
        missed: Frame | None = None
        for screen in screens:
            at = screen.position
            if at is head or screen not in self.screens:
                continue
            if usual is None and not self._waiting and replica.whole(at) is None:
                usual, missed = at, replica.since(at)
            if at is usual and missed is not None:
                if self._shown(screen, missed, now):
                    screen.position = head
            else:
                self._bring_to_head(screen, now)

    def _bring_to_head(self, screen: Screen, now: float) -> bool:
        """Send a screen what it misses; False when it has to wait."""
        if self._waiting and screen in self._waiting:
            if screen.position > self.replica.position and now < self._waiting[screen]:
                return False
            del self._waiting[screen]
        if (whole := self.replica.whole(screen.position)) is not None:
            if not self._shown(screen, whole[1], now):
                return False
            screen.position = whole[0]
        missed = self.replica.since(screen.position)
        if missed is None:
            screen.position = self.replica.position
            return True
        if not self._shown(screen, missed, now):
            return False
        screen.position = self.replica.position
        return True

    def _shown(self, screen: Screen, what: Frame, now: float) -> bool:
        """Send one frame; False when something sent before has to leave first."""
        try:
            unsent = screen.show(what)
        except Exception:  # one screen must not end the round for all
            log.exception("a screen cannot be reached")
            screen.abort()
            unsent = -1
        if unsent > 0:
            self._lags(screen, now)
            return False
        if unsent < 0:
            self.detach(screen)
        elif self._lagging:
            self._lagging.pop(screen, None)
        return True

    def _lags(self, screen: Screen, now: float) -> None:
        if now - self._lagging.setdefault(screen, now) > LAG_SECONDS_MAX:
            self.detach(screen)
            self.cut_off += 1
            screen.abort()

    async def _heartbeat(self, now: float) -> None:
        beat = frame(
            heartbeat_frame(
                self.replica.position, self.replica.plan_version, len(self.screens), stale=self._stale
            )
        )
        self._told_stale = self._stale
        at = self.replica.position
        for i, screen in enumerate(list(self.screens)):
            if screen in self.screens and screen.position == at:
                self._shown(screen, beat, now)
            if i % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
