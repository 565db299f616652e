"""The table of HTTP endpoints: what there is, who may call it, what goes in and what comes out.

Every call of the API is an `Endpoint`. The same table makes the routes, their guards, the OpenAPI document
and the tests of who may what; a route that is not in it does not exist.
"""

from collections.abc import Awaitable, Callable, Iterable
from enum import IntEnum
from typing import Any, Protocol

import msgspec
from msgspec import Struct, ValidationError, convert
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from seatmap.errors import Refused, Unavailable
from seatmap.model import Role, User
from seatmap.protocol import decode_as
from seatmap.web.guard import BODY_BYTES_MAX, check_origin, is_https, read_body
from seatmap.web.idempotency import HEADER, Repeats, keeps_nothing
from seatmap.web.limits import Limits
from seatmap.web.visitor import Visitors

PRIVATE = {"cache-control": "no-store"}

_encode = msgspec.json.Encoder().encode


class Access(IntEnum):
    """Who may call: each includes those after it."""

    public = 0
    visitor = 1  # whoever asks is made a visitor, by a cookie
    account = 2  # signed in
    viewer = 3  # staff who may look
    box_office = 4  # staff who sell, reseat and refund
    admin = 5  # staff who may do everything


NEEDED = {
    Access.account: Role.buyer,
    Access.viewer: Role.viewer,
    Access.box_office: Role.box_office,
    Access.admin: Role.admin,
}


class Nothing(Struct, frozen=True):
    """An answer that says no more than that it was done."""


class Caller(Struct, frozen=True):
    """Who calls: a visitor, where known, and the account that they are signed in to, if any."""

    visitor: str
    user: User | None = None


class Call(Struct, frozen=True):
    """One call of an endpoint, after its guards: `body` and `query` are of the endpoint's types."""

    request: Request
    caller: Caller
    body: Any = None
    query: Any = None

    def number(self, name: str, code: str) -> int:
        """A number in the path. Refuses with `code`."""
        return path_number(self.request.path_params[name], code)


Handle = Callable[[Call], Awaitable[Any]]


class Endpoint(Struct, frozen=True, kw_only=True):
    """One method of one path. What `handle` returns is encoded as JSON, unless it is a Response already."""

    method: str
    path: str
    handle: Handle
    access: Access
    critical: bool = False  # asks whoever gave their password long ago to give it again
    tag: str
    summary: str
    body: Any = None  # type of the JSON body; bytes: as it is, for the handler to read; None: there is none
    query: Any = None  # a Struct with a default for each parameter that may be absent; None: there is none
    answer: Any = None  # type of the JSON answer; None: see the summary
    status: int = 200  # of an answer that is no refusal
    media: str = "application/json"  # of that answer
    example: dict[str, Any] | None = None  # a body that is taken, for the documentation
    body_bytes_max: int = BODY_BYTES_MAX
    refuses: tuple[str, ...] = ()  # codes of errors.REFUSALS beyond those of its guards


class Identify(Protocol):
    """How a request's account is found."""

    async def __call__(self, request: HTTPConnection) -> User | None:
        """The account that the request (or websocket) is signed in to."""


class Gate:
    """Turns endpoints into routes, with their guards in front."""

    def __init__(
        self,
        visitors: Visitors,
        identify: Identify,
        origins: tuple[str, ...],
        repeats: Repeats,
        limits: Limits,
    ) -> None:
        self._visitors = visitors
        self._identify = identify
        self._origins = origins
        self._repeats = repeats
        self._limits = limits

    def routes(self, endpoints: Iterable[Endpoint]) -> list[Route]:
        """One route per endpoint."""
        return [
            Route(endpoint.path, self._guarded(endpoint), methods=[endpoint.method]) for endpoint in endpoints
        ]

    def _guarded(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        repeatable = takes_key(endpoint)

        async def answer(request: Request) -> Response:
            if endpoint.method != "GET":
                check_origin(request.scope, request.headers, self._origins)
            caller, headers = await self._caller(request, endpoint.access)
            if endpoint.critical:
                check_proof(caller.user)
            if caller.user is not None or caller.visitor:
                self._limits.ask_as(_named(caller))
            query = None if endpoint.query is None else _query(endpoint.query, request)
            raw, body = b"", None
            if endpoint.body is not None:
                raw = await read_body(request, endpoint.body_bytes_max)
                body = raw if endpoint.body is bytes else decode_as(endpoint.body, raw)

            async def execute() -> Response:
                found = await endpoint.handle(Call(request, caller, body, query))
                return found if isinstance(found, Response) else json(found, endpoint.status)

            if repeatable and HEADER in request.headers:
                response = await self._repeats.answer(request, _named(caller), raw, execute)
            else:
                response = await execute()
            for name, value in headers.items():
                response.headers.append(name, value)
            if endpoint.access is not Access.public:
                response.headers.setdefault("cache-control", PRIVATE["cache-control"])
            return response

        answer.__doc__ = endpoint.summary
        answer.of = endpoint  # type: ignore[attr-defined] # so that a route can be asked for its row
        return answer

    async def _caller(self, request: Request, access: Access) -> tuple[Caller, dict[str, str]]:
        """Who calls, and what introduces a new visitor. Refuses with sign_in_required or forbidden."""
        if access is Access.public:
            known = self._visitors.read(request.headers, https=is_https(request.scope))
            return Caller(known or "", await self._identified(request)), {}
        visitor, headers = self._visitors.greet(request.scope, request.headers)
        needed = NEEDED.get(access)
        if needed is None:
            return Caller(visitor, await self._identified(request)), headers
        user = await self._identify(request)
        check_role(user, needed)
        return Caller(visitor, user), headers

    async def _identified(self, request: Request) -> User | None:
        """For what needs no account: whoever has one can still look and hold while no store can say so."""
        try:
            return await self._identify(request)
        except Unavailable:
            return None


def takes_key(endpoint: Endpoint) -> bool:
    """Whether an endpoint heeds an Idempotency-Key: one that changes something, for a caller who is known."""
    unsafe = endpoint.method != "GET" and endpoint.access is not Access.public
    return unsafe and not keeps_nothing(endpoint.body, endpoint.answer)


def _named(caller: Caller) -> str:
    """Whose Idempotency-Keys these are."""
    return f"user {caller.user.id}" if caller.user is not None else f"visitor {caller.visitor}"


def check_role(user: User | None, needed: Role) -> User:
    """Refuse with sign_in_required or forbidden whoever may do less than `needed`; answers who may."""
    if user is None:
        raise Refused("sign_in_required")
    if user.role < needed:
        raise Refused("forbidden", f"This takes the role {needed.name}; yours is {user.role.name}.")
    return user


def check_proof(user: User | None) -> None:
    """Refuse with password_needed whoever gave their password long ago."""
    if user is not None and not user.proved:
        raise Refused("password_needed")


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(_encode(value), status, headers, "application/json")


def _query(kind: Any, request: Request) -> Any:
    """The query string as a Struct; unknown parameters are left alone. Refuses with invalid."""
    try:
        return convert(dict(request.query_params), kind, strict=False)
    except ValidationError as error:
        raise Refused("invalid", f"{error}.".replace(" - at `$.", " - in the query's `")) from None


def path_number(text: str, code: str) -> int:
    """A number in a path. Refuses with `code`."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Refused(code, f"{text[:40]!r} is no number of one." if code != "event_not_found" else "")
    return int(text)
