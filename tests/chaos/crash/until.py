"""Waiting for what happens by itself."""

import asyncio
from collections.abc import Awaitable, Callable

from seatmap.errors import SeatmapError
from tests.chaos.crash.people import PAUSE_S


async def until(happened: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            try:
                if await happened():
                    return
            except SeatmapError:
                pass
            await asyncio.sleep(PAUSE_S)
