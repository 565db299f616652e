"""The websocket of a page: what it says goes to its `Session`, and what follows from it to its screen."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from seatmap import protocol
from seatmap.errors import Refused, SeatmapError
from seatmap.model import NOWHERE, Position
from seatmap.protocol import encode
from seatmap.tasks import end
from seatmap.web.api import event_id_of
from seatmap.web.execute import Counter
from seatmap.web.guard import check_origin
from seatmap.web.handover import screen_of
from seatmap.web.limits import POLICY_VIOLATION, Limits, Line
from seatmap.web.problems import bug, problem_response
from seatmap.web.revocation import Revocation
from seatmap.web.room import Room, hello_of
from seatmap.web.rooms import Rooms
from seatmap.web.screens import PageScreen, attend
from seatmap.web.session import Session
from seatmap.web.visitor import Visitors

LAST_ANSWERS_SECONDS = 5.0
MESSAGES_WAITING_MAX = 256  # read and not yet looked at; a page waits for its answers


class Socket:
    """The endpoint /ws/events/{event_id}."""

    def __init__(
        self, rooms: Rooms, counter: Counter, visitors: Visitors, revocation: Revocation, limits: Limits
    ) -> None:
        self._rooms = rooms
        self._visitors = visitors
        self._revocation = revocation
        self._limits = limits
        self._office = _Office(counter)

    async def close(self) -> None:
        """Let the commands under way come to their end."""
        if self._office.working:
            await asyncio.wait(self._office.working, timeout=LAST_ANSWERS_SECONDS)
        await end(self._office.working)

    async def __call__(self, websocket: WebSocket) -> None:
        """One connection, from the handshake until its screen is its own, or, over plain ASGI, to its end."""
        with suppress(WebSocketDisconnect):  # at any moment, before it was accepted too
            try:
                check_origin(websocket.scope, websocket.headers, self._rooms.stores.settings.origins)
                visitor, headers = self._visitors.greet(websocket.scope, websocket.headers)
                key = await self._revocation.session_of(websocket)
                line = self._limits.connect(websocket, f"visitor {visitor}")
                page = await self._welcome(websocket, Session(visitor), headers, line)
            except SeatmapError as error:
                await websocket.send_denial_response(problem_response(error))
                return
            if key:
                page.depends_on(self._revocation, key)
            await attend(page.screen, page)

    async def _welcome(
        self, websocket: WebSocket, session: Session, headers: Mapping[str, str], line: Line
    ) -> "Page":
        """A page that looks at its room, from its handshake's answer to its map."""
        try:
            room = await self._rooms.get(event_id_of(websocket.path_params["event_id"]))
            await websocket.accept(
                headers=[(name.encode(), value.encode()) for name, value in headers.items()]
            )
            screen = screen_of(websocket)
        except BaseException:
            line.close()
            raise
        # From here on nothing waits, so that the page cannot be gone before it is there.
        page = Page(self._office, room, session, screen, line)
        screen.tell(encode(hello_of(room.event, self._rooms.stores.settings)))
        room.enter(session, screen, position_of(websocket.query_params))
        return page


class _Office:
    """Where the commands of all pages are carried out."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.working: set[asyncio.Task[None]] = set()


class Page:
    """One page's connection: its commands one after the other, each after the answer to the last."""

    __slots__ = ("_line", "_office", "_revocation", "_room", "_waiting", "screen", "session")

    def __init__(self, office: _Office, room: Room, session: Session, screen: PageScreen, line: Line) -> None:
        self.session = session
        self.screen = screen
        self._line = line
        self._office = office
        self._room = room
        self._waiting: list[str | None] | None = None  # messages; None while no command is under way
        self._revocation: tuple[Revocation, str] | None = None

    def depends_on(self, revocation: Revocation, key: str) -> None:
        """The connection is cut when a session ends; its page comes back as a visitor."""
        self._revocation = (revocation, key)
        revocation.watch(key, self.screen)

    def heard(self, text: str | None) -> None:
        if self._waiting is not None:
            self._waiting.append(text)
            self.screen.pause()
            if len(self._waiting) > MESSAGES_WAITING_MAX:
                self._waiting.clear()
                self.screen.close(POLICY_VIOLATION, "too many messages at once")
        elif (command := self._begin(text)) is not None:
            self._waiting = []
            task = asyncio.get_running_loop().create_task(self._work(command))
            self._office.working.add(task)
            task.add_done_callback(self._office.working.discard)

    def left(self) -> None:
        self._room.leave(self.session, self.screen)
        self._line.close()
        if self._revocation is not None:
            revocation, key = self._revocation
            revocation.forget(key, self.screen)

    def _begin(self, text: str | None) -> protocol.Command | None:
        """The command in a message; None where it is answered already."""
        refusal = self._line.message()
        try:
            if text is None:
                raise Refused("malformed", "Commands are JSON in text messages.")
            command = self.session.receive(text)
            if refusal:
                raise refusal
            if not isinstance(command, protocol.Sync):
                return command
            self._room.hub.sync(self.screen, Position(command.epoch, command.version))
            self._tell(self.session.answer(None))
        except SeatmapError as error:
            self._tell(self.session.refuse(error))
        except Exception as error:
            self._tell(self.session.refuse(self._bug(error)))
        if self._line.flooded:
            self.screen.close(POLICY_VIOLATION, "too many messages")
        return None

    async def _work(self, command: protocol.Command) -> None:
        """Carry out a command, and what was said meanwhile."""
        following: protocol.Command | None = command
        while following is not None:
            try:
                result = await self._office.counter.execute(self._room, self.session.visitor, following)
                reply = self.session.answer(result)
            except SeatmapError as error:
                reply = self.session.refuse(error)
            except Exception as error:
                reply = self.session.refuse(self._bug(error))
            self._tell(reply)
            following = self._next()

    def _next(self) -> protocol.Command | None:
        waiting = self._waiting or []
        while waiting:
            if (command := self._begin(waiting.pop(0))) is not None:
                return command
        self._waiting = None
        self.screen.resume()
        return None

    def _tell(self, reply: bytes) -> None:
        self.screen.tell(reply)
        if news := self.session.late_news():
            self.screen.tell(news)

    def _bug(self, error: Exception) -> SeatmapError:
        return bug(f"{self.session.visitor} at event {self._room.event.id}", error)


def position_of(query: Any) -> Position:
    """Where the page says it is; nowhere if it does not say so in numbers."""
    try:
        epoch, version = int(query.get("epoch", 0)), int(query.get("version", 0))
    except ValueError:
        return NOWHERE
    return Position(epoch, version) if epoch > 0 and version >= 0 else NOWHERE
