"""What the swarm talks with: a websocket page and an HTTP connection, both as cheap as can be."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import msgspec

from loadtest.client import Client

_MINE = b'{"type":"mine"'
HOST = "127.0.0.1"


class Gone(ConnectionError):
    """No answer came, or none that can be read: what became of the call is unknown."""


class Page(Client):
    """A page of a visitor: the cookie, if there is one, decides who that is. `on_mine` gets news as JSON."""

    def __init__(self, port: int, event: int, cookie: str = "", at: tuple[int, int] | None = None) -> None:
        super().__init__(f"http://{HOST}:{port}", event, cookie)
        self.port = port
        self.on_mine: Callable[[bytes], None] = lambda news: None
        if at is not None:
            query = f"?epoch={at[0]}&version={at[1]} HTTP/1.1".encode()
            self._request = self._request.replace(b" HTTP/1.1", query, 1)

    async def open(self, seconds: float = 3.0) -> None:
        """Connect and wait for the hello. Raises Gone."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                await loop.create_connection(lambda: self, HOST, self.port)
                await self.ready
        except (OSError, TimeoutError) as error:
            self.leave()
            raise Gone(str(error)) from None

    def leave(self) -> None:
        """Away at once; nobody waits for what was asked."""
        self.closed = True
        for waiting in (self.ready, self._reply):
            if waiting is not None and not waiting.done():
                waiting.set_exception(Gone("left"))
                waiting.exception()  # there may be nobody who waits
        with suppress(AttributeError):  # never connected
            self.close()

    def shout(self, command: dict[str, Any]) -> None:
        """Send a command and wait for nothing."""
        task = asyncio.ensure_future(self.ask(msgspec.json.encode(command)))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def command(self, command: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The reply. Raises Gone, and closes the page, whose late reply would meet another command."""
        if self.closed:
            raise Gone("closed")
        try:
            async with asyncio.timeout(seconds):
                return cast(dict[str, Any], msgspec.json.decode(await self.ask(msgspec.json.encode(command))))
        except (OSError, TimeoutError) as error:
            self.leave()
            raise Gone(str(error)) from None

    def _message(self, kind: int, payload: bytes) -> None:
        if kind == 1 and payload.startswith(_MINE):
            self.on_mine(payload)
        else:
            super()._message(kind, payload)


class Http:
    """Keep-alive calls to one web process, one at a time."""

    def __init__(self, port: int, headers: str = "") -> None:
        self._port = port
        self._headers = headers
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(
        self, method: str, path: str, body: Any = None, *, seconds: float, headers: str = ""
    ) -> tuple[int, Any]:
        """Status and JSON of the answer. Raises Gone."""
        try:
            async with asyncio.timeout(seconds):
                return await self._call(
                    method, path, b"" if body is None else msgspec.json.encode(body), headers
                )
        except (OSError, TimeoutError, EOFError, ValueError) as error:
            self.close()
            raise Gone(repr(error)) from None
        except BaseException:
            self.close()
            raise

    async def _call(self, method: str, path: str, body: bytes, headers: str) -> tuple[int, Any]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(HOST, self._port)
        reader, writer = self._streams
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: {HOST}:{self._port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{self._headers}{headers}\r\n".encode()
            + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        content = await reader.readexactly(int(fields["content-length"]))
        if fields.get("connection") == "close":
            self.close()
        return int(head[0].split(" ")[1]), msgspec.json.decode(content) if content else None

    def close(self) -> None:
        """Away at once."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None
