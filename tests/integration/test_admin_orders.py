"""The box office and its orders: search, cancel, refund, reseat, paid at the door, the mail again."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from admin_world import Office, open_office
from site_clients import Page, Refusal, make_event, order
from staff_world import bearer, make_key

from seatmap import failpoints
from seatmap.config import Settings
from seatmap.ledger.mails import Mail
from seatmap.model import Role


@pytest.fixture
async def office(settings: Settings) -> AsyncIterator[Office]:
    async with open_office(settings, Role.box_office) as office:
        yield office


class Sale:
    """An order, its page and its event."""

    def __init__(self, event_id: int, page: Page, made: dict[str, Any]) -> None:
        self.event_id = event_id
        self.page = page
        self.made = made
        self.path = f"/orders/{made['id']}"


async def sell(office: Office, settings: Settings, method: str = "free", *seats: int) -> Sale:
    event_id = await make_event(settings)
    await office.sql("UPDATE events SET payment_methods = '{free,door,test_card}' WHERE id = $1", event_id)
    page = await office.site.page(event_id)
    hold = await page.ask("hold", seats=seats or [2, 3])
    made = await page.ask("book", **order(hold, payment_method=method))
    if method == "test_card":
        session = made["checkout"]["url"].partition("session=")[2]
        answer = await office.http.post(f"/api/payments/test-card/{session}", json={"outcome": "approve"})
        assert answer.json()["status"] == "captured"
    return Sale(event_id, page, made)


async def test_orders_are_found_by_every_word_of_them(office: Office, settings: Settings) -> None:
    sale = await sell(office, settings)
    order_id = sale.made["id"]
    for query in ("ada LOVE", "ADA@example", order_id, order_id[-8:], "seat 3", ""):
        found = await office.get(f"/orders?q={query}")
        assert [row["id"] for row in found["orders"]] == [order_id], query
    for nothing in ("q=nobody", "q=%25", "event=999", "status=cancelled", "payment=paid", "stuck=1"):
        assert (await office.get(f"/orders?{nothing}"))["orders"] == []
    assert (await office.get(f"/orders?event={sale.event_id}&status=confirmed&limit=1"))["next"] is None
    assert await office.code("GET", f"/orders/{uuid4()}") == "order_not_found"


async def test_the_list_goes_on_where_it_ended(office: Office, settings: Settings) -> None:
    made = [(await sell(office, settings)).made["id"] for _ in range(3)]
    first = await office.get("/orders?limit=2")
    rest = await office.get(f"/orders?limit=2&cursor={first['next']}")
    assert [row["id"] for row in [*first["orders"], *rest["orders"]]] == made[::-1]
    assert rest["next"] is None


async def test_a_seat_is_paid_back_and_the_rest_stays(office: Office, settings: Settings) -> None:
    sale = await sell(office, settings, "test_card")
    after = await office.call("POST", f"{sale.path}/refund", {"seats": [2], "reason": "Ill"})
    assert [(seat["seat"], seat["status"]) for seat in after["seats"]] == [(2, "cancelled"), (3, "confirmed")]
    assert (after["status"], after["payment_status"]) == ("confirmed", "paid")
    assert [(paid["status"], paid["refunded"]) for paid in after["payments"]] == [("captured", 1500)]
    await sale.page.shows(2, 0)
    await sale.page.shows(3, 2)
    after = await office.call("POST", f"{sale.path}/refund", {})
    assert (after["status"], after["payments"][0]["refunded"]) == ("cancelled", 3000)
    assert after["payment_status"] in ("refund_due", "refunded")
    assert [entry["what"] for entry in after["history"]] == ["refund", "refund"]
    await sale.page.shows(3, 0)
    again = await office.call("POST", f"{sale.path}/cancel", {"reason": "twice"})
    assert again["payments"][0]["refunded"] == 3000


async def test_seats_are_moved_all_or_none(office: Office, settings: Settings) -> None:
    sale = await sell(office, settings, "test_card")
    other = await office.site.page(sale.event_id)
    await other.ask("hold", seats=[9])
    assert await office.code("POST", f"{sale.path}/reseat", {"seats": {"2": 8, "3": 9}}) == "seat_taken"
    await sale.page.shows(8, 0)
    assert await office.code("POST", f"{sale.path}/reseat", {"seats": {"7": 8}}) == "cannot_reseat"
    assert await office.code("POST", f"{sale.path}/reseat", {"seats": {"2": 99}}) == "seat_out_of_range"
    after = await office.call("POST", f"{sale.path}/reseat", {"seats": {"2": 8}})
    assert [(seat["seat"], seat["status"]) for seat in after["seats"]] == [
        (2, "cancelled"),
        (3, "confirmed"),
        (8, "confirmed"),
    ]
    for seat, status in ((2, 0), (3, 2), (8, 2)):
        await sale.page.shows(seat, status)
    assert [entry["what"] for entry in after["history"]] == ["reseat"]
    await office.call("POST", f"{sale.path}/cancel", {})
    for seat in (3, 8):
        await sale.page.shows(seat, 0)


async def test_moving_again_after_a_lost_answer_frees_nothing_that_is_sold(
    office: Office, settings: Settings
) -> None:
    sale = await sell(office, settings)
    path, moves = f"{sale.path}/reseat", {"seats": {"2": 8}}
    failpoints.arm("reseat.after_commit=raise*1")
    try:
        assert await office.code("POST", path, moves) == "unavailable"
    finally:
        failpoints.arm("")
    other = await office.site.page(sale.event_id)
    assert await office.code("POST", path, {"seats": {"3": 8}}) == "seat_taken"
    with pytest.raises(Refusal, match="seat_taken"):
        await other.ask("hold", seats=[8])
    for _ in range(2):
        after = await office.call("POST", path, moves)
        assert {seat["seat"] for seat in after["seats"] if seat["status"] == "confirmed"} == {3, 8}
    assert [entry["what"] for entry in after["history"]] == ["reseat"]
    for seat, status in ((2, 0), (3, 2), (8, 2)):
        await sale.page.shows(seat, status)


async def test_no_seat_of_a_higher_price(office: Office, settings: Settings) -> None:
    sale = await sell(office, settings)
    await office.sql("UPDATE categories SET price = 2000 WHERE event_id = $1", sale.event_id)
    assert await office.code("POST", f"{sale.path}/reseat", {"seats": {"2": 8}}) == "cannot_reseat"
    await sale.page.shows(8, 0)
    await sale.page.shows(2, 2)


async def test_paid_at_the_door(office: Office, settings: Settings) -> None:
    sale = await sell(office, settings, "door")
    assert sale.made["payment_status"] == "unpaid"
    after = await office.call("POST", f"{sale.path}/mark-paid")
    assert (after["payment_status"], after["payments"][0]["status"]) == ("paid", "captured")
    assert await office.code("POST", f"{sale.path}/mark-paid") == "not_unpaid"
    after = await office.call("POST", f"{sale.path}/refund", {"seats": [3]})
    assert after["payments"][0]["refunded"] == 1500


async def test_where_nothing_is_left_to_pay_nothing_is_marked(office: Office, settings: Settings) -> None:
    sale = await sell(office, settings, "door")
    await office.sql("UPDATE bookings SET price = 0 WHERE seat = 3")
    await office.call("POST", f"{sale.path}/refund", {"seats": [2]})
    assert await office.code("POST", f"{sale.path}/mark-paid") == "not_unpaid"


async def test_a_seat_that_was_left_and_taken_again_is_listed_once(
    office: Office, settings: Settings
) -> None:
    sale = await sell(office, settings)
    for old, new in ((2, 9), (9, 2)):
        after = await office.call("POST", f"{sale.path}/reseat", {"seats": {str(old): new}})
    assert [(seat["seat"], seat["status"]) for seat in after["seats"]] == [
        (2, "confirmed"),
        (3, "confirmed"),
        (9, "cancelled"),
    ]


async def test_an_order_that_is_not_paid_yet_is_cancelled_whole(office: Office, settings: Settings) -> None:
    event_id = await make_event(settings)
    await office.sql("UPDATE events SET payment_methods = '{test_card}' WHERE id = $1", event_id)
    page = await office.site.page(event_id)
    made = await page.ask("book", **order(await page.ask("hold", seats=[2, 3])))
    path = f"/orders/{made['id']}"
    assert await office.code("POST", f"{path}/refund", {"seats": [2]}) == "order_not_active"
    after = await office.call("POST", f"{path}/cancel", {})
    assert (after["status"], after["payments"][0]["status"]) == ("cancelled", "expired")
    await page.shows(2, 0)


async def test_the_confirmation_is_mailed_again(office: Office, settings: Settings) -> None:
    sale = await sell(office, settings)
    assert await office.call("POST", f"{sale.path}/resend") == {}
    (row,) = await office.sql("SELECT payload FROM jobs WHERE kind = 'send_mail'")
    mail = msgspec.json.decode(row["payload"], type=Mail)
    assert (mail.to, mail.subject) == ("ada@example.org", "Your seats for Show")
    assert "  Hall, row A, seat 3 · all · 15.00 EUR\n" in mail.text
    assert "  Total: 30.00 EUR\n\nThere is nothing to pay.\n" in mail.text
    assert sale.made["id"] in mail.text
    await office.call("POST", f"{sale.path}/cancel", {})
    assert await office.code("POST", f"{sale.path}/resend") == "order_not_active"


async def test_an_order_without_an_address_cannot_be_mailed(office: Office, settings: Settings) -> None:
    sale = await sell(office, settings)
    await office.sql("UPDATE orders SET email = ''")
    assert await office.code("POST", f"{sale.path}/resend") == "no_address"


async def test_a_viewer_looks_only(office: Office, settings: Settings) -> None:
    sale = await sell(office, settings)
    secret, _ = await make_key(settings, Role.viewer)
    office.http.headers.update(bearer(secret))
    assert (await office.get(sale.path))["id"] == sale.made["id"]
    for verb, body in (
        ("cancel", {}),
        ("refund", {}),
        ("reseat", {"seats": {"2": 8}}),
        ("mark-paid", None),
        ("resend", None),
    ):
        assert await office.code("POST", f"{sale.path}/{verb}", body) == "forbidden"
