"""Limits as people and programs meet them: 429 with Retry-After, over HTTP and in the handshake of a websocket."""

from collections.abc import AsyncIterator

import httpx
import pytest
from msgspec.structs import replace
from site_clients import Site, make_event, visited_site
from websockets.exceptions import InvalidStatus

from seatmap.config import Settings

TRIES = 1000  # of which a few are allowed a second


@pytest.fixture
async def strict(settings: Settings) -> Settings:
    await make_event(settings)
    return replace(settings, visitor_requests_per_s=1, address_requests_per_s=2)


@pytest.fixture
async def site(strict: Settings) -> AsyncIterator[Site]:
    async with visited_site(strict) as site:
        yield site


async def refused(client: httpx.AsyncClient, path: str, **headers: str) -> httpx.Response:
    """The first answer that is refused of many requests."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    for _ in range(TRIES):
        answer = await client.get(path, headers=named)
        if answer.status_code == 429:
            return answer
        assert answer.status_code == 200
    raise AssertionError("all were answered")


async def test_a_visitor_who_asks_too_often_is_told_when_to_go_on(settings: Settings) -> None:
    await make_event(settings)
    async with visited_site(replace(settings, visitor_requests_per_s=1)) as site:
        answer = await refused(site.visitor().http, "/api/events/1/mine")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "too_many_requests"
        assert answer.json()["temporary"], "an order that is asked for again may have been booked"
        assert "You ask" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) == answer.json()["retry_after"] >= 1
        other = site.visitor()
        assert (await other.http.get("/api/events/1/mine")).status_code == 200


async def test_an_address_that_asks_too_often_is_refused_whoever_asks(site: Site) -> None:
    answer = await refused(site.visitor().http, "/api/events")
    assert "127.0.0.1" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_files_and_health_are_never_refused(site: Site) -> None:
    visitor = site.visitor()
    await refused(visitor.http, "/api/events")
    for path in ("/healthz", "/static/js/event.js"):
        for _ in range(20):
            assert (await visitor.http.get(path)).status_code == 200


async def test_a_forged_address_is_not_believed(strict: Settings) -> None:
    """Row 11: only a proxy that the operator names may say for whom it asks."""
    async with visited_site(replace(strict, forwarded_allow_ips="192.0.2.250")) as site:
        answer = await refused(site.visitor().http, "/api/events", x_forwarded_for="198.51.100.1")
        assert "127.0.0.1" in answer.json()["detail"]
        for host in ("198.51.100.2", "192.0.2.250", "127.0.0.2"):
            await refused(site.visitor().http, "/api/events", x_forwarded_for=host)


async def test_a_proxy_of_ours_says_for_whom_it_asks(site: Site) -> None:
    http = site.visitor().http
    answer = await refused(http, "/api/events", x_forwarded_for="203.0.113.7")
    assert "203.0.113.7" in answer.json()["detail"]
    neighbour = await http.get("/api/events", headers={"x-forwarded-for": "203.0.113.8"})
    assert neighbour.status_code == 200
    # what a visitor writes in front of it changes nothing
    answer = await refused(http, "/api/events", x_forwarded_for="10.0.0.1, 203.0.113.9")
    assert "203.0.113.9" in answer.json()["detail"]


async def test_a_visitor_has_only_so_many_pages(settings: Settings) -> None:
    await make_event(settings)
    async with visited_site(replace(settings, visitor_connections=2)) as site:
        visitor = site.visitor()
        pages = [await visitor.page(1), await visitor.page(1)]
        with pytest.raises(InvalidStatus) as caught:
            await visitor.page(1)
        response = caught.value.response
        assert response.status_code == 429
        assert b'"too_many_connections"' in (response.body or b"")
        assert int(response.headers["retry-after"]) >= 1
        await pages[0].close()
        await visitor.page(1)


async def test_an_address_has_only_so_many_pages(settings: Settings) -> None:
    await make_event(settings)
    async with visited_site(replace(settings, address_connections=2)) as site:
        pages = [await site.page(1), await site.page(1)]
        with pytest.raises(InvalidStatus) as caught:
            await site.page(1)
        assert caught.value.response.status_code == 429
        await site.visitor().page(1, **{"X-Forwarded-For": "198.51.100.1"})
        with pytest.raises(
            InvalidStatus
        ):  # a page that is refused for another reason is counted no longer than that
            await site.visitor().page(999, **{"X-Forwarded-For": "198.51.100.1"})
        await site.visitor().page(1, **{"X-Forwarded-For": "198.51.100.1"})
        await pages[0].close()
        await site.page(1)
