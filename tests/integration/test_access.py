"""Who may what: generated from the routes that the site really has. A route without a row here fails."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from site_clients import Refusal, Site, make_event, order, result, visited_site
from staff_world import bearer, make_key
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from seatmap.config import Settings
from seatmap.model import Role
from seatmap.web.app import open_app
from seatmap.web.endpoint import NEEDED, Access, Endpoint
from seatmap.web.pages import routes as page_routes

# Everything that is no endpoint, and why it may be open to everybody.
OPEN = {
    "/static": "files",
    "/healthz": "health",
    "/readyz": "health",
    "/docs/problems": "documents",
    "/api/openapi.json": "documents",
    "/api/asyncapi.json": "documents",
    "/api/docs": "documents",
}
SOCKETS = {
    "/ws/events/{event_id}": "public; tests in test_web",
    "/ws/admin/events/{event_id}": "viewers; tests in test_dashboard",
}
CALLERS: dict[str, Role | None] = {"nobody": None} | {role.name: role for role in Role}


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[Starlette]:
    await make_event(settings)
    async with open_app(settings) as app:
        yield app


@pytest.fixture
async def site_with_order(settings: Settings) -> AsyncIterator[tuple[Site, str]]:
    """A site where somebody bought two seats; the order's id."""
    await make_event(settings)
    async with visited_site(settings) as site:
        buyer = site.visitor()
        booked = await buyer.post(1, "book", order(await buyer.post(1, "hold", {"seats": [4, 5]})))
        yield site, booked["id"]


def rows(app: Starlette) -> list[Endpoint]:
    """The endpoints that have a route, in its order."""
    found = [route.endpoint.of for route in app.routes if is_endpoint(route)]  # type: ignore[attr-defined]
    assert len(found) > 10
    return found


def is_endpoint(route: BaseRoute) -> bool:
    return isinstance(route, Route) and isinstance(getattr(route.endpoint, "of", None), Endpoint)


