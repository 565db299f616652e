"""The API's documents and the page that shows them."""

from collections.abc import Iterable

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from seatmap.web import asyncapi, openapi
from seatmap.web.endpoint import Endpoint
from seatmap.web.pages import STATIC

_FRESH = {"cache-control": "no-cache"}


def routes(endpoints: Iterable[Endpoint]) -> list[Route]:
    """/api/openapi.json, /api/asyncapi.json and /api/docs; made once, since the table does not change."""

    def fixed(path: str, content: object) -> Route:
        body = msgspec.json.encode(content)

        async def show(request: Request) -> Response:
            return Response(body, 200, _FRESH, "application/json")

        return Route(path, show)

    async def page(request: Request) -> FileResponse:
        return FileResponse(STATIC / "api-docs.html", headers=_FRESH)

    return [
        fixed("/api/openapi.json", openapi.document(endpoints)),
        fixed("/api/asyncapi.json", asyncapi.document()),
        Route("/api/docs", page),
    ]
