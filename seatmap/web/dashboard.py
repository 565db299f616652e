"""The dashboard's websocket: the public frames, and once a second how the event fares, for its staff.

What costs anything is done only while somebody looks, and once for all who look at the same event here.
"""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

from starlette.websockets import WebSocket, WebSocketDisconnect

from seatmap import protocol
from seatmap.checkout.stores import Stores
from seatmap.errors import Refused, SeatmapError
from seatmap.ledger import sales
from seatmap.ledger.sales import Sales
from seatmap.live.processes import Processes
from seatmap.live.pulse import RATE_SECONDS, Told, p99
from seatmap.live.replica import frame
from seatmap.model import Position, Role, User
from seatmap.protocol import Answering, Dashboard, History, Process, ages_frame, encode
from seatmap.tasks import together
from seatmap.web.api import event_id_of
from seatmap.web.endpoint import Identify, check_role
from seatmap.web.guard import check_origin
from seatmap.web.handover import screen_of
from seatmap.web.limits import POLICY_VIOLATION, Limits, Line
from seatmap.web.problems import problem_response
from seatmap.web.room import Room, hello_of
from seatmap.web.rooms import Rooms
from seatmap.web.screens import PageScreen, attend
from seatmap.web.session import Session
from seatmap.web.socket import position_of

TELL_SECONDS = 1.0
AGES_SECONDS = 2.0
SALES_SECONDS = 5.0
WHO_SECONDS = 5.0  # until somebody who lost their role is shown out
ANSWER_SECONDS = 1.0  # a store that takes longer counts as away

log = logging.getLogger(__name__)


class Board:
    """What those who look at one event in this process are told. `run` must be running."""

    def __init__(self, stores: Stores, room: Room, processes: Processes) -> None:
        self.screens: set[PageScreen] = set()
        self.running: asyncio.Task[None] | None = None
        self._stores = stores
        self._room = room
        self._processes = processes
        self._told: list[Told] = []
        self._sales = Sales(0, 0)
        self._redis = self._postgres = Answering(False, 0)

    async def run(self) -> None:
        """Measure and tell until cancelled."""
        # So that the first thing told is true already.
        await asyncio.gather(
            self._look_at_redis(), self._look_at_postgres(), self._look_at_sales(), return_exceptions=True
        )
        await together(
            _every(TELL_SECONDS, self._tell),
            _every(AGES_SECONDS, self._show_ages),
            _every(TELL_SECONDS, self._look_at_redis),
            _every(TELL_SECONDS, self._look_at_postgres),
            _every(SALES_SECONDS, self._look_at_sales),
        )

    # ---- what is measured ----

    async def _look_at_redis(self) -> None:
        self._redis = await self._timed(self._read())

    async def _look_at_postgres(self) -> None:
        self._postgres = await self._timed(sales.ping(self._stores.pool))

    async def _look_at_sales(self) -> None:
        await self._timed(self._ask())

    async def _read(self) -> None:
        self._told = await self._processes.read()

    async def _ask(self) -> None:
        self._sales = await sales.of_event(self._stores.pool, self._room.event.id)

    @staticmethod
    async def _timed(question: Awaitable[None]) -> Answering:
        began = time.perf_counter()
        try:
            await asyncio.wait_for(question, ANSWER_SECONDS)
        except (SeatmapError, TimeoutError):
            return Answering(False, _ms_since(began))
        return Answering(True, _ms_since(began))

    # ---- what is told ----

    async def _tell(self) -> None:
        text = encode(self.now())
        for screen in list(self.screens):
            screen.tell(text)

    async def _show_ages(self) -> None:
        replica = self._room.watch.replica
        shown = frame(ages_frame(replica.position, replica.plan_version, self._room.pulse.ages()))
        for screen in list(self.screens):
            screen.show(shown)

    def now(self) -> Dashboard:
        """How the event fares."""
        room, told = self._room, self._told
        refused: Counter[str] = Counter()
        for one in told:
            refused.update(one.refused)
        holds, books = room.pulse.rates()
        return Dashboard(
            epoch=room.watch.replica.position.epoch,
            version=room.watch.replica.position.version,
            viewers=sum(one.viewers for one in told),
            counts=room.counts(),
            holds_per_s=holds,
            books_per_s=books,
            refusals={code: count / RATE_SECONDS for code, count in refused.most_common()},
            funnel=room.pulse.funnel(),
            revenue=self._sales.revenue,
            currency=room.event.currency,
            command_p99_ms=round(p99(one.waits for one in told), 1),
            stuck_payments=self._sales.stuck,
            redis=self._redis,
            postgres=self._postgres,
            processes=[Process(one.pid, one.viewers) for one in told],
        )