def client(app: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://site")


def address(endpoint: Endpoint) -> str:
    """An address of the endpoint about something that does not exist."""
    path = endpoint.path.replace("{order_id}", "0192f0c1-2b3c-7d4e-8f50-617283940516")
    return re.sub(r"{\w+(:\w+)?}", "999999", path)


async def refused(answer: httpx.Response) -> str:
    """sign_in_required, forbidden or wrong_origin, where the answer is that; else empty."""
    if answer.status_code not in (401, 403):
        return ""
    code = str(answer.json()["code"])
    return code if code in ("sign_in_required", "forbidden", "wrong_origin") else ""


async def test_every_route_has_a_row(app: Starlette) -> None:
    pages = {route.path for route in page_routes(None) if isinstance(route, Route)}  # type: ignore[arg-type]
    for route in app.routes:
        if is_endpoint(route):
            continue
        assert isinstance(route, Route | Mount | WebSocketRoute)
        if isinstance(route, WebSocketRoute):
            assert route.path in SOCKETS, f"{route.path} has no row in the table of who may what"
            continue
        assert route.path in OPEN.keys() | pages, f"{route.path} is neither an Endpoint nor a known page"
        if isinstance(route, Route):
            assert route.methods == {"GET", "HEAD"}, f"{route.path} takes {route.methods}"


async def test_no_admins_address_is_open(app: Starlette) -> None:
    for endpoint in rows(app):
        if endpoint.path.startswith("/api/admin/"):
            assert endpoint.access >= Access.viewer, endpoint.path
            changes = endpoint.method != "GET"
            assert endpoint.access >= (Access.box_office if changes else Access.viewer), endpoint.path


@pytest.mark.parametrize("who", CALLERS)
async def test_who_may_what(app: Starlette, settings: Settings, who: str) -> None:
    role = CALLERS[who]
    headers = bearer((await make_key(settings, role))[0]) if role is not None else {}
    async with client(app) as caller:
        for endpoint in rows(app):
            needed = NEEDED.get(endpoint.access)
            expected = ""
            if needed is not None:
                expected = "sign_in_required" if role is None else "forbidden" if role < needed else ""
            # a body that no endpoint takes: where the caller may, nothing happens but a refusal
            body = b"[]" if endpoint.body is not None else None
            answer = await caller.request(endpoint.method, address(endpoint), content=body, headers=headers)
            what = (
                f"{who}: {endpoint.method} {endpoint.path} answered {answer.status_code} {answer.text[:200]}"
            )
            assert await refused(answer) == expected, what
            assert answer.status_code != 500, what
            assert answer.status_code != 503, what


async def test_no_other_sites_page_changes_anything(app: Starlette, settings: Settings) -> None:
    headers = bearer((await make_key(settings, Role.admin))[0])
    foreign: list[dict[str, str]] = [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://sub.site"},
        {"sec-fetch-site": "cross-site"},
    ]
    async with client(app) as caller:
        for endpoint in rows(app):
            if endpoint.method == "GET":
                continue
            for origin in foreign:
                answer = await caller.request(
                    endpoint.method, address(endpoint), content=b"{}", headers=headers | origin
                )
                assert await refused(answer) == "wrong_origin", f"{endpoint.method} {endpoint.path} {origin}"


async def test_what_asks_for_the_password_again(app: Starlette) -> None:
    """Row 7.5.3 of the ASVS. Refunds ask by themselves where money goes back: tests in test_proof."""
    critical = {f"{endpoint.method} {endpoint.path}" for endpoint in rows(app) if endpoint.critical}
    assert critical == {
        "POST /api/admin/api-keys",
        "PATCH /api/admin/users/{user_id}",
        "POST /api/admin/events/{event_id}/cancel",
        "POST /api/admin/orders/{order_id}/retry-payment",
    }


async def test_get_changes_nothing_and_unsafe_is_no_get(app: Starlette) -> None:
    assert {endpoint.method for endpoint in rows(app)} <= {"GET", "POST", "PATCH", "PUT", "DELETE"}
    assert all(endpoint.body is None for endpoint in rows(app) if endpoint.method == "GET")


async def test_every_answer_carries_the_guarding_headers(app: Starlette, settings: Settings) -> None:
    """Row 29 of the list, over every address that there is: to nobody, and to an admin."""
    headers = bearer((await make_key(settings, Role.admin))[0])
    async with client(app) as caller:
        for route in app.routes:
            if not isinstance(route, Route):
                continue
            address = re.sub(r"{\w+(:\w+)?}", "1", route.path)
            for method in route.methods or ():
                for shown in ({}, headers):
                    if is_endpoint(route) and method not in ("GET", "HEAD") and shown:
                        continue  # it might do something
                    told = (await caller.request(method, address, headers=shown)).headers
                    policy = told["content-security-policy"]
                    for word in ("default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
                        assert word in policy, f"{method} {address}"
                    assert "unsafe" not in policy
                    assert told["x-content-type-options"] == "nosniff"
                    assert told["referrer-policy"] == "same-origin"


async def test_an_order_is_its_buyers_alone(site_with_order: tuple[Site, str]) -> None:
    """Row 20 of the list: another visitor, nobody, and a signed-in buyer who knows the id."""
    site, order_id = site_with_order
    secret, _ = await make_key(site.settings, Role.buyer)
    for headers in ({}, bearer(secret)):
        thief = site.visitor()
        attempts: list[Any] = [
            thief.http.get(f"/api/orders/{order_id}", headers=headers),
            thief.http.post("/api/events/1/cancel", json={"order_id": order_id}, headers=headers),
        ]
        for attempt in attempts:
            with pytest.raises(Refusal, match="order_not_found"):
                result(await attempt)
        assert result(await thief.http.get("/api/orders", headers=headers)) == {"orders": []}


async def test_a_hold_is_its_visitors_alone(site_with_order: tuple[Site, str]) -> None:
    site, _ = site_with_order
    owner, thief = site.visitor(), site.visitor()
    hold = await owner.post(1, "hold", {"seats": [7]})
    await thief.post(1, "hold", {"seats": [8]})
    for command, body in {
        "release": {"hold_id": hold["hold_id"], "seats": [7]},
        "extend": {"hold_id": hold["hold_id"]},
        "book": order(hold),
    }.items():
        with pytest.raises(Refusal, match=r"not_your_hold|hold_expired|hold_changed"):
            await thief.post(1, command, body)
    assert (await owner.get("/api/events/1/mine"))["seats"] == [7]
