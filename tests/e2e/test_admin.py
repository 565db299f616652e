"""An opening night in a browser: an admin makes an event and sells it, and what staff do is seen at once."""

import os
import re
import subprocess
import sys

from playwright.async_api import Page, expect
from product import Product
from test_story import AVAILABLE, BOOKED, HELD, book, click_seat, ready, shows, until
from windows import Windows

BLOCKED = 3
EMAIL, PASSWORD = "grace@example.org", "opening night at eight"


def make_admin(product: Product) -> None:
    """As the operator does it, on the running product."""
    environ = {**os.environ, "SEATMAP_DATA": str(product.data)}
    subprocess.run(
        [
            sys.executable,
            "-m",
            "seatmap",
            "create-admin",
            EMAIL,
            "--name",
            "Grace Hopper",
            "--password-stdin",
        ],
        input=f"{PASSWORD}\n".encode(),
        env=environ,
        check=True,
        timeout=60,
    )


async def sign_in(page: Page) -> None:
    """Whoever wants into the box office is asked who they are, and is let in."""
    await page.get_by_label("Email").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Events")).to_be_visible()


async def make_event(page: Page) -> int:
    """From the empty form to a draft with a map; its number."""
    await page.get_by_role("link", name="New event").click()
    await page.get_by_label("Name", exact=True).fill("The Tempest, first night")
    await page.get_by_label("Venue", exact=True).fill("Old Mill")
    await page.get_by_label("Begins").fill("2030-05-01T19:30")
    await page.get_by_label("Time zone").fill("Europe/Berlin")
    await page.get_by_label("Rows", exact=True).fill("4")
    await page.get_by_label("Seats per row").fill("8")
    await expect(page.get_by_text("4 rows of 8: 32 seats")).to_be_visible()
    await expect(page.locator("[x-ref=map] [role=gridcell]").first).to_have_attribute(
        "aria-label", re.compile("row A, seat 1")
    )
    await page.get_by_role("button", name="Make the draft").click()
    await expect(page.locator("#plan-map canvas").first).to_be_visible()
    return int(page.url.rpartition("/")[2])


async def answer(page: Page, button: str, reason: str = "") -> None:
    """Answer the question on the page."""
    question = page.get_by_role("dialog")
    if reason:
        await question.get_by_label("Reason").fill(reason)
    await question.get_by_role("button", name=button).click()
    await expect(question).to_have_count(0)


async def choose_area(page: Page, first: int, last: int) -> None:
    """Draw a rectangle around two seats."""
    await until(page, "() => window.seatmap !== undefined")
    await page.get_by_role("button", name="Choose an area").click()
    begin = await page.evaluate("(seat) => window.seatmap.pointOf(seat)", first)
    end = await page.evaluate("(seat) => window.seatmap.pointOf(seat)", last)
    await page.mouse.move(begin["x"] - 12, begin["y"] - 12)
    await page.mouse.down()
    await page.mouse.move(end["x"] + 12, end["y"] + 12, steps=6)
    await page.mouse.up()


async def refund(page: Page, buyer: Page, event_page: str) -> None:
    """Find the only order of the event, take its two seats back one by one, and return to the event."""
    await page.locator(".page-head").get_by_role("link", name="Orders").click()
    await page.get_by_role("searchbox").fill("Lovelace")
    await expect(page.locator("tbody")).to_contain_text("51")
    await page.locator("tbody .row-link").click()
    await take_back(page, "Stalls, row A, seat 3")
    await page.get_by_role("button", name="Mark as paid").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Was €25.50 paid?")
    await answer(page, "Not yet")

    event = buyer.url
    await buyer.goto(event.partition("/events/")[0] + "/bookings")
    await expect(buyer.locator(".order-seats li")).to_have_count(1)
    await expect(buyer.locator(".order-seats")).to_contain_text("row A, seat 4")
    await expect(buyer.locator(".order-sum")).to_contain_text("25.50")
    await buyer.goto(event)
    await ready(buyer)
    await shows(buyer, 2, AVAILABLE)

    await take_back(page, "Stalls, row A, seat 4")
    await expect(page.locator(".head-line .state")).to_have_text("Cancelled")
    await page.goto(event_page)
    await expect(page.locator("#plan-map canvas").first).to_be_visible()


async def take_back(page: Page, seat: str) -> None:
    """Refund one seat of the order that the page shows."""
    await page.get_by_label(seat).check()
    await page.get_by_role("button", name="Refund 1 chosen").click()
    await answer(page, "Refund", "She is ill")
    await expect(page.locator("tr.is-cancelled", has_text=seat)).to_have_count(1)


async def test_an_opening_night(product: Product, windows: Windows) -> None:
    make_admin(product)
    staff = await windows.open(f"{product.url}/admin", width=1440, height=900)
    await sign_in(staff)
    event = await make_event(staff)

    await staff.get_by_label("Price of Standard").fill("25.50")
    await staff.get_by_label("Free", exact=True).uncheck()
    await staff.get_by_label("At the door").check()
    await staff.get_by_role("button", name="Save changes").click()
    await expect(staff.get_by_role("button", name="Saved", exact=True)).to_be_visible()
    await choose_area(staff, 24, 25)
    await expect(staff.locator(".chosen")).to_have_text("2 chosen")
    await staff.get_by_role("button", name="Block", exact=True).click()
    await shows(staff, 24, BLOCKED)
    await staff.get_by_role("button", name="Publish").click()
    await answer(staff, "Publish")

    buyer = await windows.open(f"{product.url}/events/{event}")
    await ready(buyer)
    await shows(buyer, 25, BLOCKED)
    await click_seat(buyer, 3)
    await shows(staff, 3, HELD)
    await expect(buyer.locator(".basket .total")).to_contain_text("25.50")
    await click_seat(buyer, 2)
    await expect(buyer.locator(".basket .items li")).to_have_count(2)
    await book(buyer)
    await shows(staff, 3, BOOKED)

    await choose_area(staff, 3, 4)
    await staff.get_by_role("button", name="Block", exact=True).click()
    await expect(staff.locator(".refused")).to_contain_text("row A, seat 4: sold")
    await shows(buyer, 4, BLOCKED)
    await staff.get_by_role("button", name="Clear").click()

    await refund(staff, buyer, f"{product.url}/admin/events/{event}")
    await shows(buyer, 3, AVAILABLE)

    await staff.get_by_role("button", name="Pause the sale").click()
    await answer(staff, "Pause the sale")
    await expect(buyer.get_by_text("Sales are paused for a moment")).to_be_visible()
    await staff.get_by_role("button", name="Resume the sale").click()
    await expect(buyer.get_by_text("Sales are paused for a moment")).to_be_hidden()
    await click_seat(buyer, 10)
    await shows(staff, 10, HELD)
    await click_seat(buyer, 10)
    await shows(staff, 10, AVAILABLE)

    await staff.get_by_role("button", name="Cancel the event").click()
    await answer(staff, "Cancel the event", "The mill is flooded")
    await expect(buyer.get_by_text("This event has been cancelled")).to_be_visible()

    await staff.get_by_role("link", name="Audit").click()
    await expect(staff.get_by_text("The mill is flooded")).to_be_visible()
