"""A cancelled event is told to every open page of every process by its own message: the refresh never comes here."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from admin_world import Office, open_office
from msgspec.structs import replace
from site_clients import Page, Refusal, Site, order, until, visited_site

from seatmap.booking.commands import Hold
from seatmap.checkout.announce import announce
from seatmap.checkout.stores import open_stores
from seatmap.config import Settings
from seatmap.ledger import events, staff_events
from seatmap.web import rooms

pytestmark = pytest.mark.integration


@pytest.fixture
async def office(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    monkeypatch.setattr(rooms, "REFRESH_SECONDS", 3600.0)
    async with open_office(replace(settings, head_check_ms=200, hold_seconds=100)) as office:
        yield office


@pytest.fixture
async def other(office: Office) -> AsyncIterator[Site]:
    """Another web process on the same stores."""
    async with visited_site(office.site.settings) as other:
        yield other


def closed(page: Page) -> bool:
    return any(text["type"] == "hello" and text["sale"] == "closed" for text in page.texts)


async def refused(work: Any) -> str:
    try:
        await work
    except Refusal as refusal:
        return refusal.code
    return ""


async def test_every_page_of_every_process_is_told(office: Office, other: Site) -> None:
    event_id = await office.published()
    pages = [await site.page(event_id) for site in (office.site, other) for _ in range(3)]
    buyer, holder = pages[0], pages[4]
    await buyer.ask("book", **order(await buyer.ask("hold", seats=[4]), total=2500))
    held = await holder.ask("hold", seats=[7])
    await office.post(event_id, "cancel", {"reason": "The mill is flooded"})
    assert await refused(holder.ask("book", **order(held, total=2500))) == "not_on_sale"
    for page in pages:
        await until(lambda page=page: closed(page))
        assert await refused(page.ask("hold", seats=[9])) == "not_on_sale"
    await office.work()
    for page in pages:
        await page.shows(4, 0)
    assert (
        await office.sql("SELECT FROM orders WHERE event_id = $1 AND status <> 'cancelled'", event_id) == []
    )


async def test_a_cancellation_that_shares_its_message_with_holds_is_told_too(
    office: Office, other: Site
) -> None:
    """In a rush it travels in one batch with them, and no process but the one that cancelled knows of it."""
    event_id = await office.published()
    pages = [await site.page(event_id) for site in (office.site, other)]
    async with open_stores(office.site.settings) as stores:
        await events.cancel(stores.pool, event_id)
        shown = (await staff_events.get(stores.pool, event_id)).shown
        hold = asyncio.ensure_future(stores.desk.decide(event_id, Hold("ada", "", (3,))))
        before = pages[0].position.version
        told = await asyncio.gather(hold, announce(stores, shown))
        assert told[1]
    for page in pages:
        await until(lambda page=page: closed(page))
        await page.shows(3, 1)
        assert page.position.version > before
