"""Screens over websockets: how bytes reach a page, and a page's messages us, without anybody waiting.

A `DirectScreen` is the transport's own protocol: a ready-made message goes straight to the transport, and what
the page says straight to its listener. `AsgiScreen` does the same through ASGI, from a task of its own.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Any, Protocol

from starlette.websockets import WebSocket
from websockets.frames import CloseCode

from seatmap.live.replica import Frame
from seatmap.model import NOWHERE, Position
from seatmap.protocol import websocket_text
from seatmap.web import bounded
from seatmap.web.incoming import Incoming, only_text
from seatmap.web.limits import Bucket

AT_ONCE = struct.pack("ii", 1, 0)  # for SO_LINGER: nothing is waited for
UNSENT_BYTES_MAX = 1 << 20  # of private messages to a page that does not read; then it is cut off


class Listener(Protocol):
    """Who hears what a page says. Both return at once."""

    def heard(self, text: str | None) -> None:
        """One message; None for one that is no text."""

    def left(self) -> None:
        """The page is gone; said once."""


class DirectScreen(asyncio.Protocol):
    """A page's open websocket. Of every idle viewer there is one of these and a transport: keep it small."""

    __slots__ = (
        "_connections",
        "_controls",
        "_early",
        "_incoming",
        "_listener",
        "_stall",
        "_transport",
        "_unwritable",
        "position",
    )

    def __init__(self, transport: asyncio.Transport, connections: set[Any], early: bytes) -> None:
        """`connections` is the server's own set of those it must end; `early` came before the screen was."""
        self.position: Position = NOWHERE
        self._transport = transport
        self._connections = connections
        self._early = early
        self._incoming: Incoming | None = None  # only while a message is on its way in pieces
        self._controls: Bucket | None = None
        self._listener: Listener | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._unwritable = False
        connections.add(self)

    # ---- to the page ----

    def backlog(self) -> int:
        """Bytes that the kernel has not taken; negative when the connection is ending."""
        return -1 if self._unwritable else self._transport.get_write_buffer_size()

    def show(self, frame: Frame) -> int:
        """Send a frame, unless something is unsent: so many bytes; negative when the connection is ending."""
        if self._unwritable:
            return -1
        unsent = self._transport.get_write_buffer_size()
        if not unsent:
            self._transport.write(frame.wire)
        return unsent

    def tell(self, text: bytes) -> None:
        """Send one text message."""
        if self.backlog() > UNSENT_BYTES_MAX:
            self.abort()
        else:
            self._write(websocket_text(text))

    def abort(self) -> None:
        """End the connection at once, by a reset: the kernel would try to deliver the rest for a while yet."""
        self._unwritable = True
        if not self._transport.is_closing():
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            self._transport.abort()

    def close(self, code: int = CloseCode.GOING_AWAY, reason: str = "") -> None:
        """Say goodbye, and end the connection when the page has said so too, or does not for long."""
        if self._unwritable:
            return
        self._write(self._reader().goodbye(code, reason))
        self._unwritable = True
        self.resume()
        asyncio.get_running_loop().call_later(bounded.CLOSE_SECONDS, self.abort)

    def shutdown(self) -> None:
        """As uvicorn asks of all connections when it ends."""
        self.close(CloseCode.SERVICE_RESTART)

    def _write(self, wire: bytes) -> None:
        if not self._unwritable:
            self._transport.write(wire)

    # ---- from the page ----

    def listen(self, listener: Listener) -> None:
        """From now on what the page says is heard."""
        early, self._early = self._early, b""
        if self not in self._connections:
            listener.left()
            return
        self._listener = listener
        self.resume()
        if early:
            self.data_received(early)

    def pause(self) -> None:
        """Read no more for now: the page waits, and in the end its machine with it."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._listener is None:
            self._early += data
            self.pause()
            return
        if self._incoming is None:
            text = only_text(data)
            if text is not None:
                self._listener.heard(text)
                return
        incoming, hears = self._reader(), not self._unwritable
        messages = incoming.receive(data, asyncio.get_running_loop().time())
        if answer := incoming.answer():
            self._write(answer)
        for message in messages:
            if hears and not self._unwritable:
                self._listener.heard(message)
        if incoming.ended:
            self._unwritable = True
            self._transport.close()
        elif incoming.idle:
            incoming.drop()
            self._incoming = None

    def _reader(self) -> Incoming:
        if self._incoming is None:
            self._controls = self._controls or Bucket()
            self._incoming = Incoming(self._controls)
        return self._incoming

    def pause_writing(self) -> None:
        if self._stall is None:
            loop = asyncio.get_running_loop()
            self._stall = loop.call_later(bounded.STALL_SECONDS, self.abort)

    def resume_writing(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def connection_lost(self, error: Exception | None) -> None:
        self._unwritable = True
        self.resume_writing()
        self._connections.discard(self)
        if self._incoming is not None:
            self._incoming.drop()
            self._incoming = None
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.left()


class AsgiScreen:
    """A page reached through plain ASGI `send`, one message at a time."""

    def __init__(self, websocket: WebSocket) -> None:
        self.position: Position = NOWHERE
        self._websocket = websocket
        self._unsent: list[bytes | str] = []
        self._bytes = 0
        self._sender: asyncio.Task[None] | None = None
        self._gone = False
        self._hears = asyncio.Event()
        self._hears.set()

    def backlog(self) -> int:
        return -1 if self._gone else self._bytes

    def show(self, frame: Frame) -> int:
        """Send a frame, unless something is unsent: so many bytes; negative when the connection is ending."""
        unsent = self.backlog()
        if not unsent:
            self._queue(frame.payload)
        return unsent

    def tell(self, text: bytes) -> None:
        """Send one text message."""
        self._queue(text.decode())

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye; what is unsent stays so."""
        if not self._gone:
            self.abort()
            self._sender = asyncio.get_running_loop().create_task(self._say_goodbye(code, reason))

    async def _say_goodbye(self, code: int, reason: str) -> None:
        with suppress(Exception):  # it is gone already
            await self._websocket.close(code, reason)

    def abort(self) -> None:
        self._gone = True
        self._unsent.clear()
        if self._sender is not None:
            self._sender.cancel()

    def pause(self) -> None:
        self._hears.clear()

    def resume(self) -> None:
        self._hears.set()

    async def attend(self, listener: Listener) -> None:
        """Hand on what the page says until it is gone."""
        try:
            while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
                listener.heard(message.get("text"))
                await self._hears.wait()
        finally:
            self.abort()
            listener.left()

    def _queue(self, message: bytes | str) -> None:
        if self._gone:
            return
        if self._bytes > UNSENT_BYTES_MAX:
            self.abort()
            return
        self._unsent.append(message)
        self._bytes += len(message)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        while self._unsent:
            message = self._unsent.pop(0)
            try:
                if isinstance(message, str):
                    await self._websocket.send_text(message)
                else:
                    await self._websocket.send_bytes(message)
            except Exception:
                self._gone = True
                return
            self._bytes -= len(message)


PageScreen = DirectScreen | AsgiScreen


async def attend(screen: PageScreen, listener: Listener) -> None:
    """Let `listener` hear what a page says: from now on, or, where ASGI carries it, until the page is gone."""
    if isinstance(screen, DirectScreen):
        screen.listen(listener)
    else:
        await screen.attend(listener)
