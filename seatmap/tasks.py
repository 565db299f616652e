"""Ending tasks for sure.

Until Python 3.12 `asyncio.wait_for`, which several libraries use, may swallow a cancellation that comes just as its
work is done. A loop that was cancelled once then goes on for ever, and whoever waits for its end with it.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any

AGAIN_SECONDS = 0.5


async def end(tasks: Iterable[asyncio.Task[Any]], *, again_s: float = AGAIN_SECONDS) -> None:
    """Cancel tasks until they are done. What they raise is not told: they are at their end."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=again_s)
        for task in done:
            if not task.cancelled():
                task.exception()


async def together(*works: Awaitable[None]) -> None:
    """Run what never ends by itself; when one fails, or this is cancelled, all are ended."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        await end(tasks)
