"""Accessible seats are held back until a set time: over the real site, from the mark to the sale."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from admin_world import Office, open_office
from msgspec.structs import replace
from site_clients import Page, Refusal, order, until

from seatmap.checkout.rebuild import rebuild
from seatmap.checkout.reconcile import lasting_differences
from seatmap.checkout.stores import open_stores
from seatmap.config import Settings

pytestmark = pytest.mark.integration

AVAILABLE, BOOKED, BLOCKED = 0, 2, 3
LATER = "2030-04-24T10:00:00+02:00"
PLACES = [3, 4]


@pytest.fixture
async def office(settings: Settings) -> AsyncIterator[Office]:
    async with open_office(replace(settings, head_check_ms=200, hold_seconds=100)) as office:
        yield office


async def kept(office: Office, moment: str = LATER, **changes: Any) -> int:
    """An event on sale whose seats 3 and 4 are held back."""
    event_id = await office.published(timezone="Europe/Paris", **changes)
    await office.post(event_id, "seats", {"seats": PLACES, "accessible": True})
    await office.call("PATCH", f"/events/{event_id}", {"accessible_until": moment})
    return event_id


async def refusal(page: Page, *seats: int) -> dict[str, Any]:
    with pytest.raises(Refusal) as refused:
        await page.ask("hold", seats=list(seats))
    return refused.value.problem


async def agree(office: Office, event_id: int) -> None:
    async with open_stores(office.site.settings) as stores:
        assert await lasting_differences(stores, event_id) == []


async def test_nobody_can_hold_one_and_is_told_which_and_until_when(office: Office) -> None:
    event_id = await kept(office)
    page = await office.site.page(event_id)
    await page.shows(4, BLOCKED)
    problem = await refusal(page, 2, 4)
    assert (problem["code"], problem["seats"]) == ("seat_held_back", [4])
    assert problem["detail"] == (
        "Stalls, row A, seat 5 is kept for people who need an accessible place until "
        "24 April 2030, 10:00 (Europe/Paris). Ask the box office."
    )
    visitor = office.site.visitor()
    plan = await visitor.get(f"/api/events/{event_id}/plan")
    assert (plan["accessible"], plan["accessible_until"]) == (PLACES, "2030-04-24T08:00:00Z")
    told = await visitor.get(f"/api/events/{event_id}/seats")
    assert [seat["index"] for seat in told["seats"] if seat["accessible"]] == PLACES
    assert [seat["index"] for seat in told["seats"] if seat["status"] == "blocked"] == PLACES
    assert (await visitor.get(f"/api/events/{event_id}"))["accessible_until"] == "2030-04-24T08:00:00Z"
    await agree(office, event_id)


async def test_they_go_on_sale_by_themselves(office: Office) -> None:
    """No worker runs here, and nobody asks: the page is told."""
    soon = datetime.now(UTC) + timedelta(seconds=2)
    event_id = await kept(office, soon.isoformat())
    page = await office.site.page(event_id)
    await page.shows(3, AVAILABLE)
    await page.shows(4, AVAILABLE)
    assert datetime.now(UTC) >= soon
    hold = await page.ask("hold", seats=PLACES)
    booked = await page.ask("book", **order(hold, total=5000))
    assert booked["status"] == "confirmed"
    await agree(office, event_id)


async def test_open_pages_hear_of_a_new_mark_and_of_its_end(office: Office) -> None:
    event_id = await office.published()
    page = await office.site.page(event_id)
    await page.ask("hold", seats=[3])
    path = f"/events/{event_id}"
    await office.call("PATCH", path, {"accessible_until": LATER})
    told = await office.post(event_id, "seats", {"seats": PLACES, "accessible": True})
    assert told == {"changed": 2, "refused": []}, "the held one is marked too, and stays its holder's"
    await page.shows(4, BLOCKED)
    await until(lambda: any(text.get("plan_version") == 3 for text in page.texts))
    await page.ask("release", hold_id=page.mine["hold_id"] if page.mine else "", seats=[3])
    await page.shows(3, BLOCKED)
    await office.post(event_id, "seats", {"seats": [4], "accessible": False})
    await page.shows(4, AVAILABLE)
    await office.call("PATCH", path, {"accessible_until": None})
    await page.shows(3, AVAILABLE)
    assert (await office.log(event_id))[-4:] == ["edit", "edit_seats", "edit_seats", "edit"]


async def test_the_box_office_moves_a_buyer_there_and_a_cancelled_one_is_kept_again(office: Office) -> None:
    event_id = await kept(office)
    page = await office.site.page(event_id)
    booked = await page.ask("book", **order(await page.ask("hold", seats=[0]), total=2500))
    await office.call("POST", f"/orders/{booked['id']}/reseat", {"seats": {"0": 4}})
    await page.shows(4, BOOKED)
    await page.shows(0, AVAILABLE)
    await agree(office, event_id)
    await office.call("POST", f"/orders/{booked['id']}/cancel", {"reason": "ill"})
    await page.shows(4, BLOCKED)
    assert (await refusal(page, 4))["code"] == "seat_held_back"
    await agree(office, event_id)


async def test_a_rebuild_and_a_copy_know_them(office: Office) -> None:
    event_id = await kept(office)
    page = await office.site.page(event_id)
    async with open_stores(office.site.settings) as stores:
        # Or the site does, which may be faster when it finds that one is under way.
        await rebuild(stores, event_id)
    await until(lambda: page.position.epoch > 1)
    await page.shows(4, BLOCKED)
    assert (await refusal(page, 4))["code"] == "seat_held_back"

    copy = (await office.post(event_id, "duplicate"))["id"]
    await office.work()
    assert (await office.get(f"/events/{copy}"))["accessible_until"] == "2030-04-24T08:00:00Z"
    assert (await office.get(f"/events/{copy}/plan"))["accessible"] == PLACES
    await office.post(copy, "publish")
    other = await office.site.page(copy)
    assert (await refusal(other, 3))["code"] == "seat_held_back"


async def test_a_copy_keeps_the_fee_and_the_ways_to_pay(office: Office) -> None:
    event_id = await office.draft()
    changes = {"fee_per_seat": 150, "payment_methods": ["door", "free"]}
    await office.call("PATCH", f"/events/{event_id}", changes)
    copy = await office.post(event_id, "duplicate")
    assert {name: copy[name] for name in changes} == changes


async def test_what_is_taken_before_its_moment_is_what_the_box_office_gave(office: Office) -> None:
    """Buyers grab at random while a mark comes and goes: none of them ever gets one that is held back."""
    event_id = await office.published(seats_per_visitor=4)
    ended = asyncio.Event()
    tally = {"got": 0, "kept": 0}

    async def grab(page: Page) -> None:
        while not ended.is_set():
            try:
                hold = await page.ask("hold", seats=[3])
            except Refusal as refused:
                tally["kept"] += refused.code == "seat_held_back"
                continue
            tally["got"] += 1
            assert not held_back, "it was held back when that was asked for"
            await page.ask("release", hold_id=hold["hold_id"])

    held_back = False
    pages = [await office.site.page(event_id) for _ in range(4)]
    buyers = [asyncio.create_task(grab(page)) for page in pages]
    await until(lambda: tally["got"] > 5)
    await office.post(event_id, "seats", {"seats": PLACES, "accessible": True})
    await office.call("PATCH", f"/events/{event_id}", {"accessible_until": LATER})
    for page in pages:  # the answers to what was asked before
        asked = len(page.texts)
        await until(lambda page=page, asked=asked: len(page.texts) > asked + 2)
    held_back = True
    got = tally["got"]
    await until(lambda: tally["kept"] > 20)
    ended.set()
    await asyncio.gather(*buyers)
    assert tally["got"] == got


@pytest.mark.parametrize(
    "body",
    [
        {"seats": [1], "accessible": True, "status": "blocked"},
        {"seats": [1], "accessible": "yes"},
    ],
)
async def test_a_mark_that_makes_no_sense_is_refused(office: Office, body: Any) -> None:
    event_id = await office.draft()
    assert await office.code("POST", f"/events/{event_id}/seats", body) == "invalid"
