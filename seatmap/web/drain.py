"""Sending everybody away before the process ends: in turn, and told over which time to spread their return."""

import asyncio
from collections.abc import Sequence

from websockets.frames import CloseCode

from seatmap.web.screens import DirectScreen

PAGES_PER_S = 2000  # about what one process can welcome
AT_ONCE = 50
LONGEST_SECONDS = 5.0


async def drain(screens: Sequence[DirectScreen], reconnect_ms: int) -> None:
    """Close all; the reason is the window in ms over which a page that comes back should choose its moment."""
    seconds = len(screens) / PAGES_PER_S
    window_ms = max(reconnect_ms, round(seconds * 1000))
    pause = min(seconds, LONGEST_SECONDS) * AT_ONCE / max(len(screens), 1)
    for first in range(0, len(screens), AT_ONCE):
        for screen in screens[first : first + AT_ONCE]:
            screen.close(CloseCode.SERVICE_RESTART, str(window_ms))
        await asyncio.sleep(pause if first + AT_ONCE < len(screens) else 0)
