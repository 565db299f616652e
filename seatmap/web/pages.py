"""The pages and their files: plain HTML, CSS and modules from `static/`."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from seatmap.web.problems import problems_page
from seatmap.web.visitor import Visitors

STATIC = Path(__file__).parents[2] / "static"

ADMIN_PAGES = {
    "/admin": "events",
    "/admin/events/new": "new-event",
    "/admin/events/{event_id:int}": "event",
    "/admin/events/{event_id:int}/live": "dashboard",
    "/admin/events/{event_id:int}/sell": "sell",
    "/admin/orders": "orders",
    "/admin/orders/{order_id:uuid}": "order",
    "/admin/sales": "sales",
    "/admin/users": "users",
    "/admin/keys": "keys",
    "/admin/jobs": "jobs",
    "/admin/audit": "audit",
    "/admin/settings": "settings",
}


class _Revalidated(StaticFiles):
    """Browsers ask each time and are mostly told "not modified": a deploy is never half old."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["cache-control"] = "no-cache"
        return response


def routes(visitors: Visitors) -> list[BaseRoute]:
    """Every page. Which event a page is about, it reads from its own address.

    A page's answer makes its reader a visitor, before its requests and its websocket race to do so.
    """

    def page(path: str, name: str) -> Route:
        async def show(request: Request) -> FileResponse:
            _, headers = visitors.greet(request.scope, request.headers)
            return FileResponse(STATIC / name, headers={"cache-control": "private, no-cache", **headers})

        return Route(path, show, name=name)

    return [
        page("/", "index.html"),
        page("/events/{event_id:int}", "event.html"),
        page("/bookings", "bookings.html"),
        page("/account", "account.html"),
        *(page(path, f"admin/{name}.html") for path, name in ADMIN_PAGES.items()),
        Route("/docs/problems", problems_page),
        Mount("/static", _Revalidated(directory=STATIC)),
    ]
