"""A site to talk to: an event or two in fresh servers, and the pages and programs of its visitors."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import msgspec
from running_site import running_site
from websockets.asyncio.client import ClientConnection, connect

from seatmap import protocol
from seatmap.config import Settings
from seatmap.ledger import events, seats
from seatmap.ledger.events import NewEvent, Price
from seatmap.ledger.pool import connection, open_pool
from seatmap.model import NOWHERE, Plan, Position, Seat
from seatmap.plan.public import storable

WAIT_SECONDS = 30.0
PRICE = 1500


async def make_event(settings: Settings, count: int = 40, **fields: Any) -> int:
    """A published event of one row at one price; answers its id."""
    plan = Plan(
        name="Hall",
        seats=tuple(
            Seat(section="Hall", row="A", number=str(i + 1), x=i, y=0, category="all") for i in range(count)
        ),
        breaks=frozenset({0}),
        categories=("all",),
    )
    new = NewEvent(
        **{
            "name": "Show",
            "starts_at": datetime.now(UTC) + timedelta(days=30),
            "currency": "EUR",
            "prices": (Price(name="all", price=PRICE),),
            "seats_per_visitor": 4,
            **fields,
        }
    )
    pool = await open_pool(settings, size=1)
    try:
        async with connection(pool) as conn, conn.transaction():
            event_id = await events.create_from_plan(conn, new, plan.name, storable(plan), count)
            await seats.generate(conn, event_id, plan.seats, await seats.categories(conn, event_id))
            await events.publish_within(conn, event_id)
    finally:
        await pool.close()
    return event_id


async def until(true: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
    """Waits until something is true and answers it; fails after a while."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (found := true()):
        assert asyncio.get_running_loop().time() < deadline, "it did not become true in time"
        await asyncio.sleep(0.01)
    return found


class Refusal(Exception):
    """What the server refused, as a problem; over HTTP also its status and content type."""

    def __init__(self, problem: dict[str, Any], status: int = 0, content_type: str = "") -> None:
        super().__init__(problem.get("code"), problem.get("detail"))
        self.problem = problem
        self.status = status
        self.content_type = content_type

    @property
    def code(self) -> str:
        return str(self.problem["code"])


