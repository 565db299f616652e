"""What everybody in the swarm shares: the events on sale, the record of calls, chance, and the way to ask."""

import random
import weakref
from collections import Counter
from typing import Any
from uuid import UUID

from msgspec import Struct, field

from tests.chaos.clients import Gone, Http, Page
from tests.chaos.history import Answer, Call, History, now

ANSWER_SECONDS = 3.0  # after which a client gives a call up
FULL = 0.6  # of an event's seats gone: it is replaced by a new one


class Show(Struct, eq=False):
    """An event on sale, as the swarm knows it. `gone` are seats that somebody of the swarm seems to have."""

    id: int
    rows: int
    seats: int
    price: int
    paid: bool  # with the test card
    main: bool  # replaced when it is full; a side event is cancelled sooner
    gone: set[int] = field(default_factory=set)
    closing: bool = False

    @property
    def full(self) -> bool:
        return len(self.gone) > self.seats * FULL


class Crowd:
    """One swarm: ports of the webs, an admin's key, and everything that is counted."""

    def __init__(self, ports: list[int], key: str, seed: int, history: History) -> None:
        self.ports = ports
        self.key = key
        self.chance = random.Random(seed)
        self.history = history
        self.shows: list[Show] = []
        self.pages: weakref.WeakSet[Page] = weakref.WeakSet()
        self.stopping = False
        self.acked = 0
        self.counts: Counter[str] = Counter()
        self.open_orders: dict[str, int] = {}  # order id → when its outcome became unknown

    def uuid7(self) -> UUID:
        """A new UUID that sorts by time."""
        stamp = now() // 1_000_000 << 80 | self.chance.getrandbits(80)
        return UUID(int=stamp & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)

    def begin(self, op: str, visitor: str, event: int, web: int, way: str, **fields: Any) -> Call:
        """Write down what is about to be asked."""
        call = Call(self.history.number(), now(), op, visitor, event, web, way, **fields)
        self.history.add(call)
        self.counts["ops"] += 1
        return call

    def end(self, call: Call, reply: dict[str, Any] | None) -> Answer:
        """Write down what came; None: nothing did."""
        answer = answer_of(call.n, reply)
        self.history.add(answer)
        if answer.result == "unknown":
            self.counts["unknown"] += 1
        return answer

    async def over_page(self, page: Page, call: Call, command: dict[str, Any]) -> Answer:
        """Ask over a websocket."""
        try:
            reply = await page.command({"id": "c", **command}, ANSWER_SECONDS)
        except Gone:
            return self.end(call, None)
        return self.end(call, reply)

    async def over_http(self, http: Http, call: Call, command: dict[str, Any]) -> Answer:
        """Ask over HTTP."""
        fields = {name: value for name, value in command.items() if name != "type"}
        path = f"/api/events/{call.event}/{command['type']}"
        try:
            status, body = await http.call("POST", path, fields, seconds=ANSWER_SECONDS)
        except Gone:
            return self.end(call, None)
        return self.end(call, reply_of(status, body))


def reply_of(status: int, body: Any) -> dict[str, Any]:
    """An HTTP answer as the websocket would have said it."""
    if status >= 400:
        return {"error": body}
    return {"mine": body} if body.get("type") == "mine" else {"order": body}


def answer_of(n: int, reply: dict[str, Any] | None) -> Answer:
    """A reply as it is written down."""
    if reply is None:
        return Answer(n, now(), "unknown")
    error = reply.get("error")
    if error is not None:
        # A bug of the server's (500) says nothing about what was done.
        unknown = error.get("temporary", True) or error.get("status", 500) >= 500
        return Answer(n, now(), "unknown" if unknown else "refused", str(error.get("code", "")))
    mine, order = reply.get("mine"), reply.get("order")
    if mine is not None:
        return Answer(
            n,
            now(),
            "ok",
            epoch=mine["epoch"],
            version=mine["version"],
            hold_id=mine["hold_id"],
            seats=tuple(mine["seats"]),
            expires_ms=mine["expires_in_ms"],
        )
    if order is not None:
        return Answer(n, now(), "ok", seats=tuple(s["seat"] for s in order["seats"]), status=order["status"])
    return Answer(n, now(), "ok")
