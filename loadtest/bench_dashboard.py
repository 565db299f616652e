"""`dashboard`: what an open dashboard costs the web process, and the viewers, at 1,000 changes a second.

First before 50 viewers, whose delays are told seat by seat; then before 10,000, as on opening night.
"""

import asyncio
import time
from collections.abc import Callable

from loadtest.bench_fanout import AT_ONCE, MANY, at_rate, port_of
from loadtest.bench_screens import LATE_SECONDS, Wall
from loadtest.bench_site import Site, opened, viewers_key
from loadtest.client import Client, decode_reply
from loadtest.crowd import crowd
from loadtest.figures import Rounds
from loadtest.machine import busy
from seatmap.plan.demo import arena

SEATS, VIEWERS, CLICKERS, CHANGES_PER_S = 100_000, 50, 32, 1000
WARM_SECONDS, ROUND_SECONDS, ROUNDS = 2.0, 5.0, 5
CROWD_ROUNDS = 5
BASKET = 8  # seats that a clicker holds, one by one, before giving them back
TICK_SECONDS = 0.01
SETTLE_SECONDS = 1.0  # of a dashboard that has just been opened


class Clicker:
    """Somebody with seats of their own, so that nobody is refused for another's sake."""

    def __init__(self, client: Client, first: int) -> None:
        self._client = client
        self._next = first
        self._hold_id = b""
        self._held = 0

    async def change(self, clicked: dict[int, float]) -> None:
        """One change of the map: the next seat held, or the basket given back."""
        if self._held == BASKET:
            await self._client.ask(b'{"type":"release","id":"r","hold_id":"%s"}' % self._hold_id)
            self._held = 0
            return
        seat, self._next = self._next, self._next + 1
        clicked[seat] = time.perf_counter()
        reply = decode_reply(await self._client.ask(b'{"type":"hold","id":"h","seats":[%d]}' % seat))
        assert reply.mine is not None, reply
        self._hold_id, self._held = reply.mine.hold_id.encode(), self._held + 1


async def dashboard(site: Site, rounds: Rounds) -> None:
    """Rounds by turns without and with a dashboard, of a hall of 100,000 seats."""
    key = await viewers_key(site)
    await _few(site, rounds, key)
    async with (
        opened(site, arena(SEATS)) as event_id,
        crowd(port_of(site), f"/ws/events/{event_id}") as viewers,
    ):
        await viewers.ask("open", MANY, AT_ONCE)
        for _ in range(CROWD_ROUNDS):
            without = await at_rate(site, viewers, rounds, "crowd_without", CHANGES_PER_S)
            watcher = await Client.connect(site.url, event_id, key=key)
            await asyncio.sleep(SETTLE_SECONDS)
            watched = await at_rate(site, viewers, rounds, "crowd_with", CHANGES_PER_S)
            assert not watcher.closed, "the dashboard was cut off"
            watcher.close()
            rounds.add("crowd_p99_with_to_without", watched / without, "×", "≤ 1.2")


async def _few(site: Site, rounds: Rounds, key: str) -> None:
    async with opened(site, arena(SEATS)) as event_id:
        wall = Wall()
        clients = [await Client.connect(site.url, event_id) for _ in range(CLICKERS)]
        clickers = [Clicker(client, i * (SEATS // CLICKERS)) for i, client in enumerate(clients)]
        for _ in range(VIEWERS):
            record = wall.screen()
            clients.append(await Client.connect(site.url, event_id, _recorder(record)))
        await _click(clickers, WARM_SECONDS)
        for _ in range(ROUNDS):
            without = await _round(site, rounds, wall, clickers, "without")
            watcher = await Client.connect(site.url, event_id, key=key)
            await asyncio.sleep(SETTLE_SECONDS)
            watched = await _round(site, rounds, wall, clickers, "with")
            assert not watcher.closed, "the dashboard was cut off"
            watcher.close()
            rounds.add("dashboard_costs", watched - without, "% of a core", "≤ 10 %")
        for client in clients:
            client.close()


def _recorder(record: list[tuple[float, bytes]]) -> Callable[[bytes], None]:
    return lambda frame: record.append((time.perf_counter(), frame))


async def _round(site: Site, rounds: Rounds, wall: Wall, clickers: list[Clicker], name: str) -> float:
    """What the web process used, in % of a core."""
    wall.clear()
    before, own, all_before, began = site.cpu(), time.process_time(), busy(), time.perf_counter()
    clicked, changes = await _click(clickers, ROUND_SECONDS)
    seconds, after = time.perf_counter() - began, site.cpu()
    ours = sum(after.values()) - sum(before.values()) + time.process_time() - own
    others = (busy() - all_before - ours) / seconds * 100
    await asyncio.sleep(LATE_SECONDS)
    # A seat that was given back within one frame was never shown as held: those are not misses.
    delays, _ = wall.delays(clicked)
    web = (after["web"] - before["web"]) / seconds * 100
    rounds.add(f"{name}_others_busy", others, "% of a core", "0")
    rounds.add(f"{name}_changes_per_s", changes / seconds, "1/s", "1,000/s")
    rounds.add(f"{name}_web_busy", web, "% of a core")
    rounds.spread(f"{name}_click_to_screen", delays, "ms")
    return web


async def _click(clickers: list[Clicker], seconds: float) -> tuple[dict[int, float], int]:
    """(seat → when it was clicked, changes), at a steady pace as far as the answers let it."""
    free = asyncio.Queue[Clicker]()
    for clicker in clickers:
        free.put_nowait(clicker)
    clicked: dict[int, float] = {}
    tasks: set[asyncio.Task[None]] = set()
    changes = 0

    async def one(clicker: Clicker) -> None:
        await clicker.change(clicked)
        free.put_nowait(clicker)

    began = time.perf_counter()
    while (now := time.perf_counter() - began) < seconds:
        for _ in range(int(now * CHANGES_PER_S) - changes):
            tasks.add(asyncio.create_task(one(await free.get())))
            changes += 1
        tasks = {task for task in tasks if not task.done()}
        await asyncio.sleep(TICK_SECONDS)
    await asyncio.gather(*tasks)
    return clicked, changes
