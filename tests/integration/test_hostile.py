"""Rows 2, 22, 23, 27 and 30 of docs/security.md: hostile names, secrets in addresses and in the log, and hoarders."""

import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from account_world import PASSWORD, Person, mails_to, token_in
from admin_world import open_office
from msgspec.structs import replace
from site_clients import Page, Refusal, Site, make_event, order, result, until, visited_site
from staff_world import bearer, make_key
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from seatmap.config import Settings
from seatmap.log import OneLine
from seatmap.model import Role

HOSTILE = [
    "}{seatmap:1}:seats",
    "h|p|b|0|1",
    "'; DROP TABLE orders; --",
    "\\x00 %s {0} ${x} $1",
    "<script>alert(1)</script>",
    "redis.call('FLUSHALL')",
]
LIMIT = 4  # seats of a visitor


@pytest.fixture
async def event(settings: Settings) -> int:
    return await make_event(settings, 60, seats_per_visitor=LIMIT)


@pytest.fixture
async def site(settings: Settings, event: int) -> AsyncIterator[Site]:
    async with visited_site(settings) as site:
        yield site


async def code(page: Page, command: str, **fields: Any) -> str:
    """The code with which a command is refused; empty if it is not."""
    try:
        await page.ask(command, **fields)
    except Refusal as refusal:
        return refusal.code
    return ""


# ---- names ----


@pytest.mark.parametrize("name", HOSTILE)
async def test_names_are_text_and_nothing_else(settings: Settings, name: str) -> None:
    """A whole sale in a hall whose every name is an attack on a store, a script or a page."""
    async with open_office(settings) as office:
        categories = [{"name": name[:40], "price": 1000, "color": "#112233"}]
        grid = {"rows": 2, "columns": 5, "aisles": [], "section": name[:40]}
        begins = (datetime.now(UTC) + timedelta(days=9)).isoformat()
        event = await office.published(
            name=name, venue=name, starts_at=begins, grid=grid, categories=categories
        )
        buyer = office.site.visitor()
        hold = await buyer.post(event, "hold", {"seats": [1]})
        booked = await buyer.post(event, "book", order(hold) | {"total": 1000, "name": name})
        assert (booked["name"], booked["event_name"]) == (name, name)
        assert name[:40] in booked["seats"][0]["label"]
        page = await office.site.page(event)
        assert [seat for seat, status in page.statuses.items() if status] == [1]
        found = await office.get(f"/orders?q={'DROP' if 'DROP' in name else 'ada@example.org'}")
        assert len(found["orders"]) == 1
        csv = (await office.http.get("/api/admin/exports/orders.csv")).text
        assert csv.count("\n") == 2
        assert await office.sql("SELECT count(*) FROM orders") == [(1,)]


@pytest.mark.parametrize("where", ["hold_id", "id"])
@pytest.mark.parametrize("text", [*HOSTILE, "\x00", "\n", "|", "{seatmap:1}:meta"])
async def test_ids_that_a_page_invents_reach_no_key(site: Site, event: int, where: str, text: str) -> None:
    page = await site.page(event)
    hold = await page.ask("hold", seats=[1])
    asked = {"type": "extend", "id": "x", "hold_id": hold["hold_id"]} | {where: text[:64]}
    with contextlib.suppress(Refusal):
        await page.ask_raw(asked, asked["id"])
    assert (await page.ask("mine"))["seats"] == [1]


# ---- credentials ----


async def test_no_credential_is_taken_from_an_address(site: Site, event: int) -> None:
    """Addresses end up in logs, histories and referrers."""
    secret, _ = await make_key(site.settings, Role.admin)
    visitor = site.visitor()
    for name in ("key", "token", "api_key", "access_token", "authorization", "session"):
        answer = await visitor.http.get("/api/admin/orders", params={name: secret})
        assert answer.status_code == 401
        url = f"{site.url.replace('http', 'ws')}/ws/admin/events/{event}?{name}={secret}"
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, compression=None)
        assert refused.value.response.status_code == 401
    assert (await visitor.http.get("/api/admin/orders", headers=bearer(secret))).status_code == 200


