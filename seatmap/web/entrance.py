"""What answers before the application can: it waits for the stores, and says so instead of dying in a loop."""

import asyncio
import logging
from contextlib import suppress

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from seatmap.config import Settings
from seatmap.errors import Unavailable
from seatmap.web.app import open_app
from seatmap.web.guard import SecurityHeaders
from seatmap.web.problems import problem_response

AGAIN_SECONDS = 0.5
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

log = logging.getLogger(__name__)


class Entrance:
    """The application of `settings`, or what stands in for it. `run` must be running."""

    def __init__(self, settings: Settings) -> None:
        self.answers = asyncio.Event()  # set once either of the two does
        self._settings = settings
        self._app: ASGIApp | None = None
        self._closing = asyncio.Event()
        self._waiting = SecurityHeaders(_waiting())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._app or self._waiting)(scope, receive, send)

    async def run(self) -> None:
        """Open the application, as often as that takes, and keep it open until `close`."""
        while not self._closing.is_set():
            try:
                async with open_app(self._settings) as self._app:
                    self.answers.set()
                    await self._closing.wait()
            except Unavailable as error:
                if self._app is not None:
                    raise
                log.warning("not open yet, trying again: %s", error.__cause__ or error)
                self.answers.set()
                with suppress(TimeoutError):
                    async with asyncio.timeout(AGAIN_SECONDS):
                        await self._closing.wait()

    def close(self) -> None:
        """Let `run` close the application and end."""
        self._closing.set()


def _waiting() -> Starlette:
    return Starlette(
        routes=[
            Route("/healthz", _healthz),
            Route("/readyz", _readyz),
            Route("/{path:path}", _unavailable, methods=METHODS),
            WebSocketRoute("/{path:path}", _no_socket),
        ]
    )


async def _healthz(request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


async def _readyz(request: Request) -> JSONResponse:
    return JSONResponse({"status": "not ready", "postgres": "away"}, status_code=503)


def _problem() -> Response:
    return problem_response(
        Unavailable("The site is starting and waits for its database. Try again in a moment.")
    )


async def _unavailable(request: Request) -> Response:
    return _problem()


async def _no_socket(websocket: WebSocket) -> None:
    await websocket.send_denial_response(_problem())
