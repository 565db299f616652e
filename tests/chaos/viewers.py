"""Viewers: pages that only look. They keep the map as docs/protocol.md says, and write down every frame."""

import asyncio
import struct
import zlib

from seatmap import protocol
from seatmap.model import NOWHERE, Position
from tests.chaos.clients import Gone, Page
from tests.chaos.crowd import Crowd, Show
from tests.chaos.history import Frame, LastMap, now

SILENT_NS = 3_000_000_000  # without a frame the page reconnects; a heartbeat comes each second
BEHIND_NS = 1_500_000_000  # that a heartbeat may be ahead of the map before the page asks


class Viewer:
    """Looks at one event after the other, at one web."""

    def __init__(self, crowd: Crowd, name: str, web: int) -> None:
        self.crowd = crowd
        self.name = name
        self._web = web
        self._show: Show | None = None
        self._page: Page | None = None
        self._connection = 0
        self._statuses = bytearray()
        self._position: Position = NOWHERE
        self._heard = 0
        self._behind_since = 0

    async def run(self) -> None:
        while not self.crowd.stopping:
            await self._look()
            await asyncio.sleep(0.2)

    async def last(self, seconds: float) -> None:
        """Once nothing happens any more: come to rest, and write down what is shown then."""
        deadline = now() + seconds * 1e9
        before = NOWHERE
        while now() < deadline:
            await self._look()
            await asyncio.sleep(2.5)
            if before == self._position != NOWHERE and not self._behind_since:
                break
            before = self._position
        if self._show is not None:
            digits = bytes(48 + status for status in self._statuses).decode()
            self.crowd.history.add(LastMap(self.name, self._show.id, *self._position, digits))

    async def _look(self) -> None:
        if self._show is None or self._show.closing:
            choices = [show for show in self.crowd.shows if not show.closing]
            if not choices:
                return
            self._show = self.crowd.chance.choice(choices)
            self._statuses, self._position = bytearray(), NOWHERE
            self._leave()
        silent = now() - self._heard > SILENT_NS
        if self._page is None or self._page.closed or silent:
            await self._connect(self._show)
        elif self._behind_since and now() - self._behind_since > BEHIND_NS:
            self._behind_since = 0
            self._sync()

    async def _connect(self, show: Show) -> None:
        self._leave()
        at = tuple(self._position) if self._position != NOWHERE else None
        page = Page(self.crowd.ports[self._web], show.id, at=at)
        page.on_frame = self._take
        self.crowd.pages.add(page)
        self._connection += 1
        try:
            await page.open()
        except Gone:
            return
        self._page, self._heard = page, now()

    def _leave(self) -> None:
        if self._page is not None:
            self._page.leave()
            self._page = None

    def _sync(self) -> None:
        self.crowd.counts["syncs"] += 1
        if self._page is not None and not self._page.closed:
            at = self._position
            self._page.shout({"type": "sync", "id": "s", "epoch": at.epoch, "version": at.version})

    def _take(self, frame: bytes) -> None:
        kind, flags, _, epoch, second, third = struct.unpack_from("<BBHIII", frame)
        self._heard = now()
        stale = False
        if kind == protocol.SNAPSHOT:
            if Position(epoch, second) < self._position:
                return
            self._statuses = bytearray(frame[16 + i // 4] >> 2 * (i % 4) & 3 for i in range(third))
            self._position = Position(epoch, second)
        elif kind == protocol.CHANGE and epoch == self._position.epoch:
            if third <= self._position.version:
                return
            if second > self._position.version:
                self._sync()
                return
            self._apply(frame[16:], Position(epoch, third))
        elif kind == protocol.REBASE and struct.unpack_from("<II", frame, 16) == self._position:
            self._apply(frame[24:], Position(epoch, second))
        elif kind == protocol.HEARTBEAT:
            stale = bool(flags & protocol.STALE)
            same = Position(epoch, second) == self._position
            self._behind_since = 0 if same else self._behind_since or now()
        else:
            self._sync()
            return
        self._note(kind, stale)

    def _apply(self, entries: bytes, position: Position) -> None:
        for (entry,) in struct.iter_unpack("<I", entries):
            self._statuses[entry >> 8] = entry & 0xFF
        self._position = position
        self._behind_since = 0

    def _note(self, kind: int, stale: bool) -> None:
        assert self._show is not None
        self.crowd.counts["frames"] += 1
        self.crowd.history.add(
            Frame(
                now(),
                self.name,
                self._connection,
                self._show.id,
                kind,
                self._position.epoch,
                self._position.version,
                zlib.crc32(self._statuses),
                stale,
            )
        )
