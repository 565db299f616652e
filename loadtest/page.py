"""A map as a page keeps it: what docs/protocol.md says of frames, written a second time from that document alone.

Nothing here is taken from the server's own code, so that the two can disagree.
"""

import struct

SNAPSHOT, CHANGE, HEARTBEAT, REBASE = 1, 2, 3, 4
AVAILABLE, HELD, BOOKED, BLOCKED = range(4)

_HEADER = struct.Struct("<BBHIII")

Position = tuple[int, int]


class Page:
    """One event's seats at a position; `statuses` has one byte per seat."""

    def __init__(self) -> None:
        self.position: Position = (0, 0)
        self.plan_version = 0
        self.statuses = bytearray()
        self.viewers = 0
        self.old = False  # the server says that its map may be old

    def apply(self, frame: bytes) -> tuple[dict[int, int], bool]:
        """(the seats that a frame named and their statuses, whether to send `sync`).

        A snapshot names no seats; a frame that is not applied names none either.
        """
        kind, flags, plan_version, epoch, second, third = _HEADER.unpack_from(frame)
        match kind:
            case 1:
                self._snapshot((epoch, second), plan_version, third, frame)
            case 2:
                return self._change(epoch, second, third, frame)
            case 3:
                self.viewers, self.old = third, bool(flags & 1)
                # Alone it does not mean that something was missed: a change may be on its way.
            case 4:
                return self._rebase((epoch, second), third, frame)
        return {}, False

    @property
    def digits(self) -> str:
        """The statuses as the HTTP API writes them with ?compact=1."""
        return "".join(map(str, self.statuses))

    def _snapshot(self, position: Position, plan_version: int, count: int, frame: bytes) -> None:
        if position >= self.position:
            self.position, self.plan_version = position, plan_version
            self.statuses = bytearray(frame[16 + i // 4] >> 2 * (i % 4) & 3 for i in range(count))

    def _change(self, epoch: int, since: int, version: int, frame: bytes) -> tuple[dict[int, int], bool]:
        if epoch != self.position[0]:
            return {}, True
        if version <= self.position[1]:
            return {}, False
        if since > self.position[1]:
            return {}, True
        self.position = (epoch, version)
        return self._take(frame, 16, (len(frame) - 16) // 4), False

    def _rebase(self, position: Position, count: int, frame: bytes) -> tuple[dict[int, int], bool]:
        if struct.unpack_from("<II", frame, 16) != self.position:
            return {}, True
        self.position = position
        return self._take(frame, 24, count), False

    def _take(self, frame: bytes, at: int, count: int) -> dict[int, int]:
        named = {entry >> 8: entry & 0xFF for entry in struct.unpack_from(f"<{count}I", frame, at)}
        for seat, status in named.items():
            self.statuses[seat] = status
        return named
