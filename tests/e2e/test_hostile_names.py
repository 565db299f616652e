"""Row 29 of docs/security.md, in a browser: a name that is a script is text on every page that shows it."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from playwright.async_api import Page, expect
from product import Product
from test_admin import make_admin, sign_in
from windows import Windows

NAME = "<img src=x onerror=stolen=1><script>stolen=1</script>"
READY = "document.readyState === 'complete'"


def sell(product: Product, folder: Path) -> int:
    """An event in a hall all of whose names are hostile; its number."""
    seats = [
        {
            "seat_number": f"{i}{NAME}",
            "seat_guid": f"s{i}",
            "category": NAME,
            "position": {"x": 25 * i, "y": 0},
        }
        for i in range(6)
    ]
    row = {"row_number": NAME, "seats": seats, "position": {"x": 0, "y": 0}}
    area = {"shape": "text", "text": {"text": NAME, "size": 20}, "position": {"x": 0, "y": 60}}
    zone = {"name": NAME, "position": {"x": 50, "y": 50}, "rows": [row], "areas": [area]}
    plan = {
        "name": NAME,
        "categories": [{"name": NAME, "color": "#336699"}],
        "size": {"width": 400, "height": 300},
        "zones": [zone],
    }
    path = folder / "plan.json"
    path.write_text(json.dumps(plan))
    command = [sys.executable, "-m", "seatmap", "import-plan", str(path), "--event", NAME, "--json"]
    done = subprocess.run(
        command,
        env={**os.environ, "SEATMAP_DATA": str(product.data)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return int(json.loads(done.stdout)["event_id"])


async def harmless(page: Page) -> None:
    """The name is there to be read, and nothing of it ran."""
    await page.wait_for_function(READY)
    await expect(page.get_by_text(NAME, exact=False).first).to_be_attached()
    assert await page.evaluate("window.stolen") is None
    assert await page.locator("img[src='x']").count() == 0


async def test_a_hostile_name_is_shown_and_not_run(
    product: Product, windows: Windows, tmp_path: Path
) -> None:
    event = sell(product, tmp_path)
    async with asyncio.timeout(30):
        while True:  # until the running web has seen it
            if NAME in [listed["name"] for listed in product.events()]:
                break
            await asyncio.sleep(0.1)
    page = await windows.open(product.url)
    await harmless(page)
    await page.goto(f"{product.url}/events/{event}")
    await harmless(page)
    make_admin(product)
    await page.goto(f"{product.url}/admin")
    await sign_in(page)
    await harmless(page)
    for address in (f"/admin/events/{event}", f"/admin/events/{event}/live"):
        await page.goto(f"{product.url}{address}")
        await harmless(page)
    assert windows.complaints == []
