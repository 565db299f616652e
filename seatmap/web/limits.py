"""How often anybody may ask: token buckets of one process, without a store and without waiting.

Counted are a websocket's messages, what one visitor or account asks for, and what one network address does; the
last is generous, since a whole venue may share it. What takes passwords or sends mails has stricter, shared counts
(`throttle.py`).
"""

import logging
import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from seatmap import open_files
from seatmap.config import Settings
from seatmap.errors import Refused, Unavailable
from seatmap.web.problems import problem_response
from seatmap.web.throttle import address_of

BURST_SECONDS = 4.0  # of its rate that anybody may use at once
FLOOD_REFUSALS = 100  # messages refused without a pause between them that end a websocket
POLICY_VIOLATION = 1008  # the code that such a websocket is closed with
ROUNDING = 1e-6  # seconds by which sums of moments may be off
PRUNE_FROM = 1024  # known askers; beyond it those are forgotten whom nothing is counted of
WARN_SECONDS = 60.0
FILES_KEPT = 256  # of those that a process may open: for the stores, for requests, for what is being read
UNCOUNTED = ("/static/", "/healthz", "/readyz", "/metrics")

log = logging.getLogger(__name__)


class Bucket:
    """Tokens that come at a rate. Full means: nothing was asked for lately."""

    __slots__ = ("full_at",)

    def __init__(self) -> None:
        self.full_at = 0.0  # the moment at which it is full again stands for its level

    def take(self, now: float, per_s: float, burst_s: float = BURST_SECONDS) -> float:
        """Take a token: 0, or in how many seconds there is one again; a refused try costs nothing."""
        full_at = max(self.full_at, now) + 1 / per_s
        wait = full_at - now - burst_s
        if wait > ROUNDING:
            return wait
        self.full_at = full_at
        return 0.0


class _Asker(Bucket):
    """A visitor or a network address: its requests, and its websockets that are open."""

    __slots__ = ("connections",)

    def __init__(self) -> None:
        super().__init__()
        self.connections = 0


class _Askers:
    """All of a kind that anything is counted of."""

    def __init__(self) -> None:
        self._known: dict[str, _Asker] = {}
        self._prune_at = PRUNE_FROM

    def __len__(self) -> int:
        return len(self._known)

    def get(self, name: str, now: float) -> _Asker:
        asker = self._known.get(name)
        if asker is None:
            if len(self._known) >= self._prune_at:
                self._prune(now)
            asker = self._known[name] = _Asker()
        return asker

    def _prune(self, now: float) -> None:
        self._known = {
            name: asker for name, asker in self._known.items() if asker.connections or asker.full_at > now
        }
        self._prune_at = max(PRUNE_FROM, 2 * len(self._known))


class Limits:
    """What everybody has asked of this process lately."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.clock = clock
        self._visitors = _Askers()
        self._addresses = _Askers()
        self._warned_at = -WARN_SECONDS
        self.connections = 0  # websockets that are open here
        self.connections_max = max(1, open_files.limit() - FILES_KEPT)

    def ask_from(self, address: str) -> None:
        """A request from a network address. Refuses with too_many_requests and `retry_after` in seconds."""
        now = self.clock()
        wait = self._addresses.get(address, now).take(now, self.settings.address_requests_per_s)
        if wait:
            raise self.too_many_from(address, wait)

    def ask_as(self, visitor: str) -> None:
        """A request of a visitor or account. Refuses with too_many_requests."""
        now = self.clock()
        wait = self._visitors.get(visitor, now).take(now, self.settings.visitor_requests_per_s)
        if wait:
            raise too_many("You ask", self.settings.visitor_requests_per_s, wait)

    def connect(self, connection: HTTPConnection, visitor: str) -> "Line":
        """A websocket that opens. Refuses with too_many_requests or too_many_connections; Unavailable when full."""
        if self.connections >= self.connections_max:
            raise Unavailable(
                "As many people look at the map as this server can carry. Try again in a moment."
            )
        address = address_of(connection)
        self.ask_from(address)
        now, settings = self.clock(), self.settings
        of_visitor, of_address = self._visitors.get(visitor, now), self._addresses.get(address, now)
        if of_visitor.connections >= settings.visitor_connections:
            raise Refused(
                "too_many_connections",
                f"You have {settings.visitor_connections} pages open here; close one.",
                retry_after=math.ceil(BURST_SECONDS),
            )
        if of_address.connections >= settings.address_connections:
            self._warn(address)
            raise Refused("too_many_connections", retry_after=math.ceil(BURST_SECONDS))
        return Line(self, address, of_visitor, of_address)

    def too_many_from(self, address: str, wait: float) -> Refused:
        """The refusal of what comes from an address, which the log hears of too."""
        self._warn(address)
        return too_many(f"Your network ({address}) asks", self.settings.address_requests_per_s, wait)

    def _warn(self, address: str) -> None:
        now = self.clock()
        if now - self._warned_at >= WARN_SECONDS:
            self._warned_at = now
            log.warning(
                "the address %r meets its limits; if it is a proxy of yours, name it in "
                "SEATMAP_FORWARDED_ALLOW_IPS, if it is a venue, raise SEATMAP_ADDRESS_…",
                address,
            )


class Line(Bucket):
    """One open websocket and its own bucket; counted from here to the end of its block."""

    __slots__ = ("_address", "_limits", "_of_address", "_of_visitor", "_refused")

    def __init__(self, limits: Limits, address: str, of_visitor: _Asker, of_address: _Asker) -> None:
        super().__init__()
        self._limits = limits
        self._address = address
        self._of_visitor, self._of_address = of_visitor, of_address
        self._refused = 0
        limits.connections += 1
        of_visitor.connections += 1
        of_address.connections += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """The websocket is gone."""
        self._limits.connections -= 1
        self._of_visitor.connections -= 1
        self._of_address.connections -= 1

    def message(self) -> Refused | None:
        """A message came: the refusal that answers it, if it is one too many."""
        settings, now = self._limits.settings, self._limits.clock()
        refusal = None
        if self.full_at <= now:
            self._refused = 0  # it was quiet for a while
        if wait := self.take(now, settings.socket_messages_per_s):
            refusal = too_many("This page asks", settings.socket_messages_per_s, wait)
        elif wait := self._of_visitor.take(now, settings.visitor_requests_per_s):
            refusal = too_many("You ask", settings.visitor_requests_per_s, wait)
        elif wait := self._of_address.take(now, settings.address_requests_per_s):
            refusal = self._limits.too_many_from(self._address, wait)
        self._refused += refusal is not None
        return refusal

    @property
    def flooded(self) -> bool:
        """Whether it goes on and on although it is being refused."""
        return self._refused >= FLOOD_REFUSALS


def too_many(who_asks: str, per_s: int, wait: float) -> Refused:
    """The refusal of what comes too fast."""
    return Refused(
        "too_many_requests",
        f"{who_asks} more than {per_s} times a second; wait a moment, then go on.",
        retry_after=math.ceil(wait),
    )


class AddressLimit:
    """Middleware: refuses HTTP requests of a network address that sends too many."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(UNCOUNTED):
            try:
                self._limits.ask_from(address_of(HTTPConnection(scope)))
            except Refused as refusal:
                await problem_response(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)
