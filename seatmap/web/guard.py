"""What every request meets first: where it comes from, how large it is, and what every answer carries."""

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seatmap.errors import Refused
from seatmap.protocol import MESSAGE_BYTES_MAX

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)

BODY_BYTES_MAX = MESSAGE_BYTES_MAX


def is_https(scope: Scope) -> bool:
    """Whether the visitor speaks TLS, as far as the server or a trusted proxy says."""
    return scope["scheme"] in ("https", "wss")


def check_origin(scope: Scope, headers: Mapping[str, str], allowed: tuple[str, ...]) -> None:
    """Refuse what another site's page sends. Browsers always name the origin; who names none is no browser."""
    origin = headers.get("origin")
    if origin is None:
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refused("wrong_origin")
        return
    own = f"{'https' if is_https(scope) else 'http'}://{headers.get('host', '')}"
    if origin.lower() not in (own.lower(), *(name.lower() for name in allowed)):
        raise Refused(
            "wrong_origin",
            f"Commands from {origin[:200]} are not taken; the operator can allow it in SEATMAP_ORIGINS.",
        )


async def read_body(request: Request, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """A request's body, refused as soon as it is too large."""
    too_large = Refused("too_large", f"A body may have {bytes_max} bytes.")
    told = request.headers.get("content-length", "")
    if told.isdecimal() and (len(told) > 9 or int(told) > bytes_max):
        raise too_large
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > bytes_max:
                raise too_large
    except ClientDisconnect:
        raise Refused("malformed", "The body ended before its end.") from None
    return body


class SecurityHeaders:
    """Middleware: the headers that every HTTP answer carries, that to a refused websocket included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                headers.setdefault("content-security-policy", CONTENT_SECURITY_POLICY)
                headers.setdefault("x-content-type-options", "nosniff")
                headers.setdefault("referrer-policy", "same-origin")
                headers.setdefault("cross-origin-opener-policy", "same-origin")
                if is_https(scope):
                    headers.setdefault("strict-transport-security", "max-age=31536000")
            await send(message)

        await self._app(scope, receive, send_with_headers)
