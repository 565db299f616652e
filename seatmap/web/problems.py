"""Errors as answers: RFC 9457 problems, and the page that explains their codes."""

import html
import logging

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seatmap.errors import REFUSALS, Refused, SeatmapError, Unavailable

log = logging.getLogger(__name__)


def problem_response(error: SeatmapError) -> Response:
    """The answer for an error."""
    wait = error.extra.get("retry_after", 1 if error.temporary else None)
    headers = {} if wait is None else {"retry-after": str(wait)}
    return Response(
        msgspec.json.encode(error.problem()), error.status, headers, media_type="application/problem+json"
    )


async def on_seatmap_error(request: Request, error: Exception) -> Response:
    """For every error of ours."""
    assert isinstance(error, SeatmapError)
    return problem_response(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """For what the router refuses."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        response = problem_response(Refused("method_not_allowed"))
        response.headers["allow"] = ", ".join(sorted(_methods(request)))
        return response
    return problem_response(Refused("not_found", f"There is nothing at {request.url.path[:200]}."))


def _methods(request: Request) -> set[str]:
    """What an address takes: of all its routes, where the router's own answer names those of the first."""
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return found


def bug(doing: str, error: Exception) -> SeatmapError:
    """What nobody thought of: the log has the trace, the visitor a sentence."""
    log.error("%s failed", doing, exc_info=error)
    return Unavailable(
        "Something went wrong on our side. What you asked for may not be done; look, then repeat."
    )


class Bugs:
    """Middleware: answers a request whose handler failed, as far as nothing was answered yet."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            answer = problem_response(bug(f"{scope['method']} {scope['path']}", error))
            if begun:
                raise
            await answer(scope, receive, send)


async def problems_page(request: Request) -> HTMLResponse:
    """GET /docs/problems: every code, its status and its sentence."""
    rows = "".join(
        f'<tr id="{code}"><th scope="row"><code>{code}</code></th><td>{status}</td>'
        f"<td>{html.escape(title)}</td><td>{html.escape(sentence)}</td></tr>"
        for code, (status, title, sentence) in sorted(REFUSALS.items())
    )
    sheets = "".join(
        f'<link rel="stylesheet" href="/static/css/{name}.css">' for name in ("tokens", "base", "api-docs")
    )
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Problems – Seatmap</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="/static/img/icon.svg">{sheets}<script src="/static/js/theme.js"></script></head>'
        '<body><header class="top-bar"><a class="brand" href="/">'
        '<img src="/static/img/icon.svg" alt="" width="40" height="40">Seatmap</a></header>'
        '<main class="docs-page is-single"><div class="docs-body"><h1>Problems</h1>'
        "<p>Every refusal has a stable code. <code>temporary: true</code> (codes <code>unavailable</code> and "
        "<code>recovering</code>, status 503, and what came too fast, status 429) means that asking again may help. "
        '<a href="/api/docs">The API</a></p>'
        '<section class="card docs-call"><table class="docs-fields"><thead><tr><th scope="col">Code</th>'
        '<th scope="col">Status</th><th scope="col">Title</th><th scope="col">Meaning</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></section></div></main></body></html>"
    )
