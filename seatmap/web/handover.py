"""From uvicorn's handshake to a screen of our own: how a websocket costs little once it is open.

uvicorn reads the request, the application decides about it; then the connection is handed over to a
`DirectScreen`, and uvicorn's two protocol objects and the ASGI task, which would be most of an idle
viewer's memory, are gone. The door is an extension in the ASGI scope; where it is absent (another server),
`AsgiScreen` does the same through ASGI. Uses uvicorn's internals: `tests/integration/test_fanout_seam.py`
watches them.
"""

from typing import Any, cast

from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from seatmap.web.bounded import BoundedHttp, BoundedWebSocket
from seatmap.web.screens import AsgiScreen, DirectScreen, PageScreen

EXTENSION = "seatmap.fanout"


class HttpProtocol(BoundedHttp):
    """Given to uvicorn as `http=`."""

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        # The parser and this object know each other; the collector would find them late.
        self.parser = cast(Any, None)


class FanoutProtocol(BoundedWebSocket):
    """Given to uvicorn as `ws=`."""

    _early: bytes | None = b""  # what a page sent before it had its answer; None once ASGI has it

    async def run_asgi(self) -> None:
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[EXTENSION] = self
        application = self.app

        async def attended(scope: Any, receive: Any, send: Any) -> None:
            await application(scope, receive, send)
            # Of a page that was refused, or left by itself, uvicorn would say that it had no answer.
            if self.transport.is_closing():
                raise ClientDisconnected

        self.app = attended
        try:
            await super().run_asgi()
        finally:
            self.app = application  # both lead back here: see above
            del extensions[EXTENSION]

    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated and self._early is not None:
            self._early += data
            self.transport.pause_reading()
        else:
            super().data_received(data)

    async def receive(self) -> Any:
        if self.handshake_complete and self._early is not None:  # the application stays with ASGI
            early, self._early = self._early, None
            self.transport.resume_reading()
            if early:
                super().data_received(early)
        return await super().receive()

    def hand_over(self) -> DirectScreen:
        """The connection as a screen; nothing of it is this object's any more. It reads once it has a listener."""
        if self.transport.is_closing():
            raise WebSocketDisconnect(1006)
        self.stop_keepalive()
        screen = DirectScreen(self.transport, self.connections, self._early or b"")
        self.transport.set_protocol(screen)
        self.connections.discard(self)
        self.transport = cast(Any, _HandedOver())
        self.conn.parser.close()  # a generator and its object know each other, too
        return screen


class _HandedOver:
    """In place of the transport of a connection that is somebody else's."""

    def close(self) -> None:
        """Nothing of it is ours to close."""

    def is_closing(self) -> bool:
        return True


def screen_of(websocket: WebSocket) -> PageScreen:
    """The best screen that the server of this connection allows. Raises WebSocketDisconnect if it is gone."""
    protocol = websocket.scope.get("extensions", {}).get(EXTENSION)
    return AsgiScreen(websocket) if protocol is None else protocol.hand_over()
