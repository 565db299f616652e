"""Money and power in a browser: a key for a program, the password again, cash handed back, the day's sales."""

import re
import time
from uuid import uuid4

import asyncpg
import httpx
import msgspec
from playwright.async_api import Page, expect
from product import Product
from redis.asyncio import Redis
from test_admin import PASSWORD, answer, make_admin, sign_in
from test_story import AVAILABLE, BOOKED, click_seat, ready, shows, studio, until
from windows import WAIT_MS, Windows

from seatmap.embedded.locate import Places


async def make_key(page: Page, name: str, scope: str) -> None:
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("May").select_option(scope)
    await page.get_by_role("button", name="Make the key").click()


async def wait_long(product: Product) -> None:
    """Everybody's password was given an hour ago."""
    async with Redis.from_url(Places.of(product.data).redis_url) as redis:
        for key in await redis.keys("*:session:*"):
            kept = msgspec.json.decode(await redis.get(key))
            kept["proved_at"] = time.time() - 3600
            await redis.set(key, msgspec.json.encode(kept), keepttl=True)


async def cancelled_at_the_door(product: Product, secret: str) -> str:
    """An order that was paid in cash and cancelled, all by a program; its id."""
    admin = {"authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=product.url, timeout=WAIT_MS / 1000) as http:
        done = await http.patch("/api/admin/events/1", json={"payment_methods": ["door"]}, headers=admin)
        done.raise_for_status()
        hold = (await http.post("/api/events/1/hold", json={"seats": [0]})).raise_for_status().json()
        order = {
            "order_id": str(uuid4()),
            "hold_id": hold["hold_id"],
            "seats": [0],
            "total": done.json()["categories"][0]["price"],
            "name": "Ada Lovelace",
            "email": "ada@example.org",
        }
        made = (await http.post("/api/events/1/book", json=order)).raise_for_status().json()
        for verb in ("mark-paid", "cancel"):
            path = f"/api/admin/orders/{made['id']}/{verb}"
            body = {"reason": "Ill"} if verb == "cancel" else None
            (await http.post(path, json=body, headers=admin)).raise_for_status()
    return str(made["id"])


async def test_keys_passwords_and_cash(product: Product, windows: Windows) -> None:
    make_admin(product)
    page = await windows.open(f"{product.url}/admin", width=1280, height=900)
    await sign_in(page)
    await page.get_by_role("link", name="API keys").click()
    await make_key(page, "Ticket shop", "admin")
    shown = page.locator(".secret")
    await expect(shown).to_have_text(re.compile("^sk_"))
    secret = await shown.inner_text()
    await page.get_by_role("button", name="Done").click()

    await wait_long(product)
    await make_key(page, "Door scanner", "read")
    question = page.get_by_role("dialog")
    await question.get_by_label("Password").fill("not my password")
    await question.get_by_role("button", name="Go on").click()
    await expect(question).to_contain_text("That is not your password")
    await question.get_by_label("Password").fill(PASSWORD)
    await question.get_by_label("Password").press("Enter")
    await expect(question).to_have_count(0)
    await expect(shown).to_have_text(re.compile("^sk_"))
    assert await shown.inner_text() != secret
    # What the browser itself says about the two refusals, and nothing else.
    assert all("401" in complaint for complaint in windows.complaints)
    windows.complaints.clear()
    await page.get_by_role("button", name="Revoke Door scanner").click()
    await answer(page, "Revoke")
    await expect(page.locator("tbody .state:visible")).to_have_text(["Revoked"])

    order_id = await cancelled_at_the_door(product, secret)
    async with page.expect_request(re.compile(r"/api/admin/orders\?")) as first:
        await page.goto(f"{product.url}/admin/orders?event=1")
    assert "event=1&" in (await first.value).url
    await page.goto(f"{product.url}/admin/orders?stuck=1")
    await expect(page.locator("tbody")).to_contain_text("to be handed out")
    await page.goto(f"{product.url}/admin/orders/{order_id}")
    await page.get_by_role("button", name="It was handed out").click()
    await answer(page, "It was handed out")
    await expect(page.locator(".toasts button")).to_contain_text("handed out")
    await expect(page.get_by_text("Handed out by Grace Hopper")).to_be_visible()

    await page.get_by_role("link", name="Sales").click()
    await expect(page.locator(".methods")).to_contain_text("At the door")
    await expect(page.locator(".is-event .number").first).to_have_text("1")


async def test_all_failed_jobs_are_tried_again(product: Product, windows: Windows) -> None:
    make_admin(product)
    page = await windows.open(f"{product.url}/admin", width=1024, height=900)
    await sign_in(page)
    conn = await asyncpg.connect(Places.of(product.data).database_url)
    for name in ("ada", "bob"):
        await conn.execute(
            "INSERT INTO jobs (kind, payload, state, error) VALUES ('send_mail', $1, 'failed', 'no server')",
            f'{{"to": "{name}@example.org", "subject": "Hello", "text": "A mail."}}',
        )
    await conn.execute(
        "INSERT INTO jobs (kind, event_id, payload, state, error) VALUES ('cancel_orders', 1, $1, 'failed', 'no')",
        '{"event_id": 1}',
    )
    await page.goto(f"{product.url}/admin/events/1")
    await expect(page.locator(".banner-card:visible")).to_contain_text("Not all orders could be cancelled")
    await expect(page.locator("#plan-map canvas").first).to_be_visible()
    await conn.execute("DELETE FROM jobs WHERE event_id = 1 AND state = 'failed'")
    await page.get_by_role("link", name="See the jobs").click()
    await page.get_by_role("button", name="Try all failed again").click()
    await expect(page.locator(".toasts button")).to_contain_text("2 jobs will be tried again")
    await expect(page.get_by_text("no server")).to_have_count(0)
    await expect(page.get_by_role("button", name="Try all failed again")).to_be_hidden()
    await conn.close()


async def test_a_sale_over_the_counter(product: Product, windows: Windows) -> None:
    """Seats for somebody at the window, who sees them sold on the map behind it; and one that somebody snatched."""
    make_admin(product)
    staff = await windows.open(f"{product.url}/admin", width=1024, height=900)
    await sign_in(staff)
    buyer = await windows.open(studio(product))
    await staff.goto(f"{product.url}/admin/events/{buyer.url.rpartition('/')[2]}/sell")
    await ready(buyer)
    for seat in (3, 4, 5):
        await press(staff, seat)
    await expect(staff.locator(".sale-seats li")).to_have_count(3)
    await click_seat(buyer, 5)
    await expect(staff.locator(".sale-seats li")).to_have_count(2)
    await expect(staff.locator(".toasts button")).to_contain_text("Somebody was faster")
    await shows(buyer, 3, AVAILABLE)

    await staff.get_by_label("Name").fill("Ada Lovelace")
    await staff.get_by_role("button", name="Sell 2 seats").click()
    sold = staff.get_by_role("link", name="2 seats for Ada Lovelace")
    await expect(sold).to_be_visible()
    await expect(staff.locator(".sale-seats li")).to_have_count(0)
    for seat in (3, 4):
        await shows(buyer, seat, BOOKED)
    await sold.click()
    await expect(staff.get_by_text("Sell", exact=True)).to_be_visible()


async def press(page: Page, seat: int) -> None:
    """Press a seat on a map of the box office."""
    await until(page, "(seat) => window.seatmap?.statusOf(seat) === 0", seat)
    point = await page.evaluate("(seat) => window.seatmap.pointOf(seat)", seat)
    await page.mouse.click(point["x"], point["y"])
