"""A breaker: knows within a second that a store is away, so that nobody has to wait to find out, and that it is back.

It asks the store a small question over a connection of its own, again and again. What only one command meets (a
lock, a slow statement) opens nothing; while it is open, its own question is the only one that is asked.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

ASK_SECONDS = 0.2  # between an answer and the next question
ASK_AGAIN_SECONDS = 0.1  # the same while the store is away
TICK_SECONDS = 0.1
SILENT_TICKS = 7  # without an answer; then the store is away
CLOCK_SECONDS = 0.2  # an answer that took longer says too little about the store's clock

log = logging.getLogger(__name__)


class Prober(Protocol):
    """How a store is asked whether it is there."""

    async def ask(self) -> float:
        """The store's clock, in seconds of the Unix epoch. Connects where it is not connected."""

    async def drop(self) -> None:
        """Give the connection up; the next question makes another."""


class Breaker:
    """Open: the store is away. It is closed until `run` finds otherwise."""

    def __init__(self, name: str, prober: Prober) -> None:
        self.name = name
        self.is_open = False
        self.opened = 0  # how many times
        self.clock_s: float | None = None  # the store's clock minus this machine's, as last told
        self.on_open: list[Callable[[], None]] = []  # called at once when it opens
        self._prober = prober

    async def run(self) -> None:
        """Ask until cancelled."""
        try:
            while True:
                # Before it opens, a connection that broke gets a second chance: one of many may have been ended.
                if await self._answers() or (not self.is_open and await self._answers()):
                    self._close()
                else:
                    self._open()
                await asyncio.sleep(ASK_AGAIN_SECONDS if self.is_open else ASK_SECONDS)
        finally:
            await self._prober.drop()

    async def _answers(self) -> bool:
        began = time.monotonic()
        asking = asyncio.ensure_future(self._prober.ask())
        asking.add_done_callback(_retrieved)
        try:
            # Counted in turns of this loop: one that was held up itself must not take that for the store's silence.
            for _ in range(SILENT_TICKS):
                await asyncio.wait({asking}, timeout=TICK_SECONDS)
                if asking.done():
                    break
        finally:
            asking.cancel()
        error = None if asking.cancelled() or not asking.done() else asking.exception()
        if not asking.done() or error is not None:
            log.debug("%s does not answer: %r", self.name, error)
            await self._prober.drop()
            return False
        took = time.monotonic() - began
        if took < CLOCK_SECONDS:
            self.clock_s = asking.result() + took / 2 - time.time()
        return True

    def _open(self) -> None:
        if self.is_open:
            return
        self.is_open = True
        self.opened += 1
        log.warning("%s is away", self.name)
        for act in self.on_open:
            act()

    def _close(self) -> None:
        if self.is_open:
            self.is_open = False
            log.warning("%s is back", self.name)


def _retrieved(asking: "asyncio.Future[float]") -> None:
    """One that is given up may still fail; nobody asks it why."""
    if not asking.cancelled():
        asking.exception()
