"""A page on a real websocket for locust: it reads in a greenlet of its own and never holds up another."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import gevent  # type: ignore[import-untyped]
import msgspec
from gevent.event import AsyncResult  # type: ignore[import-untyped]
from gevent.lock import RLock  # type: ignore[import-untyped]
from websocket import ABNF, WebSocket, WebSocketException, create_connection

from loadtest.page import Page

CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 15.0
SYNC_PAUSE_S = 1.0  # between two requests for what is missing

Frames = Callable[[dict[int, int]], None]


class Lost(Exception):
    """No answer came: the connection ended, or time ran out. Whether the command was carried out is unknown."""


class GreenPage:
    """One visitor's page of an event. `on_change` gets the seats that each applied frame named."""

    def __init__(self, site: str, event_id: int, on_change: Frames = lambda seats: None) -> None:
        parts = urlsplit(site)
        scheme = "wss" if parts.scheme == "https" else "ws"
        self.page = Page()
        self.hello: dict[str, Any] = {}
        self.cookie = ""
        self._address = f"{scheme}://{parts.netloc}/ws/events/{event_id}"
        self._on_change = on_change
        self._socket: WebSocket | None = None
        self._waiting: dict[str, AsyncResult] = {}
        self._asked = 0
        self._synced = 0.0
        self._writing = RLock()
        self._reader: gevent.Greenlet | None = None

    @property
    def connected(self) -> bool:
        return self._socket is not None

    def connect(self) -> None:
        """Come, or come back to where this page was. Raises Lost where the site does not let it."""
        epoch, version = self.page.position
        try:
            self._socket = create_connection(
                f"{self._address}?epoch={epoch}&version={version}",
                timeout=CONNECT_SECONDS,
                cookie=self.cookie or None,
                http_no_proxy=["*"],
            )
        except (OSError, WebSocketException) as error:
            raise Lost(str(error)) from error
        headers = self._socket.getheaders() or {}
        self.cookie = self.cookie or headers.get("set-cookie", "").partition(";")[0]
        self._socket.settimeout(None)
        self._reader = gevent.spawn(self._read, self._socket)

    def leave(self) -> None:
        """Go away; waiting commands get no answer."""
        if self._socket is not None:
            self._close(self._socket)
        if self._reader is not None:
            self._reader.kill()

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """The reply to a command. Raises Lost."""
        self._asked += 1
        name = str(self._asked)
        answer = self._waiting[name] = AsyncResult()
        try:
            self._send({**command, "id": name})
            found: dict[str, Any] = answer.get(timeout=ANSWER_SECONDS)
            return found
        except gevent.Timeout:
            raise Lost(f"no answer within {ANSWER_SECONDS:g} s") from None
        finally:
            self._waiting.pop(name, None)

    def _send(self, command: dict[str, Any]) -> None:
        socket = self._socket
        if socket is None:
            raise Lost("not connected")
        try:
            with self._writing:
                socket.send(msgspec.json.encode(command).decode())
        except (OSError, WebSocketException) as error:
            self._close(socket)
            raise Lost(str(error)) from error

    def _read(self, socket: WebSocket) -> None:
        try:
            while True:
                kind, payload = socket.recv_data()
                if kind == ABNF.OPCODE_BINARY:
                    self._frame(payload)
                elif kind == ABNF.OPCODE_TEXT:
                    self._text(msgspec.json.decode(payload))
                elif kind == ABNF.OPCODE_CLOSE:
                    return
        except (OSError, WebSocketException):
            return
        finally:
            self._close(socket)

    def _frame(self, payload: bytes) -> None:
        named, behind = self.page.apply(payload)
        if named:
            self._on_change(named)
        if behind and time.monotonic() - self._synced > SYNC_PAUSE_S:
            self.sync()

    def sync(self) -> None:
        """Ask for what this page misses; it comes as frames."""
        self._synced = time.monotonic()
        epoch, version = self.page.position
        with suppress(Lost):
            self._send({"type": "sync", "id": "sync", "epoch": epoch, "version": version})

    def _text(self, message: dict[str, Any]) -> None:
        if message["type"] == "hello":
            self.hello = message
        elif message["type"] == "reply" and (waiting := self._waiting.get(message["id"])):
            waiting.set(message)

    def _close(self, socket: WebSocket) -> None:
        if self._socket is socket:
            self._socket = None
            for waiting in list(self._waiting.values()):
                waiting.set_exception(Lost("the connection ended"))
        with suppress(OSError, WebSocketException):
            socket.shutdown()  # type: ignore[no-untyped-call]
