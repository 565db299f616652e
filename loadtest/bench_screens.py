"""`screens` and `stampede`: how soon others see a click, and how soon a hundred rivals have their answers."""

import asyncio
import struct
import time

from loadtest.bench_site import Site, opened
from loadtest.client import Client, decode_reply
from loadtest.figures import Rounds
from seatmap.model import Status
from seatmap.plan.demo import studio, theatre
from seatmap.protocol import CHANGE
from seatmap.simulate import simulate

VIEWERS, CLICKS_PER_S, CLICKERS = 200, 50, 16
SECONDS, ROUNDS = 5.0, 5
LATE_SECONDS = 1.0  # how long after the last click frames are waited for
RIVALS, FIGHTS = 100, 11


class Wall:
    """All the viewers' screens: when each got which frame. Frames are looked into only after the round."""

    def __init__(self) -> None:
        self._frames: list[list[tuple[float, bytes]]] = []

    def screen(self) -> list[tuple[float, bytes]]:
        """A new screen's record."""
        record: list[tuple[float, bytes]] = []
        self._frames.append(record)
        return record

    def clear(self) -> None:
        for record in self._frames:
            record.clear()

    def delays(self, clicked: dict[int, float]) -> tuple[list[float], int]:
        """(ms from each click to each screen, how many screens missed a click)."""
        found: list[float] = []
        missed = 0
        seats_of: dict[bytes, list[int]] = {}
        for record in self._frames:
            left = dict(clicked)
            for when, frame in record:
                if frame[0] != CHANGE:
                    continue
                if frame not in seats_of:
                    entries = struct.unpack_from(f"<{(len(frame) - 16) // 4}I", frame, 16)
                    seats_of[frame] = [entry >> 8 for entry in entries if entry & 0xFF == Status.held]
                shown = [seat for seat in seats_of[frame] if seat in left]
                found.extend((when - left.pop(seat)) * 1000 for seat in shown)
            missed += len(left)
        return found, missed


async def screens(site: Site, rounds: Rounds) -> None:
    """200 viewers of a theatre; visitors hold 50 seats a second."""
    async with opened(site, theatre()) as event_id:
        wall = Wall()
        viewers = [await viewer(site, event_id, wall) for _ in range(VIEWERS)]
        clickers = [await Client.connect(site.url, event_id) for _ in range(CLICKERS)]
        await click(clickers, 1.0)
        for _ in range(ROUNDS):
            await give_back(clickers)
            wall.clear()
            before, began = site.cpu()["web"], time.perf_counter()
            clicked = await click(clickers, SECONDS)
            seconds = time.perf_counter() - began
            web = site.cpu()["web"] - before
            await asyncio.sleep(LATE_SECONDS)
            delays, missed = wall.delays(clicked)
            rounds.spread("click_to_screen", delays, "ms", target_p99="p99 ≤ 150 ms")
            rounds.add("click_to_screen_max", max(delays), "ms")
            rounds.add("clicks_per_s", len(clicked) / seconds, "1/s")
            rounds.add("missed", missed, "screens")
            rounds.add("web_busy", web / seconds * 100, "% of a core")
        for client in [*viewers, *clickers]:
            client.close()


async def viewer(site: Site, event_id: int, wall: Wall) -> Client:
    """A page whose frames are recorded."""
    record = wall.screen()
    return await Client.connect(site.url, event_id, lambda frame: record.append((time.perf_counter(), frame)))


async def click(clickers: list[Client], seconds: float) -> dict[int, float]:
    """Seat → when it was clicked, at a steady pace, whether or not the answers have come."""
    free = asyncio.Queue[Client]()
    for clicker in clickers:
        free.put_nowait(clicker)
    clicked: dict[int, float] = {}
    tasks: set[asyncio.Task[None]] = set()

    async def one(seat: int) -> None:
        clicker = await free.get()
        clicked[seat] = time.perf_counter()
        reply = await clicker.ask(b'{"type":"hold","id":"h","seats":[%d]}' % seat)
        if b'"error"' in reply:
            del clicked[seat]
        free.put_nowait(clicker)

    began = time.perf_counter()
    for number in range(int(seconds * CLICKS_PER_S)):
        await asyncio.sleep(max(0.0, began + number / CLICKS_PER_S - time.perf_counter()))
        tasks.add(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    return clicked


async def give_back(clickers: list[Client]) -> None:
    """Have nobody hold anything, and the screens show it."""
    for clicker in clickers:
        # A hold of a seat that one has answers what one has; the seat itself is beside the point.
        mine = decode_reply(await clicker.ask(b'{"type":"mine","id":"m"}')).mine
        if mine is not None and mine.hold_id:
            await clicker.ask(b'{"type":"release","id":"r","hold_id":"%s"}' % mine.hold_id.encode())
    await asyncio.sleep(LATE_SECONDS)


async def stampede(site: Site, rounds: Rounds) -> None:
    """100 buyers ask for one seat at the same moment; a new seat each time, the first time to warm up."""
    async with opened(site, studio()) as event_id:
        for seat in range(FIGHTS + 1):
            result = await simulate(site.settings, event_id, str(seat), users=RIVALS, url=site.url)
            if seat == 0:
                continue
            rounds.add("winners", result.winners, "users", "1")
            rounds.add("answered", result.users - result.unanswered, "users", "100")
            rounds.add("median_answer", result.median_ms, "ms")
            rounds.add("last_answer", result.last_ms, "ms", "≤ 250 ms")
            rounds.add("active_bookings", result.active_bookings, "bookings", "1")
