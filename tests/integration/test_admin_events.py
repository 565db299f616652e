"""Making events, changing them, and every step from one state to another, over the real site."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from admin_world import NEW, Office, open_office
from msgspec.structs import replace
from site_clients import Page, Refusal, order, until

from seatmap.config import Settings
from seatmap.ledger.event_states import DRAWN, State

pytestmark = pytest.mark.integration


@pytest.fixture
async def office(settings: Settings) -> AsyncIterator[Office]:
    async with open_office(replace(settings, head_check_ms=200, hold_seconds=60)) as office:
        yield office


async def test_an_event_is_made_from_a_grid_and_sold(office: Office) -> None:
    made = await office.call("POST", "/events", NEW)
    assert (made["status"], made["seat_count"], made["currency"]) == ("draft", 40, "EUR")
    assert made["job"]["state"] == "queued"
    event_id = made["id"]
    assert await office.code("POST", f"/events/{event_id}/publish") == "wrong_state", "it has no seats yet"
    await office.work()
    shown = await office.get(f"/events/{event_id}")
    assert (shown["job"]["state"], shown["job"]["done"]) == ("done", 40)
    assert (await office.post(event_id, "publish"))["status"] == "published"
    page = await office.site.page(event_id)
    hold = await page.ask("hold", seats=[0, 1])
    booked = await page.ask("book", **order(hold, total=5000))
    assert booked["status"] == "confirmed"
    assert await office.log(event_id) == ["create", "publish"]


async def test_an_event_is_made_from_a_kept_plan(office: Office) -> None:
    seats = [{"seat_number": str(i), "category": "A", "position": {"x": 20 * i, "y": 0}} for i in range(6)]
    rows = [{"row_number": "1", "position": {"x": 0, "y": 0}, "seats": seats}]
    plan = {
        "name": "Hall",
        "categories": [{"name": "A", "color": "red"}],
        "zones": [{"name": "Z", "rows": rows}],
    }
    kept = await office.call("POST", "/plans", plan)
    assert (kept["name"], kept["seat_count"]) == ("Hall", 6)
    (listed,) = (await office.get("/plans"))["plans"]
    assert listed == {"id": kept["id"], "name": "Hall", "seat_count": 6}
    made = await office.call("POST", "/events", {**without(NEW, "grid", "categories"), "plan_id": kept["id"]})
    assert [(c["name"], c["price"]) for c in made["categories"]] == [("A", 0)]
    assert await office.code("POST", "/plans", {"zones": []}) == "plan_invalid"
    missing = {**without(NEW, "grid"), "plan_id": 4711}
    assert await office.code("POST", "/events", missing) == "not_found"


def without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"name": ""}, "name"),
        ({"starts_at": "2030-05-01T19:30:00"}, "starts_at"),
        ({"starts_at": "1024-05-01T19:30:00Z"}, "starts_at"),
        ({"timezone": "Middle/Earth"}, "timezone"),
        ({"seats_per_visitor": 0}, "seats_per_visitor"),
        ({"currency": "euro"}, "currency"),
        ({"plan_id": 1}, "plan_id"),
        ({"categories": [{"name": "A", "price": -1}]}, "categories"),
        ({"categories": [{"name": "A", "price": 1}, {"name": "A", "price": 2}]}, "categories"),
        (
            {"on_sale_from": "2030-01-02T00:00:00Z", "on_sale_until": "2030-01-01T00:00:00Z"},
            "on_sale_until",
        ),
    ],
)
async def test_a_refusal_names_the_field(office: Office, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(Refusal) as refusal:
        await office.call("POST", "/events", {**NEW, **changes})
    assert refusal.value.code == "invalid"
    assert named in refusal.value.problem["detail"]


# ---- states ----

# how an event comes into each state, beginning as a draft with its seats
WAYS = {
    State.draft: [],
    State.published: ["publish"],
    State.paused: ["publish", "pause"],
    State.cancelled: ["publish", "cancel"],
    State.deleted: ["delete"],
}
VERBS = [
    "publish",
    "pause",
    "resume",
    "cancel",
    "delete",
    "restore",
    "duplicate",
    "edit",
    "message",
    "extend-holds",
]


async def act(office: Office, event_id: int, verb: str) -> str:
    path = f"/events/{event_id}"
    match verb:
        case "delete":
            return await office.code("DELETE", path)
        case "edit":
            return await office.code("PATCH", path, {"name": "Other"})
        case "cancel":
            return await office.code("POST", f"{path}/cancel", {"reason": "Flooded"})
        case "message":
            return await office.code("POST", f"{path}/message", {"text": "Hello"})
        case "extend-holds":
            return await office.code("POST", f"{path}/extend-holds", {"seconds": 1})
        case _:
            return await office.code("POST", f"{path}/{verb}")


@pytest.mark.parametrize("state", State)
async def test_what_is_drawn_is_done_and_all_else_refused(office: Office, state: State) -> None:
    for verb in VERBS:
        event_id = await office.draft()
        for step in WAYS[state]:
            assert await act(office, event_id, step) == ""
            if step == "publish":
                await office.site.page(event_id)  # its map is there
        possible, leads_to = DRAWN[verb.replace("-", "_")]
        assert await act(office, event_id, verb) == ("" if state in possible else "wrong_state"), verb
        now = await office.get(f"/events/{event_id}")
        expected = leads_to if leads_to is not None and state in possible else state
        if verb == "restore" and state is State.deleted:
            expected = State.draft
        assert state_of(now) == expected, verb
        assert len(await office.log(event_id)) == 1 + len(WAYS[state]) + (state in possible)


def state_of(event: dict[str, Any]) -> str:
    if event["deleted"]:
        return "deleted"
    return "paused" if event["paused"] else str(event["status"])


async def test_a_deleted_event_is_gone_until_it_is_restored(office: Office) -> None:
    event_id = await office.published()
    visitor = office.site.visitor()
    hold = await visitor.post(event_id, "hold", {"seats": [1]})
    booked = await visitor.post(event_id, "book", order(hold, total=2500))
    assert await office.code("DELETE", f"/events/{event_id}") == "event_has_bookings"
    await visitor.post(event_id, "cancel", {"order_id": booked["id"]})
    assert await office.code("DELETE", f"/events/{event_id}") == ""

    async def refused() -> str:
        try:
            await visitor.get(f"/api/events/{event_id}")
        except Refusal as refusal:
            return refusal.code
        return ""

    await eventually(refused, "event_not_found")
    assert [e["id"] for e in (await office.get("/events?deleted=1"))["events"]] == [event_id]
    await office.post(event_id, "restore")
    await eventually(refused, "")
    assert (await visitor.post(event_id, "hold", {"seats": [2]}))["seats"] == [2]


async def eventually(what: Any, value: Any) -> None:
    found = [await what()]

    async def look() -> None:
        while found[-1] != value:
            found.append(await what())

    await asyncio.wait_for(look(), 30)


# ---- a copy ----


async def test_a_copy_is_a_draft_with_the_same_seats(office: Office) -> None:
    event_id = await office.published()
    await office.post(event_id, "seats", {"seats": [3], "status": "blocked"})
    copy = await office.post(event_id, "duplicate")
    await office.work()
    assert (copy["name"], copy["status"]) == ("The Tempest (copy)", "draft")
    assert [c["price"] for c in copy["categories"]] == [2500]
    mine, theirs = [await office.get(f"/events/{number}/seats") for number in (event_id, copy["id"])]
    assert [without(seat, "status") for seat in mine["seats"]] == [
        without(s, "status") for s in theirs["seats"]
    ]
    assert [seat["index"] for seat in theirs["seats"] if seat["status"] == "blocked"] == [3]


# ---- lists ----


async def test_events_are_listed_newest_first_in_pages(office: Office) -> None:
    made = [(await office.call("POST", "/events", {**NEW, "name": f"Show {i}"}))["id"] for i in range(5)]
    seen, cursor = [], ""
    while cursor is not None:
        listed = await office.get(f"/events?limit=2{cursor and f'&cursor={cursor}'}")
        seen += [event["id"] for event in listed["events"]]
        cursor = listed["next"]
    assert seen == made[::-1]
    assert [e["name"] for e in (await office.get("/events?q=show 3"))["events"]] == ["Show 3"]
    assert (await office.get("/events?status=published"))["events"] == []
    entries = (await office.get("/audit?limit=200"))["entries"]
    assert all(later["id"] > earlier["id"] for later, earlier in pairwise(entries))


async def test_the_settings_are_told_without_secrets(office: Office) -> None:
    told = {one["name"]: one for one in (await office.get("/settings"))["settings"]}
    assert told["SEATMAP_HOLD_SECONDS"]["value"] == "60"
    assert told["DATABASE_URL"]["value"] == "set"
    assert told["SEATMAP_HOLD_SECONDS"]["description"]
    assert str(office.site.settings.database_url) not in str(told)


# ---- changing what is on sale ----


def sale(page: Page) -> str:
    """What the page was last told of the sale."""
    return [str(text["sale"]) for text in page.texts if text["type"] == "hello"][-1]


async def test_a_pause_reaches_pages_and_refuses_holds_but_not_bookings(office: Office) -> None:
    event_id = await office.published()
    page = await office.site.page(event_id)
    hold = await page.ask("hold", seats=[1])
    await office.post(event_id, "pause")
    with pytest.raises(Refusal) as refusal:
        await page.ask("hold", seats=[2])
    assert refusal.value.code == "paused"
    await until(lambda: sale(page) == "paused", 1.5)
    assert (await page.ask("book", **order(hold, total=2500)))["status"] == "confirmed"
    await office.post(event_id, "resume")
    await until(
        lambda: [text["sale"] for text in page.texts if text["type"] == "hello"][-1] == "on_sale", 1.5
    )
    assert (await page.ask("hold", seats=[2]))["seats"] == [2]


async def test_a_new_price_makes_pages_load_their_plan_again(office: Office) -> None:
    event_id = await office.published()
    page = await office.site.page(event_id)
    hold = await page.ask("hold", seats=[1])
    (category,) = (await office.get(f"/events/{event_id}"))["categories"]
    changed = {"categories": [{**category, "name": "Stalls", "price": 3000}]}
    assert (await office.call("PATCH", f"/events/{event_id}", changed))["plan_version"] == 2
    await until(lambda: page.texts[-1].get("plan_version") == 2)
    plan = await office.site.visitor().get(f"/api/events/{event_id}/plan")
    (shown,) = plan["categories"]
    assert (plan["plan_version"], shown["name"], shown["price"]) == (2, "Stalls", 3000)
    with pytest.raises(Refusal) as refusal:
        await page.ask("book", **order(hold, total=2500))
    assert refusal.value.code == "price_changed"
    assert (await page.ask("book", **order(hold, total=3000)))["status"] == "confirmed"


async def test_a_limit_and_a_window_hold_at_once(office: Office) -> None:
    event_id = await office.published()
    page = await office.site.page(event_id)
    path = f"/events/{event_id}"
    await office.call("PATCH", path, {"seats_per_visitor": 1})
    with pytest.raises(Refusal) as refusal:
        await page.ask("hold", seats=[1, 2])
    assert refusal.value.code == "too_many_seats"
    await office.call("PATCH", path, {"on_sale_until": "2020-01-01T00:00:00Z"})
    with pytest.raises(Refusal) as refusal:
        await page.ask("hold", seats=[1])
    assert refusal.value.code == "not_on_sale"
    await until(lambda: sale(page) == "ended")
    assert (await office.call("PATCH", path, {"on_sale_until": None}))["sale"] == "on_sale"
    assert (await page.ask("hold", seats=[1]))["seats"] == [1]


async def test_categories_may_swap_names_and_only_empty_ones_go(office: Office) -> None:
    event_id = await office.draft()
    path = f"/events/{event_id}"
    (first,) = (await office.get(path))["categories"]
    two = (await office.call("PATCH", path, {"categories": [first, {"name": "Box", "price": 9000}]}))[
        "categories"
    ]
    swapped = [{**two[0], "name": "Box"}, {**two[1], "name": "Standard"}]
    assert (await office.call("PATCH", path, {"categories": swapped}))["categories"] == swapped
    assert await office.code("PATCH", path, {"categories": swapped[1:]}) == "invalid", "its seats are in it"
    kept = (await office.call("PATCH", path, {"categories": swapped[:1]}))["categories"]
    assert kept == swapped[:1]


async def test_a_message_is_shown_on_every_page(office: Office) -> None:
    event_id = await office.published()
    pages = [await office.site.page(event_id) for _ in range(3)]
    await office.post(event_id, "message", {"text": "<b>Doors</b> at seven."})
    for page in pages:
        await until(lambda page=page: page.texts[-1].get("message") == "<b>Doors</b> at seven.")
    await office.post(event_id, "message", {"text": ""})
    for page in pages:
        await until(lambda page=page: page.texts[-1].get("message") == "")


async def test_a_cancelled_event_takes_no_booking(office: Office) -> None:
    event_id = await office.published()
    page = await office.site.page(event_id)
    hold = await page.ask("hold", seats=[1])
    assert (await office.post(event_id, "cancel", {"reason": "Flooded"}))["status"] == "cancelled"
    with pytest.raises(Refusal) as refusal:
        await page.ask("book", **order(hold, total=2500))
    assert refusal.value.code == "not_on_sale"
    await until(lambda: sale(page) == "closed", 2)


async def test_a_cancelled_events_orders_are_cancelled(office: Office) -> None:
    event_id = await office.published()
    visitor = office.site.visitor()
    booked = await visitor.post(
        event_id, "book", order(await visitor.post(event_id, "hold", {"seats": [1]}), total=2500)
    )
    told = await office.post(event_id, "cancel", {"reason": "Flooded"})
    assert told["job"]["state"] == "queued"
    await office.work()
    assert (await visitor.get(f"/api/orders/{booked['id']}"))["status"] == "cancelled"
    assert (await office.get(f"/events/{event_id}"))["job"]["state"] == "done"
    (entry,) = [e for e in (await office.get(f"/audit?event={event_id}"))["entries"] if e["verb"] == "cancel"]
    assert entry["details"] == {"reason": "Flooded"}
    assert entry["user"] == "admin"


async def test_a_kept_plan_is_shown_before_there_is_an_event(office: Office) -> None:
    await office.draft()
    (kept,) = (await office.get("/plans"))["plans"]
    plan = await office.get(f"/plans/{kept['id']}")
    assert (len(plan["x"]), plan["categories"][0]["name"]) == (40, "Standard")
    assert await office.code("GET", "/plans/4711") == "not_found"
