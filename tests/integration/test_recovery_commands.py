"""`seatmap rebuild` and `seatmap verify`, as whoever operates it calls them: what they do, print and exit with."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from running_site import clean_environment
from site_clients import Page, Site, make_event, order, until, visited_site

from seatmap.checkout.stores import open_stores
from seatmap.config import Settings
from seatmap.connections import Redis
from seatmap.model import Status


@pytest.fixture
async def events(settings: Settings) -> list[int]:
    return [await make_event(settings), await make_event(settings)]


@pytest.fixture
async def site(settings: Settings, events: list[int]) -> AsyncIterator[Site]:
    async with visited_site(settings) as site:
        yield site


async def seatmap(settings: Settings, *words: str) -> tuple[int, str, str]:
    """(exit code, output, errors) of a command."""
    environment = {"REDIS_URL": settings.redis_url, "DATABASE_URL": settings.database_url}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "seatmap", *words],
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


async def with_a_booking_and_a_hold(site: Site, event: int) -> Page:
    """A page whose visitor has bought seat 1 and holds seat 2."""
    page = await site.page(event)
    await page.ask("book", **order(await page.ask("hold", seats=[1])))
    await page.ask("hold", seats=[2])
    return page


async def break_seat(settings: Settings, event: int, seat: int) -> None:
    """Redis forgets that a seat is booked."""
    redis = Redis(settings.redis_url, timeout_s=5)
    await redis.command("HDEL", f"{{seatmap:{event}}}:owners", seat)
    await redis.command("SETRANGE", f"{{seatmap:{event}}}:seats", seat, "\0")
    await redis.close()


async def test_rebuild_keeps_bookings_and_holds_and_mends_what_differs(site: Site, events: list[int]) -> None:
    first, second = events
    page = await with_a_booking_and_a_hold(site, first)
    await site.page(second)
    await break_seat(site.settings, first, 1)
    code, said, _ = await seatmap(site.settings, "verify", "--all", "--json")
    differences: list[dict[str, Any]] = msgspec.json.decode(said)["differences"]
    assert (code, [(one["event_id"], one["seat"]) for one in differences]) == (1, [(first, 1)])

    epoch = page.position.epoch
    code, said, errors = await seatmap(site.settings, "rebuild", str(first), "--json")
    assert code == 0, errors
    rebuilt = {"event_id": first, "epoch": epoch + 1, "holds_kept": 1, "holds_lost": 0}
    assert msgspec.json.decode(said) == {"rebuilt": [rebuilt], "failed": []}
    await until(lambda: page.position.epoch == epoch + 1)
    await page.shows(1, Status.booked)
    await page.shows(2, Status.held)
    assert (await page.ask("mine"))["seats"] == [2]
    assert (await seatmap(site.settings, "verify", str(first)))[0] == 0


async def test_rebuild_all_takes_every_event_and_says_so(site: Site, events: list[int]) -> None:
    pages = [await with_a_booking_and_a_hold(site, event) for event in events]
    before = [page.position.epoch for page in pages]
    code, said, _ = await seatmap(site.settings, "rebuild", "--all")
    assert code == 0
    assert [line for line in said.splitlines() if "is rebuilt" in line and "kept 1, lost 0" in line]
    assert said.count("is rebuilt") == len(events)
    for page, epoch in zip(pages, before, strict=True):
        await until(lambda page=page, epoch=epoch: page.position.epoch == epoch + 1)
    assert await seatmap(site.settings, "verify", "--all") == (
        0,
        "Redis and Postgres agree on every seat.\n",
        "",
    )


async def test_what_cannot_be_rebuilt_is_named(settings: Settings, events: list[int]) -> None:
    code, said, _ = await seatmap(settings, "rebuild", "999", "--json")
    (failed,) = msgspec.json.decode(said)["failed"]
    assert (code, failed["event_id"]) == (1, 999)
    assert failed["reason"] == "There is no such event."
    code, _, errors = await seatmap(settings, "rebuild", "999")
    assert (code, "Event 999" in errors) == (1, True)
    async with open_stores(settings, connections=2) as stores:
        assert not await stores.redis.command("EXISTS", "{seatmap:999}:meta"), "nothing is left behind"


@pytest.mark.parametrize("command", ["rebuild", "verify"])
@pytest.mark.parametrize("words", [(), ("1", "--all")])
async def test_one_event_or_all_has_to_be_said(
    settings: Settings, command: str, words: tuple[str, ...]
) -> None:
    assert (await seatmap(settings, command, *words))[0] == 2
