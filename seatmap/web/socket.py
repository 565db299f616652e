"""The websocket of a page: ASGI around a `Session` and a screen."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from seatmap import protocol
from seatmap.errors import Refused, SeatmapError
from seatmap.model import NOWHERE, Position
from seatmap.protocol import encode
from seatmap.web.api import event_id_of
from seatmap.web.execute import Counter
from seatmap.web.guard import check_origin
from seatmap.web.limits import POLICY_VIOLATION, Limits, Line
from seatmap.web.problems import bug, problem_response
from seatmap.web.revocation import Revocation
from seatmap.web.room import Room, hello_of
from seatmap.web.rooms import Rooms
from seatmap.web.screens import PageScreen, screen_of
from seatmap.web.session import Session
from seatmap.web.visitor import Visitors


class Socket:
    """The endpoint /ws/events/{event_id}."""

    def __init__(
        self, rooms: Rooms, counter: Counter, visitors: Visitors, revocation: Revocation, limits: Limits
    ) -> None:
        self._rooms = rooms
        self._counter = counter
        self._visitors = visitors
        self._revocation = revocation
        self._limits = limits

    async def __call__(self, websocket: WebSocket) -> None:
        """One connection, from the handshake to its end."""
        with suppress(WebSocketDisconnect):  # at any moment, before it was accepted too
            try:
                check_origin(websocket.scope, websocket.headers, self._rooms.stores.settings.origins)
                visitor, headers = self._visitors.greet(websocket.scope, websocket.headers)
                with self._limits.connect(websocket, f"visitor {visitor}") as line:
                    room = await self._rooms.get(event_id_of(websocket.path_params["event_id"]))
                    await self._accept(websocket, headers)
                    await self._serve(websocket, room, Session(visitor), line)
            except SeatmapError as error:
                await websocket.send_denial_response(problem_response(error))

    async def _serve(self, websocket: WebSocket, room: Room, session: Session, line: Line) -> None:
        screen = screen_of(websocket)
        screen.tell(encode(hello_of(room.event, self._rooms.stores.settings)))
        room.enter(session, screen, position_of(websocket.query_params))
        try:
            await room.tell_mine(session.visitor)
            async with self._revocation.watched(websocket, screen):
                await self._converse(websocket, room, session, screen, line)
        finally:
            room.leave(session, screen)
            await screen.close()

    async def _accept(self, websocket: WebSocket, headers: Mapping[str, str]) -> None:
        await websocket.accept(headers=[(name.encode(), value.encode()) for name, value in headers.items()])

    async def _converse(
        self, websocket: WebSocket, room: Room, session: Session, screen: PageScreen, line: Line
    ) -> None:
        """Messages one after the other: the next command waits for the answer to the last."""
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            refusal = line.message()
            try:
                text = message.get("text")
                if text is None:
                    raise Refused("malformed", "Commands are JSON in text messages.")
                command = session.receive(text)
                if refusal:
                    raise refusal
                if isinstance(command, protocol.Sync):
                    room.hub.sync(screen, Position(command.epoch, command.version))
                    reply = session.answer(None)
                else:
                    reply = session.answer(await self._counter.execute(room, session.visitor, command))
            except SeatmapError as error:
                reply = session.refuse(error)
            except Exception as error:
                reply = session.refuse(bug(f"{session.visitor} at {websocket.url.path}", error))
            screen.tell(reply)
            if news := session.late_news():
                screen.tell(news)
            if line.flooded:
                await websocket.close(POLICY_VIOLATION, "too many messages")
                return


def position_of(query: Any) -> Position:
    """Where the page says it is; nowhere if it does not say so in numbers."""
    try:
        epoch, version = int(query.get("epoch", 0)), int(query.get("version", 0))
    except ValueError:
        return NOWHERE
    return Position(epoch, version) if epoch > 0 and version >= 0 else NOWHERE
