"""What every answer of the site is like: headers, cookies, problems, the plan, the seats, the pages."""

import asyncio
import re
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest
from site_clients import PRICE, Refusal, Site, make_event, visited_site

from seatmap.config import Settings
from seatmap.ledger.seats import SeatTable
from seatmap.web.execute import Counter
from seatmap.web.listing import AT_ONCE, seats_as_json
from seatmap.web.pages import STATIC

PROTOCOL = (STATIC.parent / "docs" / "protocol.md").read_text()
PAGES = {"/": "index.html", "/events/1": "event.html", "/bookings": "bookings.html"}


@pytest.fixture
async def event(settings: Settings) -> int:
    return await make_event(settings, timezone="Europe/Paris")


@pytest.fixture
async def site(settings: Settings, event: int) -> AsyncIterator[Site]:
    async with visited_site(settings) as site:
        yield site


# ---- headers and cookies ----


@pytest.mark.parametrize(
    "path",
    [
        "/healthz",
        "/readyz",
        "/api/events",
        "/api/events/1",
        "/api/events/1/plan",
        "/api/events/1/seats",
        "/api/events/1/mine",
        "/api/events/1/hold",
        "/api/orders",
        "/api/orders/x",
        "/api/events/999",
        "/docs/problems",
        "/static/js/protocol.js",
        "/static/nothing.js",
        "/nothing",
        *PAGES,
    ],
)
async def test_every_answer_carries_the_guarding_headers(site: Site, path: str) -> None:
    headers = (await site.visitor().http.get(path)).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "script-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


async def test_somebody_new_gets_a_cookie_once(site: Site, event: int) -> None:
    ada = site.visitor()
    first = await ada.http.get(f"/api/events/{event}/mine")
    assert first.headers["set-cookie"].startswith("visitor=")
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "no-store" in first.headers["cache-control"]
    assert "set-cookie" not in (await ada.http.get(f"/api/events/{event}/mine")).headers


async def test_behind_a_proxy_with_tls_the_cookie_is_bound_to_the_host(site: Site, event: int) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    answer = await site.visitor().http.get(f"/api/events/{event}/mine", headers=headers)
    assert answer.headers["set-cookie"].startswith("__Host-visitor=")
    assert "Secure" in answer.headers["set-cookie"]
    assert "strict-transport-security" in answer.headers


async def test_a_forged_cookie_is_somebody_new(site: Site, event: int) -> None:
    forged = {"Cookie": f"visitor={'0' * 32}.{'A' * 43}"}
    answer = await site.visitor().http.get(f"/api/events/{event}/mine", headers=forged)
    assert answer.status_code == 200
    assert "set-cookie" in answer.headers


# ---- problems ----


@pytest.mark.parametrize("command", ["hold", "release", "extend", "book", "cancel"])
async def test_a_command_is_not_a_page(site: Site, event: int, command: str) -> None:
    answer = await site.visitor().http.get(f"/api/events/{event}/{command}")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
    assert answer.json()["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_what_is_read_cannot_be_written(site: Site, method: str) -> None:
    answer = await site.visitor().http.request(method, "/api/events")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    "path", ["/nothing", "/api", "/api/events/1/x", "/static/../pyproject.toml", "/static/%2e%2e/x", "/%00"]
)
async def test_an_address_of_nothing_is_a_problem(site: Site, path: str) -> None:
    answer = await site.visitor().http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["code"] == "not_found"


