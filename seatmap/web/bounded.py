"""uvicorn's protocols, with bounds on what a peer can cost: time, bytes, frames.

By themselves they wait for ever for a request's end or for a reader, answer any number of pings, and collect any
number of fragments. Their internals are used: `tests/integration/test_abuse.py` attacks them with raw sockets.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

HEAD_SECONDS = 10.0  # from the connection, or a request's first byte, to the end of its headers
BODY_SECONDS = 30.0  # from there to the end of its body
STALL_SECONDS = 10.0  # that a peer may leave unread what was sent, beyond the transport's high water
CLOSE_SECONDS = 2.0  # that a peer is given to answer a websocket's close

HEAD_BYTES_MAX = 16 * 1024
HEADERS_MAX = 100
LINE_BYTES_MAX = 8000  # of one header or the address; the websocket's own parser fails beyond 8,192


class _Patience:
    """A timer that aborts the connection of a peer that does not read."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _stall: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        if self._stall is None:
            self._stall = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()  # type: ignore[misc]
        self._forgive()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forgive()
        super().connection_lost(exc)  # type: ignore[misc]

    def _forgive(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None


class BoundedHttp(_Patience, HttpToolsProtocol):
    """Given to uvicorn as `http=`: a request has deadlines and a largest head."""

    _awaited = "head"  # the part of a request that has to come next; empty between two
    _timed = ""  # the part that the running timer is about
    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            self._disarm()
            return
        if self._awaited == "head" and self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(431)
            return
        if not self._awaited and self.timeout_keep_alive_task is None and self.cycle.response_complete:
            self._awaited = "head"  # empty lines between two requests stop uvicorn's own timer
        if self._awaited != self._timed:
            self._arm()

    def on_message_begin(self) -> None:
        self._awaited = "head"
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        lines = [len(self.url), *(len(name) + len(value) for name, value in self.headers)]
        if len(lines) > HEADERS_MAX + 1 or max(lines) > LINE_BYTES_MAX or sum(lines) > HEAD_BYTES_MAX:
            self._too_large = True
            raise ValueError("the head is too large")  # the parser stops, and has send_400_response called
        self._awaited = "body"
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._awaited, self._head_bytes = "", 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self._too_large:
            self._refuse(431)
        else:
            super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _arm(self) -> None:
        self._disarm()
        self._timed = self._awaited
        if self._awaited:
            seconds = HEAD_SECONDS if self._awaited == "head" else BODY_SECONDS
            self._deadline = self.loop.call_later(seconds, self._refuse, 408)

    def _disarm(self) -> None:
        self._timed = ""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: int) -> None:
        """End the connection; with an answer if none has begun."""
        self._disarm()
        cycle = cast(RequestResponseCycle | None, self.cycle)
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.abort()


class BoundedWebSocket(_Patience, WebSocketsSansIOProtocol):
    """uvicorn's websocket, as far as it goes: what follows the handshake is bounded in `screens.py`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.close_timeout = CLOSE_SECONDS
