"""What a page sends over its websocket, as messages. No I/O: bytes in, messages and bytes out.

Nearly all of it is one short text in one piece, which is read here (RFC 6455 §5.2). Everything else, from
fragments to close handshakes and what no page should send, is read by the websockets library.
"""

import logging

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.speedups import apply_mask

from seatmap.web.limits import Bucket

# Larger messages are refused with a sentence (protocol.MESSAGE_BYTES_MAX); those beyond this end the connection.
SOCKET_MESSAGE_BYTES_MAX = 64 * 1024
CONTROL_FRAMES_PER_S, CONTROL_FRAMES_SECONDS = 10.0, 3.0
FRAGMENTS_MAX = 32  # of one message

_log = logging.getLogger("seatmap.websockets")
_log.setLevel(logging.WARNING)


def only_text(data: bytes) -> str | None:
    """The text, where `data` is one whole text message of less than 64 KiB and nothing else."""
    if len(data) < 6 or data[0] != 0x81:
        return None
    size = data[1] - 0x80  # the high bit says that it is masked, as it must be
    if 0 <= size < 126:
        start = 6
    elif size == 126 and len(data) >= 8:
        size, start = int.from_bytes(data[2:4], "big"), 8
        if size < 126:
            return None  # it could be said shorter
    else:
        return None
    if len(data) != start + size:
        return None
    try:
        return apply_mask(data[start:], data[start - 4 : start]).decode()
    except UnicodeDecodeError:
        return None


class Incoming:
    """Reads what comes from one page, from one whole message to the next.

    `controls` counts the page's control frames; it outlives this object.
    """

    def __init__(self, controls: Bucket) -> None:
        self._controls = controls
        self._connection = ServerProtocol(state=OPEN, max_size=SOCKET_MESSAGE_BYTES_MAX, logger=_log)
        self._pieces: list[bytes] = []
        self._is_text = False
        self._received = self._read = 0  # bytes
        self._broken = False  # our limits were not kept

    def receive(self, data: bytes, now: float) -> list[str | None]:
        """The messages that are complete with `data`: texts, and None for each that is no text."""
        self._connection.receive_data(data)
        self._received += len(data)
        found: list[str | None] = []
        for event in self._connection.events_received():
            assert isinstance(event, Frame)
            self._read += _size(event)
            if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._take(event, found)
            elif event.opcode in (Opcode.PING, Opcode.PONG) and self._controls.take(
                now, CONTROL_FRAMES_PER_S, CONTROL_FRAMES_SECONDS
            ):
                self._fail(CloseCode.POLICY_VIOLATION, "too many control frames")
            if self._broken:
                break
        return found

    def _take(self, frame: Frame, found: list[str | None]) -> None:
        if frame.opcode is not Opcode.CONT:
            self._pieces, self._is_text = [], frame.opcode is Opcode.TEXT
        elif len(self._pieces) >= FRAGMENTS_MAX:
            self._fail(CloseCode.POLICY_VIOLATION, "too many fragments")
            return
        self._pieces.append(bytes(frame.data))
        if not frame.fin:
            return
        whole, self._pieces = b"".join(self._pieces), []
        if not self._is_text:
            found.append(None)
            return
        try:
            found.append(whole.decode())
        except UnicodeDecodeError as error:
            self._fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")

    def _fail(self, code: CloseCode, why: str) -> None:
        self._broken = True
        self._connection.data_to_send()  # is not sent any more
        self._connection.fail(code, why)

    def answer(self) -> bytes:
        """What is to be sent back: pongs, a close."""
        return b"".join(self._connection.data_to_send())

    def goodbye(self, code: int, reason: str = "") -> bytes:
        """Our close, to be sent; a page's answer to it is waited for."""
        if self._connection.state is OPEN:
            self._connection.send_close(code, reason)
        return self.answer()

    @property
    def ended(self) -> bool:
        """Nothing more is to be read: both have said goodbye, or the page broke the rules."""
        return self._connection.eof_sent

    @property
    def idle(self) -> bool:
        """Between two messages, with nothing under way: this object is not needed."""
        connection = self._connection
        return connection.state is OPEN and connection.current_size is None and self._read == self._received

    def drop(self) -> None:
        """Let the parser go; it and its generator know each other."""
        self._connection.parser.close()


def _size(frame: Frame) -> int:
    """Bytes of a frame on the wire; fewer than it had where it was said longer than need be."""
    size = len(frame.data)
    return size + 6 + (0 if size < 126 else 2 if size < 65536 else 8)
