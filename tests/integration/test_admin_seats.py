"""Seats edited while they are sold, and the holds of everybody, over the real site."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from admin_world import Office, open_office
from msgspec.structs import replace
from site_clients import Page, Refusal, order, until

from seatmap.checkout.stores import open_stores
from seatmap.config import Settings

pytestmark = pytest.mark.integration

HELD, BLOCKED = 1, 3


@pytest.fixture
async def office(settings: Settings) -> AsyncIterator[Office]:
    quick = replace(settings, head_check_ms=200, hold_seconds=100, extend_seconds=50, seats_per_visitor=40)
    async with open_office(quick) as office:
        yield office


async def refused(work: Any) -> str:
    try:
        await work
    except Refusal as refusal:
        return refusal.code
    return ""


async def statuses(office: Office, event_id: int) -> dict[int, str]:
    told = await office.get(f"/events/{event_id}/seats")
    return {seat["index"]: seat["status"] for seat in told["seats"]}


async def test_only_free_seats_are_blocked_and_the_others_named(office: Office) -> None:
    event_id = await office.published()
    page, buyer = await office.site.page(event_id), await office.site.page(event_id)
    await buyer.ask("book", **order(await buyer.ask("hold", seats=[4]), total=2500))
    await page.ask("hold", seats=[3])
    told = await office.post(event_id, "seats", {"seats": [2, 3, 4, 5], "status": "blocked"})
    assert told == {
        "changed": 2,
        "refused": [
            {"seat": 3, "label": "Stalls, row A, seat 4", "code": "seat_held"},
            {"seat": 4, "label": "Stalls, row A, seat 5", "code": "seat_booked"},
        ],
    }
    await page.shows(2, BLOCKED)
    assert await refused(page.ask("hold", seats=[2])) == "seat_blocked"
    assert (await office.post(event_id, "seats", {"seats": [2], "status": "available"}))["changed"] == 1
    await page.shows(2, 0)
    assert 2 in (await page.ask("hold", seats=[2]))["seats"]


async def test_a_seat_gets_another_price_unless_somebody_has_it(office: Office) -> None:
    event_id = await office.published()
    path = f"/events/{event_id}"
    page = await office.site.page(event_id)
    await page.ask("hold", seats=[0])
    (standard,) = (await office.get(path))["categories"]
    two = await office.call("PATCH", path, {"categories": [standard, {"name": "Box", "price": 9000}]})
    box = two["categories"][1]["id"]
    await office.post(event_id, "seats", {"seats": [2], "status": "blocked"})
    told = await office.post(event_id, "seats", {"seats": [0, 1, 2], "category_id": box})
    assert (told["changed"], [left["seat"] for left in told["refused"]]) == (2, [0])
    assert (await statuses(office, event_id))[2] == "blocked", "it is not back on sale by that"
    await until(lambda: page.texts[-1].get("plan_version") == 3)
    plan = await office.site.visitor().get(f"/api/events/{event_id}/plan")
    assert plan["category"][:4] == [0, 1, 1, 0]
    await page.shows(1, 0)
    assert (await page.ask("hold", seats=[1]))["seats"] == [0, 1]
    assert await office.code("POST", f"{path}/seats", {"seats": [1], "category_id": 4711}) == "invalid"


async def test_a_drafts_seats_are_edited_too(office: Office) -> None:
    event_id = await office.draft()
    assert (await office.post(event_id, "seats", {"seats": [7, 8], "status": "blocked"}))["changed"] == 2
    assert (await office.get(f"/events/{event_id}/plan"))["plan_version"] == 1
    await office.post(event_id, "publish")
    page = await office.site.page(event_id)
    await page.shows(7, BLOCKED)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"seats": [40], "status": "blocked"}, "seat_out_of_range"),
        ({"seats": [1, 1], "status": "blocked"}, "invalid"),
        ({"seats": [1]}, "invalid"),
        ({"seats": [], "status": "blocked"}, "invalid"),
        ({"seats": [1], "status": "sold"}, "invalid"),
    ],
)
async def test_an_edit_that_makes_no_sense_is_refused(office: Office, body: Any, code: str) -> None:
    event_id = await office.draft()
    assert await office.code("POST", f"/events/{event_id}/seats", body) == code


async def test_no_blocked_seat_is_ever_held_and_no_held_one_blocked(office: Office) -> None:
    """Rule 9 of docs/rules.md, with holds, bookings, blocks and releases at random."""
    event_id = await office.published()
    dice = random.Random(9)
    ended = asyncio.Event()
    tally = {"held": 0, "blocked": 0, "left": 0}

    async def buy(page: Page) -> None:
        while not ended.is_set():
            wanted = dice.sample(range(40), 2)
            if await refused(page.ask("hold", seats=wanted)):
                continue
            tally["held"] += 1
            told = page.mine
            assert told is not None
            now = (await stores.state.snapshot(event_id)).statuses
            assert [now[seat] for seat in wanted] == [HELD, HELD], "a held seat was taken off sale"
            if dice.random() < 0.1:
                await page.ask("book", **order(told, total=2500 * len(told["seats"])))
            else:
                await page.ask("release", hold_id=told["hold_id"])

    async def edit() -> None:
        for _ in range(40):
            word = dice.choice(["blocked", "available"])
            body = {"seats": dice.sample(range(40), 5), "status": word}
            told = await office.post(event_id, "seats", body)
            tally["blocked"] += told["changed"]
            tally["left"] += len(told["refused"])

    pages = [await office.site.page(event_id) for _ in range(4)]
    async with open_stores(office.site.settings) as stores:
        buyers = [asyncio.create_task(buy(page)) for page in pages]
        await asyncio.gather(edit(), edit())
        ended.set()
        await asyncio.gather(*buyers)
    assert all(tally.values()), f"nothing was tried: {tally}"

    kept = {row["index"] for row in await office.sql("SELECT index FROM seats WHERE status = 'blocked'")}
    sold = {row["seat"] for row in await office.sql("SELECT seat FROM bookings WHERE status = 'confirmed'")}
    assert not kept & sold

    async def agree() -> None:
        while True:
            told = await statuses(office, event_id)
            if {seat for seat, status in told.items() if status == "blocked"} == kept:
                return
            await asyncio.sleep(0.02)

    await asyncio.wait_for(agree(), 30)


async def test_after_a_pause_nobody_gets_a_seat_however_many_try(office: Office) -> None:
    event_id = await office.published()
    pages = [await office.site.page(event_id) for _ in range(8)]
    ended = asyncio.Event()
    got: list[float] = []
    clock = asyncio.get_running_loop().time

    async def grab(page: Page, number: int) -> None:
        seats = [number * 5, number * 5 + 1]
        while not ended.is_set():
            asked = clock()
            if await refused(page.ask("hold", seats=seats)):
                continue
            got.append(asked)
            hold = page.mine
            assert hold is not None
            await page.ask("release", hold_id=hold["hold_id"])

    crowd = [asyncio.create_task(grab(page, number)) for number, page in enumerate(pages)]
    await until(lambda: len(got) > 20)
    await office.post(event_id, "pause")
    paused_at = clock()
    for page in pages:  # a whole further round of each
        asked = len(page.texts)
        await until(lambda page=page, asked=asked: len(page.texts) > asked + 3)
    ended.set()
    await asyncio.gather(*crowd)
    assert [asked for asked in got if asked > paused_at] == []


# ---- holds ----


async def test_every_hold_gets_more_time_and_its_owner_is_told(office: Office) -> None:
    event_id = await office.published()
    pages = [await office.site.page(event_id) for _ in range(2)]
    for number, page in enumerate(pages):
        await page.ask("hold", seats=[number])
    assert await office.post(event_id, "extend-holds", {"seconds": 30}) == {"holds": 2}
    for page in pages:
        await until(lambda page=page: (page.mine or {})["expires_in_ms"] > 101_000)
    await office.post(event_id, "extend-holds", {"seconds": 3600})
    told = await pages[0].ask("mine")
    assert told["expires_in_ms"] <= 150_000


async def test_a_hold_is_released_and_its_owner_told_why(office: Office) -> None:
    event_id = await office.published()
    page = await office.site.page(event_id)
    await page.ask("hold", seats=[1, 2])
    assert await office.post(event_id, "release-hold", {"seat": 2}) == {"seats": [1, 2]}
    await until(lambda: page.news()[-1]["reason"] == "released")
    assert await office.post(event_id, "release-hold", {"seat": 2}) == {"seats": []}
    assert await office.code("POST", f"/events/{event_id}/release-hold", {"seat": 40}) == "seat_out_of_range"
    assert (await office.log(event_id))[-3:-1] == ["release_hold", "release_hold"]
