"""Paying over HTTP: what a page is told, the test card's page, the webhook and its signature."""

from collections.abc import AsyncIterator

import httpx
import pytest
from ledger_world import run_sql
from site_clients import Refusal, Site, make_event, order, until, visited_site

from seatmap.config import Settings
from seatmap.ledger.pool import open_pool


@pytest.fixture
async def event_id(settings: Settings) -> int:
    event_id = await make_event(settings)
    pool = await open_pool(settings, size=1)
    await run_sql(pool, "UPDATE events SET payment_methods = '{test_card,door}' WHERE id = $1", event_id)
    await pool.close()
    return event_id


@pytest.fixture
async def site(settings: Settings, event_id: int) -> AsyncIterator[Site]:
    async with visited_site(settings) as site:
        yield site


async def card(site: Site, url: str, outcome: str) -> httpx.Response:
    session = url.partition("session=")[2]
    async with httpx.AsyncClient(base_url=site.url) as http:
        assert (await http.get(url)).status_code == 200
        shown = (await http.get(f"/api/payments/test-card/{session}")).json()
        assert (shown["event_name"], shown["amount"]) == ("Show", 3000)
        return await http.post(f"/api/payments/test-card/{session}", json={"outcome": outcome})


@pytest.mark.parametrize(
    ("outcome", "reason", "status", "paid"),
    [
        ("approve", "paid", "confirmed", "paid"),
        ("twice", "paid", "confirmed", "paid"),
        ("out_of_order", "paid", "confirmed", "paid"),
        ("decline", "payment_failed", "cancelled", "failed"),
    ],
)
async def test_the_page_is_told_how_its_payment_went(
    site: Site, event_id: int, outcome: str, reason: str, status: str, paid: str
) -> None:
    visitor = site.visitor()
    page = await visitor.page(event_id)
    booked = await page.ask("book", **order(await page.ask("hold", seats=[2, 3])))
    assert (booked["status"], booked["payment_status"]) == ("pending", "unpaid")
    assert booked["checkout"]["provider"] == "test_card"
    await page.shows(2, 1)
    answer = await card(site, booked["checkout"]["url"], outcome)
    assert answer.status_code == 200
    await until(lambda: any(news["reason"] == reason for news in page.news()))
    await page.shows(2, 2 if status == "confirmed" else 0)
    seen = await visitor.get(f"/api/orders/{booked['id']}")
    assert (seen["status"], seen["payment_status"], seen["checkout"]) == (status, paid, None)
    again = await card(site, booked["checkout"]["url"], "approve")
    assert (again.status_code, again.json()["code"]) == (409, "payment_closed")


async def test_a_repeated_book_gets_the_same_page_to_pay_on(site: Site, event_id: int) -> None:
    page = await site.page(event_id)
    wanted = order(await page.ask("hold", seats=[2, 3]))
    first = await page.ask("book", **wanted)
    second = await page.ask("book", **wanted)
    assert first["checkout"] == second["checkout"]


async def test_the_webhook_takes_nothing_without_a_signature(site: Site, event_id: int) -> None:
    async with httpx.AsyncClient(base_url=site.url) as http:
        for provider, code in (
            ("test_card", "bad_signature"),
            ("door", "bad_signature"),
            ("x", "method_not_offered"),
        ):
            answer = await http.post(f"/api/payments/{provider}/webhook", content=b"{}")
            assert answer.json()["code"] == code
        answer = await http.get("/api/payments/test-card/none")
        assert (answer.status_code, answer.json()["code"]) == (404, "payment_not_found")


async def test_a_way_to_pay_that_is_not_offered(site: Site, event_id: int) -> None:
    page = await site.page(event_id)
    hold = await page.ask("hold", seats=[2, 3])
    with pytest.raises(Refusal) as refusal:
        await page.ask("book", **order(hold, payment_method="free"))
    assert refusal.value.code == "method_not_offered"
    assert (await page.ask("book", **order(hold, payment_method="door")))["status"] == "confirmed"
