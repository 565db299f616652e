"""Sales over the counter: claimed and booked at once, those kept back too; and what a death in between leaves."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from admin_world import Office, open_office
from site_clients import Page, make_event, order
from staff_world import bearer, make_key

from seatmap import failpoints
from seatmap.booking.commands import Take
from seatmap.checkout.reconcile import lasting_differences, repair
from seatmap.checkout.stores import open_stores
from seatmap.config import Settings
from seatmap.model import Role
from seatmap.worker.run import Worker

AVAILABLE, HELD, BOOKED = 0, 1, 2
PRICE = 1500


@pytest.fixture
async def office(settings: Settings) -> AsyncIterator[Office]:
    async with open_office(settings, Role.box_office) as office:
        yield office


@pytest.fixture
async def event_id(office: Office, settings: Settings) -> int:
    event_id = await make_event(settings)
    await office.sql("UPDATE events SET payment_methods = '{test_card,door}' WHERE id = $1", event_id)
    return event_id


@pytest.fixture
async def page(office: Office, event_id: int) -> Page:
    return await office.site.page(event_id)


def sale(*seats: int, **changes: Any) -> dict[str, Any]:
    return {
        "order_id": str(uuid4()),
        "seats": seats,
        "total": PRICE * len(seats),
        "name": "Grace Hopper",
        **changes,
    }


async def test_sold_and_paid_in_one_go_on_every_screen(office: Office, event_id: int, page: Page) -> None:
    wanted = sale(2, 3, email="")
    made = await office.post(event_id, "sell", wanted)
    assert (made["id"], made["status"], made["payment_status"]) == (wanted["order_id"], "confirmed", "paid")
    assert (made["name"], made["email"], made["total"]) == ("Grace Hopper", "", 2 * PRICE)
    assert [(one["provider"], one["status"], one["amount"]) for one in made["payments"]] == [
        ("door", "captured", 2 * PRICE)
    ]
    assert [(entry["what"], entry["details"]) for entry in made["history"]] == [
        ("sell", {"seats": [2, 3], "paid": True})
    ]
    for seat in (2, 3):
        await page.shows(seat, BOOKED)
    assert await office.post(event_id, "sell", wanted) == made, "a lost answer is asked for again"
    async with open_stores(office.site.settings) as stores:
        assert await lasting_differences(stores, event_id) == []


async def test_what_is_not_paid_yet_is_marked_later(office: Office, event_id: int, page: Page) -> None:
    made = await office.post(event_id, "sell", sale(2, paid=False, email="grace@example.org"))
    assert (made["status"], made["payment_status"], made["email"]) == (
        "confirmed",
        "unpaid",
        "grace@example.org",
    )
    after = await office.call("POST", f"/orders/{made['id']}/mark-paid")
    assert after["payment_status"] == "paid"


async def test_each_customer_is_somebody_else(office: Office, event_id: int, page: Page) -> None:
    (limit,) = (row[0] for row in await office.sql("SELECT seats_per_visitor FROM events"))
    for first in range(0, 3 * limit, limit):
        await office.post(event_id, "sell", sale(*range(first, first + limit)))
    too_many = sale(*range(3 * limit, 4 * limit + 1))
    assert await office.code("POST", f"/events/{event_id}/sell", too_many) == "too_many_seats"
    await page.shows(3 * limit, AVAILABLE)


async def test_a_refused_sale_leaves_nothing_behind(office: Office, event_id: int, page: Page) -> None:
    hold = await page.ask("hold", seats=[4])
    path = f"/events/{event_id}/sell"
    for wanted, code in (
        (sale(4, 5), "seat_taken"),
        (sale(5, 99999), "seat_out_of_range"),
        (sale(5, total=1), "price_changed"),
        (sale(5, seats=[]), "invalid"),
        (sale(5, name=" "), "invalid"),
        (sale(5, email="nobody"), "invalid"),
    ):
        assert await office.code("POST", path, wanted) == code, wanted
    await page.shows(5, AVAILABLE)
    assert await office.code("POST", "/events/999/sell", sale(5)) == "event_not_found"
    await office.sql("UPDATE events SET payment_methods = '{free,test_card}'")
    made = await office.post(event_id, "sell", sale(8))
    assert (made["status"], made["payment_status"], made["payments"]) == ("confirmed", "none", [])
    await office.sql("UPDATE events SET payment_methods = '{test_card}'")
    assert await office.code("POST", path, sale(5)) == "method_not_offered"
    await page.shows(5, AVAILABLE)
    assert (await page.ask("book", **order(hold)))["status"] == "pending"


async def test_a_sale_that_waits_for_postgres_keeps_its_claim(
    office: Office, event_id: int, page: Page
) -> None:
    """Two looks of the reconciler may both fall between the claim and the booking, two rounds may not."""
    async with open_stores(office.site.settings) as stores:
        worker = Worker(stores)
        await worker._list()
        await stores.desk.decide(event_id, Take(uuid4().hex, "counter", (2,)))
        await worker._reconcile()
        await page.shows(2, HELD)
        await worker._reconcile()
    await page.shows(2, AVAILABLE)


async def test_the_id_of_another_order_is_refused_before_anything_happens(
    office: Office, event_id: int, page: Page
) -> None:
    booked = await page.ask("book", **order(await page.ask("hold", seats=[6])))
    path = f"/events/{event_id}/sell"
    assert await office.code("POST", path, sale(6, order_id=booked["id"])) == "order_reused"
    await page.shows(6, HELD)


async def test_a_viewer_sells_nothing(office: Office, event_id: int, page: Page, settings: Settings) -> None:
    secret, _ = await make_key(settings, Role.viewer)
    office.http.headers.update(bearer(secret))
    assert await office.code("POST", f"/events/{event_id}/sell", sale(2)) == "forbidden"


@pytest.mark.parametrize("point", ["after_take", "before_commit", "after_commit"])
async def test_what_a_death_in_between_leaves_is_mended(
    office: Office, event_id: int, page: Page, point: str
) -> None:
    """And the same sale asked for again comes to the same end."""
    wanted = sale(2, 3)
    path = f"/events/{event_id}/sell"
    failpoints.arm(f"sell.{point}=raise*1")
    try:
        assert await office.code("POST", path, wanted) == "unavailable"
    finally:
        failpoints.arm("")
    sold = point == "after_commit"
    async with open_stores(office.site.settings) as stores:
        found = await lasting_differences(stores, event_id)
        assert await repair(stores, event_id, found) == 2
    await page.shows(2, BOOKED if sold else AVAILABLE)
    made = await office.post(event_id, "sell", wanted)
    assert (made["status"], made["payment_status"]) == ("confirmed", "paid")
    assert len(made["history"]) == 1
    await page.shows(3, BOOKED)
