"""A real browser against the product as a user starts it."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import async_playwright
from product import Product
from windows import Windows

HERE = Path(__file__).parent
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if CHROMIUM is None:
                item.add_marker(
                    pytest.mark.skip(reason="no Chromium here (on Debian: apt-get install chromium)")
                )


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One product per test module."""
    data = tmp_path_factory.mktemp("product") / "data"
    running = Product(data)
    running.start()
    yield running
    running.stop()
    shutil.rmtree(data)


@pytest.fixture
async def windows() -> AsyncIterator[Windows]:
    """Opens windows."""
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        opened = Windows(browser)
        yield opened
        await opened.close()
        await browser.close()
    assert opened.complaints == []