class Heard:
    """The log as it is written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.handler = logging.Handler()
        self.handler.setFormatter(OneLine("%(levelname)s %(name)s: %(message)s"))
        self.handler.emit = lambda record: self.lines.append(self.handler.format(record))  # type: ignore[method-assign]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def heard() -> Iterator[Heard]:
    heard = Heard()
    root = logging.getLogger()
    root.addHandler(heard.handler)
    names = ("seatmap", "asyncpg", "asyncio", "redis", "pgqueuer")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield heard
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    root.removeHandler(heard.handler)


async def test_the_log_has_no_secrets_and_no_forged_lines(
    settings: Settings, event: int, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads a log, at its finest, can act as nobody. The story meets refusals, a bug and a wrong password."""
    secrets: dict[str, str] = {"password": PASSWORD}
    async with visited_site(settings) as site:
        key, _ = await make_key(settings, Role.admin)
        secrets["API key"] = key
        page = await site.page(event)
        secrets["visitor cookie"] = page.cookie
        hold = await page.ask("hold", seats=[0])
        secrets["hold"] = hold["hold_id"]
        await page.ask("book", **order(hold))
        person = Person(site)
        await person.ask("sign-up", email=person.address, name="Ada", password=PASSWORD)
        secrets["link"] = token_in((await mails_to(settings, person.address))[-1], "verify")
        await person.ask("verify", token=secrets["link"])
        secrets["session"] = person.http.cookies["session"]
        with pytest.raises(Refusal):
            await person.sign_in("another wrong password")
        secrets["tried password"] = "another wrong password"
        await person.http.get("/api/admin/orders", headers=bearer(key))
        await person.http.get("/%0aINFO%20seatmap:%20forged", headers={"user-agent": "x\tforged"})

        def broken(*_: Any) -> None:
            raise RuntimeError("a bug\nINFO seatmap: forged")

        monkeypatch.setattr("seatmap.web.api.Api.event", broken, raising=False)
        monkeypatch.setattr("seatmap.web.execute._check_seats", broken)
        with pytest.raises(Refusal, match="unavailable"):
            await page.ask("hold", seats=[1])
        with pytest.raises(Refusal, match="unavailable"):
            result(await person.http.post(f"/api/events/{event}/hold", json={"seats": [1]}))
    assert "a bug" in heard.text
    for what, secret in secrets.items():
        assert len(secret) >= 3
        if what != "hold":  # a number of a few digits, worth nothing without its visitor's cookie
            assert secret not in heard.text, f"the log has the {what}"
    assert not [line for line in heard.text.split("\n") if line.startswith("INFO seatmap: forged")]


# ---- hoarders ----


async def hoard(page: Page, first: int = 0) -> set[int]:
    """The seats of one visitor who takes all they can, from the seat `first` on."""
    for seat in range(first, first + 2 * LIMIT):
        assert await code(page, "hold", seats=[seat]) in ("", "too_many_seats", "seat_taken")
    return set((await page.ask("mine"))["seats"])


async def test_one_visitor_hoards_no_more_than_the_limit_however_many_pages(site: Site, event: int) -> None:
    visitor = site.visitor()
    pages = [await visitor.page(event) for _ in range(3)]
    hoards = [await hoard(page, 10 * i) for i, page in enumerate(pages)]
    assert len(set.union(*hoards)) == LIMIT
    over_http = [await visitor.http.post(f"/api/events/{event}/hold", json={"seats": [50]})]
    assert [answer.status_code for answer in over_http] == [422]


async def test_a_crowd_hoards_its_number_times_the_limit_and_loses_it_in_time(
    settings: Settings, event: int
) -> None:
    """Five visitors of one address: a third of this hall of sixty. An extension is given once, so it ends."""
    async with visited_site(replace(settings, hold_seconds=6, extend_seconds=1, grace_ms=0)) as site:
        crowd = [await site.page(event) for _ in range(5)]
        hoards = [await hoard(page, 10 * i) for i, page in enumerate(crowd)]
        assert len(set.union(*hoards)) == 5 * LIMIT
        for page in crowd:
            hold_id = (await page.ask("mine"))["hold_id"]
            told = [await code(page, "extend", hold_id=hold_id) for _ in range(3)]
            assert set(told) <= {"", "hold_not_extendable", "hold_expired"}
        await until(lambda: not any(crowd[0].statuses.values()), 30)