async def test_a_bug_is_told_in_a_sentence_and_logged_with_its_trace(
    site: Site, event: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(*_: object) -> None:
        raise ZeroDivisionError("the secret of the house")

    page = await site.page(event)
    monkeypatch.setattr(Counter, "execute", fails)
    answer = await site.visitor().http.post(f"/api/events/{event}/hold", json={"seats": [1]})
    with pytest.raises(Refusal) as refusal:
        await page.ask("hold", seats=[1])
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.headers["x-content-type-options"] == "nosniff"
    for problem in (answer.json(), refusal.value.problem):
        assert (problem["code"], problem["temporary"]) == ("unavailable", True)
        assert "secret" not in str(problem)
        assert "Traceback" not in str(problem)
    assert caplog.text.count("ZeroDivisionError: the secret") == 2
    monkeypatch.undo()
    await page.ask("hold", seats=[1])


async def test_every_code_has_its_place_on_the_page_of_problems(site: Site, event: int) -> None:
    page = (await site.visitor().http.get("/docs/problems")).text
    with pytest.raises(Refusal) as refusal:
        await site.visitor().post(event, "hold", {"seats": [999]})
    anchor = refusal.value.problem["type"].partition("#")[2]
    assert f'id="{anchor}"' in page


# ---- events, plans, seats ----


async def test_an_event_has_all_that_the_document_says(site: Site, event: int) -> None:
    found = await site.visitor().get(f"/api/events/{event}")
    assert (await site.visitor().get("/api/events"))["events"] == [found]
    row = re.search(r"\| `GET /api/events/\{id\}` \| event: `(.*?)` \|\n", PROTOCOL)
    assert row
    assert set(re.findall(r"\w+", re.sub(r"\[?\{.*?\}\]?", "", row[1]))) == set(found)
    assert found["counts"] == {"available": 40, "held": 0, "booked": 0, "blocked": 0}
    assert found["starts_at"][-6:] in ("+01:00", "+02:00")


async def test_a_time_zone_that_this_machine_does_not_know_is_shown_in_utc(site: Site, event: int) -> None:
    connection = await asyncpg.connect(site.settings.database_url)
    try:
        await connection.execute("UPDATE events SET timezone = 'Mars/Olympus' WHERE id = $1", event)
    finally:
        await connection.close()
    visitor = site.visitor()
    for _ in range(100):
        found = await visitor.get(f"/api/events/{event}")
        if found["timezone"] == "Mars/Olympus":
            break
        await asyncio.sleep(0.05)
    assert found["starts_at"].endswith(("+00:00", "Z"))


async def test_the_plan_is_sent_once(site: Site, event: int) -> None:
    ada = site.visitor()
    first = await ada.http.get(f"/api/events/{event}/plan")
    assert (first.status_code, len(first.json()["numbers"])) == (200, 40)
    again = await ada.http.get(f"/api/events/{event}/plan", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await ada.http.get(f"/api/events/{event}/plan", headers={"If-None-Match": '"other"'})
    assert other.content == first.content


async def test_the_seats_are_a_snapshot_in_both_shapes(site: Site, event: int) -> None:
    ada = site.visitor()
    await ada.post(event, "hold", {"seats": [3]})
    page = await site.page(event)
    await page.shows(3, 1)
    whole = await ada.get(f"/api/events/{event}/seats")
    compact = await ada.get(f"/api/events/{event}/seats?compact=1")
    assert compact["statuses"] == "0001" + "0" * 36
    assert (whole["epoch"], whole["version"]) == page.position
    assert whole["counts"] == compact["counts"] == {"available": 39, "held": 1, "booked": 0, "blocked": 0}
    assert len(whole["seats"]) == 40
    assert whole["seats"][3] == {
        "index": 3,
        "label": "Hall, row A, seat 4",
        "category": "all",
        "price": PRICE,
        "status": "held",
        "accessible": False,
    }


async def test_a_long_list_of_seats_leaves_turns_for_the_others() -> None:
    count = 20 * AT_ONCE + 1
    table = SeatTable(
        labels=("seat",) * count, categories=("all",) * count, prices=(PRICE,) * count, blocked=frozenset()
    )
    listing = asyncio.create_task(seats_as_json(table, bytes(count)))
    turns = 0
    while not listing.done():
        await asyncio.sleep(0)
        turns += 1
    seats = msgspec.json.decode(await listing)
    assert [seat["index"] for seat in seats] == list(range(count))
    assert turns >= 20


# ---- pages ----


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_served_and_always_looked_at_again(site: Site, path: str) -> None:
    if not (STATIC / PAGES[path]).exists():
        pytest.skip(f"{PAGES[path]} is not there yet")
    answer = await site.visitor().http.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "no-cache" in answer.headers["cache-control"]


async def test_files_are_not_sent_again_while_they_are_the_same(site: Site) -> None:
    ada = site.visitor()
    first = await ada.http.get("/static/js/protocol.js")
    assert "javascript" in first.headers["content-type"]
    again = await ada.http.get("/static/js/protocol.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