class Dashboards:
    """The endpoint /ws/admin/events/{event_id}. `run` must be running."""

    def __init__(self, rooms: Rooms, identify: Identify, limits: Limits) -> None:
        self._rooms = rooms
        self._limits = limits
        self._identify = identify
        self._name = uuid4().hex
        self._boards: dict[int, Board] = {}
        self._processes: dict[int, Processes] = {}

    async def run(self) -> None:
        """Tell the other processes of this one until cancelled."""
        await _every(TELL_SECONDS, self._tell_others)

    async def _tell_others(self) -> None:
        for room in list(self._rooms):
            told = room.pulse.told(os.getpid(), self._viewers(room))
            if told.viewers or told.waits or room.event.id in self._boards:
                try:
                    await self._of(room.event.id).tell(told)
                except SeatmapError:
                    return  # the next second says the same

    def _viewers(self, room: Room) -> int:
        board = self._boards.get(room.event.id)
        return len(room.hub.screens) - (len(board.screens) if board else 0)

    def _of(self, event_id: int) -> Processes:
        if event_id not in self._processes:
            self._processes[event_id] = Processes(self._rooms.stores.redis, event_id, self._name)
        return self._processes[event_id]

    # ---- one connection ----

    async def __call__(self, websocket: WebSocket) -> None:
        """One connection, from the handshake to its end."""
        with suppress(WebSocketDisconnect):
            try:
                check_origin(websocket.scope, websocket.headers, self._rooms.stores.settings.origins)
                user = await self._check(websocket)
                with self._limits.connect(websocket, f"user {user.id}") as line:
                    room = await self._rooms.get(event_id_of(websocket.path_params["event_id"]))
                    await websocket.accept()
                    await self._serve(websocket, room, line)
            except SeatmapError as error:
                await websocket.send_denial_response(problem_response(error))

    async def _check(self, websocket: WebSocket) -> User:
        return check_role(await self._identify(websocket), Role.viewer)

    async def _serve(self, websocket: WebSocket, room: Room, line: Line) -> None:
        screen = screen_of(websocket)
        screen.tell(encode(hello_of(room.event, self._rooms.stores.settings)))
        holds, books = room.pulse.history()
        screen.tell(encode(History(holds_per_s=holds, books_per_s=books)))
        watching = asyncio.get_running_loop().create_task(self._watch(websocket, screen))
        try:
            async with self._on_board(room, screen):
                room.hub.attach(screen, position_of(websocket.query_params))
                viewer = Viewer(room, screen, line)
                await attend(screen, viewer)
                await viewer.gone.wait()
        finally:
            watching.cancel()
            room.hub.detach(screen)
            screen.abort()

    @asynccontextmanager
    async def _on_board(self, room: Room, screen: PageScreen) -> AsyncIterator[None]:
        """The event's board runs for as long as anybody looks at it."""
        event_id = room.event.id
        board = self._boards.get(event_id)
        if board is None:
            board = self._boards[event_id] = Board(self._rooms.stores, room, self._of(event_id))
            board.running = asyncio.get_running_loop().create_task(board.run())
        board.screens.add(screen)
        try:
            yield
        finally:
            board.screens.discard(screen)
            if not board.screens:
                del self._boards[event_id]
                if board.running is not None:
                    board.running.cancel()

    async def _watch(self, websocket: WebSocket, screen: PageScreen) -> None:
        """Cut the connection off once its account may not look any more."""
        while True:
            await asyncio.sleep(WHO_SECONDS)
            try:
                await self._check(websocket)
            except Refused:
                screen.abort()
                return
            except SeatmapError:
                pass  # nobody loses their role because a store is away


class Viewer:
    """Somebody of the staff who looks; a dashboard asks for nothing but what its map misses."""

    def __init__(self, room: Room, screen: PageScreen, line: Line) -> None:
        self._line = line
        self.gone = asyncio.Event()
        self._room = room
        self._screen = screen
        self._session = Session("")

    def heard(self, text: str | None) -> None:
        refusal = self._line.message()
        try:
            command = self._session.receive(text or "")
            if refusal:
                raise refusal
            if not isinstance(command, protocol.Sync):
                raise Refused("unknown_command", "The dashboard's channel takes `sync` only.")
            self._room.hub.sync(self._screen, Position(command.epoch, command.version))
            reply = self._session.answer(None)
        except SeatmapError as error:
            reply = self._session.refuse(error)
        self._screen.tell(reply)
        if self._line.flooded:
            self._screen.close(POLICY_VIOLATION, "too many messages")

    def left(self) -> None:
        self.gone.set()


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)


async def _every(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    """Act at a steady pace until cancelled; what goes wrong once is tried again."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        try:
            await act()
        except Exception:
            log.exception("the dashboard missed a beat")
        due = max(due + seconds, loop.time())
        await asyncio.sleep(due - loop.time())
