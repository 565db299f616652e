"""Screens over websockets: how bytes reach a page without anybody waiting for it.

`FanoutProtocol` is uvicorn's own websocket protocol (`bounded.py`) plus a door in the ASGI scope through which a
ready-made message goes straight to the transport. Where that door is absent (another server, a test
client), `AsgiScreen` sends the same through ASGI from a task of its own.
"""

import asyncio
from typing import Any

from starlette.websockets import WebSocket

from seatmap.model import NOWHERE, Position
from seatmap.protocol import websocket_text
from seatmap.web.bounded import BoundedWebSocket

EXTENSION = "seatmap.fanout"
UNSENT_BYTES_MAX = 1 << 20  # of private messages to a page that does not read; then it is cut off


class FanoutProtocol(BoundedWebSocket):
    """Given to uvicorn as `ws=`. Uses its internals: `tests/integration/test_fanout_seam.py` watches them."""

    async def run_asgi(self) -> None:
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[EXTENSION] = self
        await super().run_asgi()

    def backlog(self) -> int:
        """Bytes that the kernel has not taken; negative when the connection is ending."""
        if not self.handshake_complete or self.close_sent or self.disconnected or self.transport.is_closing():
            return -1
        return self.transport.get_write_buffer_size()

    def write(self, wire: bytes) -> None:
        """Send one ready-made message."""
        if self.backlog() >= 0:
            self.transport.write(wire)

    def abort(self) -> None:
        """End the connection at once; `close()` would wait for a flush that never comes."""
        self.transport.abort()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.abort()


class DirectScreen:
    """A page reached through FanoutProtocol."""

    def __init__(self, protocol: FanoutProtocol) -> None:
        self.position: Position = NOWHERE
        self._protocol = protocol

    def backlog(self) -> int:
        return self._protocol.backlog()

    def show(self, payload: bytes, wire: bytes) -> None:
        self._protocol.write(wire)

    def tell(self, text: bytes) -> None:
        """Send one text message."""
        if self._protocol.backlog() > UNSENT_BYTES_MAX:
            self.abort()
        else:
            self._protocol.write(websocket_text(text))

    def abort(self) -> None:
        self._protocol.abort()

    async def close(self) -> None:
        """Nothing is left to do: all that was sent is with the transport."""


class AsgiScreen:
    """A page reached through plain ASGI `send`, one message at a time."""

    def __init__(self, websocket: WebSocket) -> None:
        self.position: Position = NOWHERE
        self._websocket = websocket
        self._unsent: list[bytes | str] = []
        self._bytes = 0
        self._sender: asyncio.Task[None] | None = None
        self._gone = False

    def backlog(self) -> int:
        return -1 if self._gone else self._bytes

    def show(self, payload: bytes, wire: bytes) -> None:
        self._queue(payload)

    def tell(self, text: bytes) -> None:
        """Send one text message."""
        self._queue(text.decode())

    def abort(self) -> None:
        self._gone = True
        self._unsent.clear()
        if self._sender is not None:
            self._sender.cancel()

    async def close(self) -> None:
        """Stop sending."""
        self.abort()

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


def screen_of(websocket: WebSocket) -> PageScreen:
    """The best screen that the server of this connection allows."""
    protocol = websocket.scope.get("extensions", {}).get(EXTENSION)
    return AsgiScreen(websocket) if protocol is None else DirectScreen(protocol)
