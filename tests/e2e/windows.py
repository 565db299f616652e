"""Browser windows, as many visitors have them."""

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, expect

WAIT_MS = 30_000  # for what a page shows in the end, on a machine that may be busy
expect.set_options(timeout=WAIT_MS)


class Windows:
    """Browser windows of different visitors. Whatever a page complains about fails the test."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    async def open(self, url: str, *, width: int = 1280, height: int = 800, dark: bool = False) -> Page:
        """A window of a visitor who was never here."""
        context = await self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            has_touch=width < 600,
        )
        self._contexts.append(context)
        page = await context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("console", self._listen)
        await page.goto(url)
        return page

    def _listen(self, message: ConsoleMessage) -> None:
        # A site that is away makes the browser itself complain, whatever the page does.
        if message.type in ("error", "warning") and "net::ERR_CONNECTION_" not in message.text:
            self.complaints.append(message.text)

    async def close(self) -> None:
        """Close all of them."""
        for context in self._contexts:
            await context.close()
