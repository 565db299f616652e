"""A websocket client that costs next to nothing, so that what is measured is the server."""

import asyncio
import base64
import os
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import msgspec

_REPLY = b'{"type":"reply"'
_HELLO = b'{"type":"hello"'


class Mine(msgspec.Struct):
    """What of a `mine` is needed to go on."""

    hold_id: str
    seats: tuple[int, ...]


class Problem(msgspec.Struct):
    """What of an error is needed to count it."""

    code: str
    temporary: bool


class Reply(msgspec.Struct):
    """An answer; `error` is None where the command was carried out."""

    mine: Mine | None = None
    error: Problem | None = None


decode_reply = msgspec.json.Decoder(Reply).decode


class Client(asyncio.Protocol):
    """One page. `on_frame` gets each binary message; one command at a time may be under way.

    Masks with zeros, as RFC 6455 allows a client that needs no protection from itself: the server's work is
    the same, the client has none.
    """

    def __init__(self, url: str, event_id: int, cookie: str = "", key: str = "") -> None:
        parts = urlsplit(url)
        self.cookie = cookie
        self.on_frame: Callable[[bytes], None] = lambda frame: None
        self.on_hello: Callable[[bytes], None] = lambda hello: (
            None
        )  # those after the first: news of the event
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = False
        admin = "admin/" if key else ""
        self._request = (
            f"GET /ws/{admin}events/{event_id} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
            + (f"Cookie: {cookie}\r\n" if cookie else "")
            + (f"Authorization: Bearer {key}\r\n" if key else "")
            + "\r\n"
        ).encode()
        self._transport: asyncio.Transport
        self._buffer = b""
        self._open = False
        self._reply: asyncio.Future[bytes] | None = None

    @classmethod
    async def connect(
        cls, url: str, event_id: int, on_frame: Callable[[bytes], None] | None = None, *, key: str = ""
    ) -> "Client":
        """A page (with an API key: a dashboard) that has its hello. Raises ConnectionError where it is refused."""
        parts = urlsplit(url)
        client = cls(url, event_id, key=key)
        host, port = parts.hostname or "127.0.0.1", parts.port or 80
        if on_frame is not None:
            client.on_frame = on_frame
        await asyncio.get_running_loop().create_connection(lambda: client, host, port)
        async with asyncio.timeout(15):
            await client.ready
        return client

    async def ask(self, command: bytes) -> bytes:
        """The reply to a command of at most 65,535 bytes of JSON, as JSON."""
        self._reply = asyncio.get_running_loop().create_future()
        size = len(command)
        head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
        self._transport.write(head + b"\0\0\0\0" + command)
        return await self._reply

    def close(self) -> None:
        """Leave without a word, as a closed lid does."""
        self._transport.abort()

    # ---- asyncio.Protocol ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        for waiting in (self.ready, self._reply):
            if waiting is not None and not waiting.done():
                waiting.set_exception(ConnectionError("the site closed the connection"))

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        if not self._open:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            self._shake_hands(head)
        self._buffer = data[self._messages(data) :]

    def _shake_hands(self, head: bytes) -> None:
        status, *lines = head.decode("latin-1").split("\r\n")
        if " 101 " not in status:
            self.ready.set_exception(ConnectionError(status))
            self._transport.abort()
            return
        self._open = True
        for line in lines:
            name, _, value = line.partition(":")
            if name.lower() == "set-cookie":
                self.cookie = value.strip().partition(";")[0]

    def _messages(self, data: bytes) -> int:
        """Hand on the whole messages in `data`; how many bytes those were."""
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                if start > end:
                    break
                size = int.from_bytes(data[at + 2 : start], "big")
            if start + size > end:
                break
            self._message(data[at] & 15, data[start : start + size])
            at = start + size
        return at

    def _message(self, kind: int, payload: bytes) -> None:
        if kind == 2:
            self.on_frame(payload)
        elif kind == 1:
            if payload.startswith(_REPLY):
                if self._reply is not None and not self._reply.done():
                    self._reply.set_result(payload)
            elif payload.startswith(_HELLO):
                if self.ready.done():
                    self.on_hello(payload)
                else:
                    self.ready.set_result(None)
        elif kind == 9:
            self._transport.write(bytes((0x8A, 0x80 | len(payload))) + b"\0\0\0\0" + payload)
        elif kind == 8:
            self._transport.close()
