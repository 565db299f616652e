"""`memory` and `reconnect`: what an idle viewer costs, and how long until a whole crowd is back."""

import asyncio
import time
from typing import Any

import redis.asyncio

from loadtest.bench_fanout import AT_ONCE, MANY, SEATS, port_of
from loadtest.bench_site import Site, get, opened
from loadtest.crowd import Crowd, crowd, private_kib
from loadtest.figures import Rounds
from loadtest.machine import cpu_seconds
from seatmap.plan.demo import arena

FIRST, MORE, ROUNDS = 4_000, 4_000, 3
FEW = 1_000
SETTLE_SECONDS = 2.0
AWAY_CHANGES, AWAY_SECONDS = 100, 2.0


async def memory(site: Site, rounds: Rounds) -> None:
    """Private memory for each of the next 4,000 viewers, and how many handshakes a second there were."""
    async with (
        opened(site, arena(SEATS)) as event_id,
        crowd(port_of(site), f"/ws/events/{event_id}") as viewers,
    ):
        await per_viewer(viewers, rounds, "seatmap", site.pids["web"], "≤ 6 KiB", "≥ 2,500/s")


async def per_viewer(
    viewers: Crowd, rounds: Rounds, name: str, pid: int, kib: str = "", handshakes: str = ""
) -> None:
    """Open more and more viewers; the first fill up what the process had left over."""
    await viewers.ask("open", FIRST, AT_ONCE)
    for _ in range(ROUNDS):
        await asyncio.sleep(SETTLE_SECONDS)
        before, used = private_kib(pid), cpu_seconds(pid)
        told = await viewers.ask("open", MORE, AT_ONCE)
        used = cpu_seconds(pid) - used
        await asyncio.sleep(SETTLE_SECONDS)
        rounds.add(f"{name}_per_viewer", (private_kib(pid) - before) / MORE, "KiB private", kib)
        rounds.add(f"{name}_handshakes", MORE / told["handshake_s"], "1/s", handshakes)
        rounds.add(f"{name}_per_handshake", used / MORE * 1e6, "µs")


async def reconnect(site: Site, rounds: Rounds) -> None:
    """10,000 viewers come back at once after changes that they missed; then 1,000, for Redis' share."""
    async with (
        opened(site, arena(SEATS)) as event_id,
        crowd(port_of(site), f"/ws/events/{event_id}") as viewers,
    ):
        store = redis.asyncio.Redis.from_url(site.settings.redis_url)
        try:
            for name, count in (("few", FEW), ("all", MANY - FEW)):
                await viewers.ask("open", count, AT_ONCE)
                for _ in range(ROUNDS):
                    await _come_back(site, event_id, viewers, rounds, name, store)
        finally:
            await store.aclose()


async def _come_back(
    site: Site, event_id: int, viewers: Crowd, rounds: Rounds, name: str, store: redis.asyncio.Redis
) -> None:
    await viewers.ask("rate", AWAY_CHANGES, 1.0)  # so that each has a position
    await viewers.ask("drop")
    await viewers.ask("rate", AWAY_CHANGES, AWAY_SECONDS)
    head = _version(await asyncio.to_thread(get, f"{site.url}/api/events/{event_id}/seats?compact=1"))
    before, began = await _commands(store), time.perf_counter()
    await asyncio.sleep(SETTLE_SECONDS)
    always = (await _commands(store) - before) / (time.perf_counter() - began)  # head checks and the like
    before, used = await _commands(store), site.cpu()["web"]
    told = await viewers.ask("return", MANY)
    commands, used = await _commands(store) - before, site.cpu()["web"] - used
    wrong = told["returned"] if told["lowest"] < head else 0
    rounds.add(f"{name}_back_after", told["seconds"], "s", "≤ 8 s" if name == "all" else "")
    rounds.add(f"{name}_p50", told["p50"] / 1000, "s")
    rounds.add(f"{name}_p99", told["p99"] / 1000, "s")
    rounds.add(f"{name}_on_an_old_map", wrong + told["returned"] - told["shown"], "viewers", "0")
    rounds.add(f"{name}_refused", told["lost"], "viewers", "0")
    rounds.add(f"{name}_web_used", used, "s of a core")
    more = (commands - always * told["seconds"]) / told["returned"]
    rounds.add(f"{name}_redis_commands", more, "a viewer", "0")


async def _commands(store: redis.asyncio.Redis) -> int:
    info: dict[str, Any] = await store.info("stats")
    return int(info["total_commands_processed"])


def _version(seats: Any) -> int:
    return int(seats["version"])
