"""Another plan, another currency, a category less: what is refused, what pages see, what is left in both stores."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from admin_world import NEW, Office, open_office
from msgspec.structs import replace
from site_clients import Page, Refusal, order, until

from seatmap.checkout import plan_change
from seatmap.checkout.reconcile import lasting_differences
from seatmap.checkout.stores import open_stores
from seatmap.config import Settings
from seatmap.errors import Unavailable

pytestmark = pytest.mark.integration

AVAILABLE, HELD, BOOKED, BLOCKED = range(4)


@pytest.fixture
async def office(settings: Settings) -> AsyncIterator[Office]:
    async with open_office(replace(settings, head_check_ms=200, hold_seconds=100)) as office:
        yield office


def grid(rows: int, columns: int) -> dict[str, Any]:
    return {"grid": {"rows": rows, "columns": columns, "aisles": [5], "section": "Stalls"}}


async def problem(work: Any) -> dict[str, Any]:
    with pytest.raises(Refusal) as refused:
        await work
    return refused.value.problem


async def agree(office: Office, event_id: int) -> None:
    async with open_stores(office.site.settings) as stores:
        assert await lasting_differences(stores, event_id) == []


async def sell(page: Page, seat: int) -> dict[str, Any]:
    held = await page.ask("hold", seats=[seat])
    return await page.ask("book", **order(held, total=2500 * len(held["seats"])))


# ---- the plan ----


async def test_a_draft_gets_any_plan(office: Office) -> None:
    event_id = await office.draft()
    told = await office.post(event_id, "plan", grid(2, 6))
    assert (told["seat_count"], told["job"]["state"]) == (12, "queued")
    assert await office.code("POST", f"/events/{event_id}/plan", grid(3, 6)) == "wrong_state", "one at a time"
    await office.work()
    plan = await office.get(f"/events/{event_id}/plan")
    assert (len(plan["x"]), plan["removed"], plan["plan_version"]) == (12, [], 2)
    await office.post(event_id, "publish")
    await sell(await office.site.page(event_id), 11)
    assert (await office.log(event_id))[:3] == ["create", "change_plan", "publish"]


async def test_a_plan_that_was_merged_for_one_event_is_no_other_events(office: Office) -> None:
    event_id = await office.published()
    await sell(await office.site.page(event_id), 1)
    await office.post(event_id, "plan", grid(2, 6))
    [[merged]] = await office.sql("SELECT id FROM plans WHERE of_event = $1", event_id)
    new = {name: value for name, value in NEW.items() if name != "grid"}
    assert await office.code("POST", "/events", {**new, "plan_id": merged}) == "not_found"
    assert await office.code("POST", f"/events/{event_id}/plan", {"plan_id": merged}) == "not_found"


async def test_seats_that_somebody_has_are_kept_and_named(office: Office) -> None:
    event_id = await office.published()  # 4 rows of 10
    page, holder = await office.site.page(event_id), await office.site.page(event_id)
    await sell(page, 39)
    await holder.ask("hold", seats=[8])
    told = await problem(office.post(event_id, "plan", grid(4, 8)))
    assert (told["code"], told["seats"]) == ("plan_in_use", [39, 8])
    assert told["detail"] == (
        "The new plan does not have seats that somebody has: Stalls, row D, seat 10 (sold); "
        "Stalls, row A, seat 9 (held)."
    )
    await page.shows(9, AVAILABLE)
    assert page.position.epoch == 1, "nothing changed"
    assert (await office.get(f"/events/{event_id}"))["plan_version"] == 1
    await agree(office, event_id)


async def test_open_pages_follow_to_the_new_plan(office: Office) -> None:
    event_id = await office.published()
    page, holder = await office.site.page(event_id), await office.site.page(event_id)
    await sell(page, 1)
    held = await holder.ask("hold", seats=[12])
    told = await office.post(event_id, "plan", grid(5, 8))
    assert (told["seat_count"], told["plan_version"]) == (48, 2)
    await until(lambda: page.position.epoch > 1)
    assert (page.seat_count, page.frames[-1][2]) == (48, 2), "the snapshot names the plan that it is of"
    plan = await office.site.visitor().get(f"/api/events/{event_id}/plan")
    removed = [8, 9, 18, 19, 28, 29, 38, 39]
    assert (plan["plan_version"], len(plan["x"]), plan["removed"]) == (2, 48, removed)
    for seat, status in {1: BOOKED, 12: HELD, 8: BLOCKED, 39: BLOCKED, 0: AVAILABLE, 47: AVAILABLE}.items():
        await page.shows(seat, status)
    await until(lambda: any(text.get("plan_version") == 2 for text in page.texts))
    booked = await holder.ask("book", **order(held, total=2500))
    assert booked["seats"][0]["label"] == "Stalls, row B, seat 3"
    bought = await sell(page, 47)
    assert bought["seats"][0]["label"] == "Stalls, row E, seat 8"
    assert (await problem(page.ask("hold", seats=[8])))["code"] == "seat_blocked"
    assert await office.code("POST", f"/events/{event_id}/seats", {"seats": [8], "status": "available"}) == ""
    await agree(office, event_id)
    assert (await problem(page.ask("hold", seats=[8])))["code"] == "seat_blocked", "it is away for ever"

    listed = await office.http.get(f"/api/admin/exports/seats.csv?event={event_id}")
    assert len(listed.text.splitlines()) == 1 + 40, "a removed seat is in no list"
    copy = (await office.post(event_id, "duplicate"))["id"]
    await office.work()
    assert (await office.get(f"/events/{copy}/plan"))["removed"] == removed
    plans = (await office.get("/plans"))["plans"]
    assert [kept["seat_count"] for kept in plans] == [40], "what was merged is nobody else's"


async def test_new_seats_need_a_price(office: Office) -> None:
    event_id = await office.published()
    (standard,) = (await office.get(f"/events/{event_id}"))["categories"]
    renamed = {"categories": [{**standard, "name": "Parkett"}]}
    await office.call("PATCH", f"/events/{event_id}", renamed)
    told = await office.post(event_id, "plan", grid(5, 10))
    assert told["seat_count"] == 50, "a grid is of the event's own category"
    other = await office.draft()
    plan_id = (await office.sql("SELECT plan_id FROM events WHERE id = $1", other))[0][0]
    await office.post(event_id, "plan", grid(4, 9))
    told = await problem(office.post(event_id, "plan", {"plan_id": plan_id}))
    assert (told["code"], "'Standard'" in told["detail"]) == ("invalid", True)


async def test_an_edit_that_dies_before_its_rebuild_is_finished_by_others(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = await office.published()
    page = await office.site.page(event_id)

    async def dead(*_: Any) -> None:
        raise Unavailable("The process is gone.")

    monkeypatch.setattr(plan_change, "rebuild", dead)
    await office.post(event_id, "plan", grid(4, 9))
    await until(lambda: page.position.epoch > 1)
    await page.shows(9, BLOCKED)
    await sell(page, 8)
    await agree(office, event_id)


async def test_plans_change_in_the_middle_of_a_rush(office: Office) -> None:
    """Whoever was told booked has the seat of that name still, whatever the plan became meanwhile."""
    event_id = await office.published(seats_per_visitor=100)
    pages = [await office.site.page(event_id) for _ in range(4)]
    ended = asyncio.Event()
    sold: dict[int, str] = {}
    refusals: set[str] = set()

    async def buy(page: Page, first: int) -> None:
        for seat in range(first, 40, 4):
            if ended.is_set():
                return
            try:
                booked = await sell(page, seat)
            except Refusal as refused:
                refusals.add(refused.code)
                with suppress(Refusal):  # for the same reason, perhaps
                    await page.ask("release", hold_id=page.mine["hold_id"] if page.mine else "")
                continue
            sold.update({bought["seat"]: bought["label"] for bought in booked["seats"]})

    buyers = [asyncio.create_task(buy(page, first)) for first, page in enumerate(pages)]
    path = f"/events/{event_id}/plan"
    outcomes = [await office.code("POST", path, grid(4, columns)) for columns in (11, 10, 12)]
    ended.set()
    await asyncio.gather(*buyers)
    assert set(outcomes) <= {"", "plan_in_use"}
    assert refusals <= {
        "seat_blocked",
        "wrong_epoch",
        "hold_expired",
        "hold_changed",
        "recovering",
        "unavailable",
    }
    kept = await office.sql(
        """
        SELECT b.seat, s.label, s.deleted_at
        FROM bookings b JOIN seats s ON s.event_id = b.event_id AND s.index = b.seat
        WHERE b.event_id = $1 AND b.status = 'confirmed'
        """,
        event_id,
    )
    assert {row["seat"]: row["label"] for row in kept} == sold
    assert not [row for row in kept if row["deleted_at"]]
    await agree(office, event_id)


# ---- a category less ----


async def test_a_categorys_seats_get_the_one_that_is_named(office: Office) -> None:
    event_id = await office.published()
    path = f"/events/{event_id}"
    page = await office.site.page(event_id)
    (standard,) = (await office.get(path))["categories"]
    two = await office.call("PATCH", path, {"categories": [standard, {"name": "Box", "price": 9000}]})
    box = two["categories"][1]["id"]
    await office.post(event_id, "seats", {"seats": [0, 1, 2], "category_id": box})
    await office.post(event_id, "seats", {"seats": [2], "status": "blocked"})
    gone = f"{path}/categories/{box}"
    told = await problem(office.call("DELETE", gone))
    assert (told["code"], told["detail"]) == (
        "category_in_use",
        "Box has 3 seats; name the category whose price they should have.",
    )
    held = await page.ask("hold", seats=[1])
    told = await problem(office.call("DELETE", f"{gone}?replacement={standard['id']}"))
    assert told["detail"] == (
        "Box cannot be taken away while somebody has seats of it: Stalls, row A, seat 2 (held)."
    )
    await page.shows(0, AVAILABLE)
    await page.ask("release", hold_id=held["hold_id"])
    told = await office.call("DELETE", f"{gone}?replacement={standard['id']}")
    assert [category["name"] for category in told["categories"]] == ["Standard"]
    await page.shows(0, AVAILABLE)
    await page.shows(2, BLOCKED)
    await sell(page, 0)
    assert (await office.log(event_id))[-1] == "remove_category"
    assert await office.code("DELETE", gone) == "category_not_found"
    assert await office.code("DELETE", f"{path}/categories/{standard['id']}") == "wrong_state"
    await agree(office, event_id)


async def test_a_category_without_seats_just_goes(office: Office) -> None:
    event_id = await office.draft()
    path = f"/events/{event_id}"
    (standard,) = (await office.get(path))["categories"]
    two = await office.call("PATCH", path, {"categories": [standard, {"name": "Box", "price": 9000}]})
    box = two["categories"][1]["id"]
    bad = f"{path}/categories/{box}?replacement={box}"
    assert await office.code("DELETE", bad) == "invalid"
    told = await office.call("DELETE", f"{path}/categories/{box}")
    assert [category["id"] for category in told["categories"]] == [standard["id"]]


# ---- the currency ----


async def test_a_draft_gets_any_currency(office: Office) -> None:
    event_id = await office.draft()
    told = await office.call("PATCH", f"/events/{event_id}", {"currency": "CHF"})
    assert told["currency"] == "CHF"
    assert await office.code("PATCH", f"/events/{event_id}", {"currency": "franc"}) == "invalid"


async def test_the_currency_changes_in_a_pause_when_nobody_holds_and_never_after_a_sale(
    office: Office,
) -> None:
    event_id = await office.published()
    path = f"/events/{event_id}"
    page = await office.site.page(event_id)
    held = await page.ask("hold", seats=[1])
    told = await problem(office.call("PATCH", path, {"currency": "CHF"}))
    assert (told["code"], told["detail"][:20]) == ("currency_settled", "Pause the sale first")
    await office.post(event_id, "pause")
    told = await problem(office.call("PATCH", path, {"currency": "CHF"}))
    assert "(1 seats are held)" in told["detail"]
    await page.ask("release", hold_id=held["hold_id"])
    assert (await office.call("PATCH", path, {"currency": "CHF"}))["currency"] == "CHF"
    await until(lambda: any(text.get("plan_version") == 2 for text in page.texts))
    assert (await office.site.visitor().get(f"/api/events/{event_id}/plan"))["currency"] == "CHF"
    await office.post(event_id, "resume")
    booked = await sell(page, 1)
    assert booked["currency"] == "CHF"
    await office.post(event_id, "pause")
    await office.call("POST", f"/orders/{booked['id']}/cancel", {"reason": "ill"})
    told = await problem(office.call("PATCH", path, {"currency": "EUR"}))
    assert told["detail"] == (
        "The currency stays CHF: seats were sold in it. Make a copy of the event for another one."
    )
    await office.call("PATCH", path, {"currency": "CHF", "name": "As it is"})