class Page:
    """One page of a visitor: a websocket, the map it shows, and everything it was told."""

    def __init__(self, socket: ClientConnection, cookie: str) -> None:
        self.socket = socket
        self.cookie = cookie
        self.position: Position = NOWHERE
        self.statuses: dict[int, int] = {}
        self.seat_count = 0
        self.frames: list[bytes] = []
        self.texts: list[dict[str, Any]] = []
        self.viewers = 0
        self.stale = False
        self._reading = asyncio.create_task(self._read())
        self._asked = 0

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self.socket.close()

    # ---- what it was told ----

    @property
    def mine(self) -> dict[str, Any] | None:
        """What it was last told to have, by a message or in a reply."""
        told = [text if text["type"] == "mine" else text.get("mine") for text in self.texts]
        return next((state for state in reversed(told) if state), None)

    def news(self) -> list[dict[str, Any]]:
        return [text for text in self.texts if text["type"] == "mine"]

    def kinds(self) -> list[int]:
        """The types of the frames that it got, without heartbeats."""
        return [frame[0] for frame in self.frames if frame[0] != protocol.HEARTBEAT]

    async def shows(self, seat: int, status: int, seconds: float = WAIT_SECONDS) -> None:
        await until(lambda: self.statuses.get(seat) == status, seconds)

    async def _read(self) -> None:
        async for message in self.socket:
            if isinstance(message, str):
                self.texts.append(msgspec.json.decode(message))
            else:
                self.frames.append(message)
                await self._take(message)

    async def _take(self, frame: bytes) -> None:
        kind, flags, _, epoch, second, third = struct.unpack_from("<BBHIII", frame)
        if kind == protocol.SNAPSHOT:
            self.position, self.seat_count = Position(epoch, second), third
            self.statuses = {i: frame[16 + i // 4] >> 2 * (i % 4) & 3 for i in range(third)}
        elif kind == protocol.CHANGE and epoch == self.position.epoch and second <= self.position.version:
            self._apply(frame[16:], Position(epoch, max(third, self.position.version)))
        elif kind == protocol.REBASE and struct.unpack_from("<II", frame, 16) == self.position:
            self._apply(frame[24:], Position(epoch, second))
        elif kind == protocol.HEARTBEAT:
            self.viewers, self.stale = third, bool(flags & protocol.STALE)
        else:
            at = self.position
            await self.say({"type": "sync", "epoch": at.epoch, "version": at.version})

    def _apply(self, entries: bytes, position: Position) -> None:
        self.statuses |= protocol.seats_of(struct.unpack(f"<{len(entries) // 4}I", entries))
        self.position = position

    # ---- what it asks ----

    async def say(self, message: dict[str, Any] | str | bytes) -> None:
        """Send without waiting for an answer."""
        text = msgspec.json.encode(message).decode() if isinstance(message, dict) else message
        await self.socket.send(text)

    async def ask(self, command: str, /, **fields: Any) -> dict[str, Any]:
        """A command's result. Raises Refusal."""
        self._asked += 1
        return await self.ask_raw({"type": command, "id": f"p{self._asked}", **fields}, f"p{self._asked}")

    async def ask_raw(self, message: dict[str, Any] | str | bytes, name: str = "") -> dict[str, Any]:
        """The answer with the id `name` to any message at all."""
        before = len(self.texts)
        await self.say(message)
        reply = await until(lambda: self._reply(name, before))
        if "error" in reply:
            raise Refusal(reply["error"])
        return dict(reply.get("mine") or reply.get("order") or {})

    def _reply(self, name: str, since: int) -> dict[str, Any] | None:
        assert not self._reading.done(), "the connection ended before the answer"
        replies = [text for text in self.texts[since:] if text["type"] == "reply"]
        return next((text for text in replies if text["id"] == name), None)


class Visitor:
    """Somebody with a cookie: opens pages, and sends the same commands over HTTP."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self.http = httpx.AsyncClient(base_url=site.url, timeout=WAIT_SECONDS)
        self.pages: list[Page] = []

    async def page(self, event_id: int, position: Position = NOWHERE, **headers: str) -> Page:
        """A connected page that has been told hello and what is its visitor's."""
        query = f"?epoch={position.epoch}&version={position.version}" if position != NOWHERE else ""
        if cookie := "; ".join(f"{name}={value}" for name, value in self.http.cookies.items()):
            headers["Cookie"] = cookie
        url = f"{self.site.url.replace('http', 'ws')}/ws/events/{event_id}{query}"
        socket = await connect(
            url, additional_headers=headers, compression=None, max_size=None, ping_interval=None
        )
        assert socket.response is not None
        for name, value in socket.response.headers.raw_items():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self.http.cookies.set(key, rest.partition(";")[0], domain="127.0.0.1", path="/")
        page = Page(socket, self.http.cookies.get("visitor", ""))
        if position != NOWHERE:
            page.position = position
        self.pages.append(page)
        await until(lambda: page.mine)
        return page

    async def post(self, event_id: object, name: str, content: Any = None, **headers: str) -> dict[str, Any]:
        """A command over HTTP, with a body of any kind. Raises Refusal."""
        body = content if isinstance(content, bytes) else msgspec.json.encode(content)
        answer = await self.http.post(f"/api/events/{event_id}/{name}", content=body, headers=headers)
        return result(answer)

    async def get(self, path: str) -> dict[str, Any]:
        return result(await self.http.get(path))

    async def close(self) -> None:
        for page in self.pages:
            await page.close()
        await self.http.aclose()


def result(answer: httpx.Response) -> dict[str, Any]:
    """An answer's JSON. Raises Refusal for one that is none of success."""
    if answer.status_code >= 400:
        raise Refusal(answer.json(), answer.status_code, answer.headers["content-type"])
    return dict(answer.json())


class Site:
    """A served site and everybody who visits it."""

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = url
        self.settings = settings
        self._visitors: list[Visitor] = []

    def visitor(self) -> Visitor:
        visitor = Visitor(self)
        self._visitors.append(visitor)
        return visitor

    async def page(self, event_id: int) -> Page:
        """A page of somebody new."""
        return await self.visitor().page(event_id)

    async def close(self) -> None:
        for visitor in self._visitors:
            await visitor.close()


@asynccontextmanager
async def visited_site(settings: Settings) -> AsyncIterator[Site]:
    """A running site with its visitors, who leave with it."""
    async with running_site(settings) as url:
        site = Site(url, settings)
        try:
            yield site
        finally:
            await site.close()


def order(hold: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The fields of `book` for a whole hold."""
    return {
        "order_id": str(uuid4()),
        "hold_id": hold["hold_id"],
        "seats": hold["seats"],
        "total": PRICE * len(hold["seats"]),
        "name": "Ada Lovelace",
        "email": "ada@example.org",
        **changes,
    }
