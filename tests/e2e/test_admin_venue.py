"""An event's venue in the editor: wheelchair places, another plan, a category less, all while a buyer looks on."""

from playwright.async_api import Page, expect
from product import Product
from test_admin import BLOCKED, answer, choose_area, make_admin, make_event, sign_in
from test_story import AVAILABLE, click_seat, ready, shows, until
from windows import Windows

CHANGE = """async ([event, change]) => {
    const headers = { "content-type": "application/json" }
    const done = await fetch(`/api/admin/events/${event}`, { method: "PATCH", headers, body: JSON.stringify(change) })
    if (!done.ok) throw new Error(await done.text())
}"""


async def save(page: Page) -> None:
    await page.get_by_role("button", name="Save changes").click()
    await expect(page.get_by_role("button", name="Saved", exact=True)).to_be_visible()


async def keep_places(staff: Page, first: int, last: int) -> None:
    """Mark seats on the map as wheelchair places and keep them for years."""
    await choose_area(staff, first, last)
    await staff.get_by_role("button", name="Wheelchair place", exact=True).click()
    await expect(staff.get_by_text("2 places marked.", exact=False)).to_be_visible()
    await staff.get_by_label("Wheelchair places kept until").fill("2030-04-24T10:00")
    await save(staff)


async def test_the_venue_of_an_event_is_changed_while_a_buyer_looks(
    product: Product, windows: Windows
) -> None:
    make_admin(product)
    staff = await windows.open(f"{product.url}/admin", width=1440, height=900)
    await sign_in(staff)
    event = await make_event(staff)  # 4 rows of 8
    await keep_places(staff, 0, 1)
    await save_beside_a_colleague(staff, event)
    await staff.get_by_role("button", name="Publish").click()
    await answer(staff, "Publish")

    buyer = await windows.open(f"{product.url}/events/{event}")
    await ready(buyer)
    await shows(buyer, 1, BLOCKED)
    await click_seat(buyer, 1)
    words = "Stalls, row A, seat 2: wheelchair place, kept until Wed 24 Apr 2030, 10:00"
    await expect(buyer.locator(".toasts")).to_contain_text(words)
    cell = buyer.locator("[role=gridcell][tabindex='0']")
    await cell.focus()
    await buyer.keyboard.press("Control+Home")
    await until(
        buyer,
        "() => document.activeElement.getAttribute('aria-label')?.includes('wheelchair place, kept until')",
    )

    await staff.get_by_role("button", name="Add a category").click()
    await staff.get_by_label("Name of the category").last.fill("Box")
    await staff.locator("input[name=category_price]").last.fill("90")
    await save(staff)
    await choose_area(staff, 8, 9)
    await staff.get_by_label("Give the chosen seats a category").select_option(label="Box")
    await expect(buyer.locator(".chip", has_text="Box")).to_contain_text("2 left")
    await staff.get_by_role("button", name="Take away Box").click()
    await answer(staff, "Take it away")
    await expect(buyer.locator(".chip", has_text="Box")).to_have_count(0)

    await ready(buyer)
    await click_seat(buyer, 7)
    await expect(buyer.locator(".basket .items li")).to_have_count(1)
    await change_plan(staff, rows=6, columns=7)
    await expect(staff.locator(".toasts")).to_contain_text("row A, seat 8 (held)")
    refusal = windows.complaints.pop()  # the browser's own, of any answer that is no success
    assert "409 (Conflict)" in refusal
    await click_seat(buyer, 7)
    await shows(staff, 7, AVAILABLE)
    await change_plan(staff, rows=6, columns=7)
    await expect(staff.locator(".toasts")).to_contain_text("The plan is another one now")
    await until(buyer, "() => window.seatmap?.statusOf(43) === 0")  # 32 seats, and 14 more of two new rows
    await shows(buyer, 7, BLOCKED)
    await shows(buyer, 0, BLOCKED)
    await ready(buyer)
    await click_seat(buyer, 43)
    await expect(buyer.locator(".basket .items li")).to_contain_text("Row F")


async def save_beside_a_colleague(page: Page, event: int) -> None:
    """A description is corrected on a page that is older than what a colleague changed, a price among it."""
    await page.evaluate(CHANGE, [event, {"name": "The Tempest, by a colleague", "fee_per_seat": 125}])
    await expect(page.get_by_role("heading", name="by a colleague")).to_be_visible()
    await page.get_by_label("Description").fill("A storm.")
    await save(page)
    await expect(page.get_by_label("Fee per seat")).to_have_value("1.25")
    await expect(page.get_by_label("Name", exact=True)).to_have_value("The Tempest, by a colleague")
    await expect(page.get_by_label("Description")).to_have_value("A storm.")


async def change_plan(page: Page, *, rows: int, columns: int) -> None:
    """Ask for rows and columns instead of what there is."""
    await page.get_by_role("button", name="Change plan…").click()
    question = page.get_by_role("dialog")
    await question.locator("select[name=plan]").select_option("grid")
    await question.locator("input[name=rows]").fill(str(rows))
    await question.locator("input[name=columns]").fill(str(columns))
    await answer(page, "Change the plan")


async def test_a_draft_is_copied_deleted_and_restored(product: Product, windows: Windows) -> None:
    staff = await windows.open(f"{product.url}/admin", width=820, height=1180, dark=True)
    await sign_in(staff)
    await make_event(staff)
    await keep_places(staff, 0, 1)
    original = staff.url
    await staff.get_by_role("button", name="Duplicate").click()
    await staff.wait_for_url(lambda url: url != original)
    await expect(staff.get_by_role("heading", name="The Tempest, first night (copy)")).to_be_visible()
    await expect(staff.get_by_text("2 places marked.", exact=False)).to_be_visible()
    await expect(staff.get_by_label("Wheelchair places kept until")).to_have_value("2030-04-24T10:00")
    await staff.get_by_label("Currency").fill("chf")
    await save(staff)
    await expect(staff.get_by_label("Currency")).to_have_value("CHF")
    copy = staff.url
    await staff.get_by_role("button", name="Delete…").click()
    await answer(staff, "Delete")
    await expect(staff.get_by_role("heading", name="Events")).to_be_visible()
    await expect(staff.get_by_role("link", name="(copy)", exact=False)).to_have_count(0)
    await staff.goto(copy)
    await staff.get_by_role("button", name="Restore").click()
    await expect(staff.locator(".head-line .state")).to_have_text("Draft")
