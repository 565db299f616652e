"""`fanout`: how soon thousands of viewers see a change, what that costs, and what the kernel alone would allow."""

import asyncio
import time
from statistics import median
from urllib.parse import urlsplit

from loadtest.bench_site import Site, opened
from loadtest.crowd import Crowd, crowd, limit, private_kib
from loadtest.figures import Rounds
from loadtest.machine import cpu_seconds
from seatmap.plan.demo import arena

SEATS, VIEWERS, MANY = 100_000, 5_000, 10_000
AT_ONCE = 64  # handshakes under way
MESSAGES, ROUNDS = 20, 3
SINGLE_ROUNDS = 9  # single messages are over in no time, and differ most
SECONDS = 5.0
STALLED, STALLED_SECONDS = 500, 25.0


async def fanout(site: Site, rounds: Rounds) -> None:
    """One change to 5,000 viewers beside a C loop, 200 a second, 500 that never read, 1,000 a second to 10,000."""
    async with (
        opened(site, arena(SEATS)) as event_id,
        crowd(port_of(site), f"/ws/events/{event_id}") as viewers,
    ):
        await viewers.ask("open", VIEWERS, AT_ONCE)
        with limit() as (port, pid):
            async with crowd(port, "/v", "text", "/pub") as others:
                await others.ask("open", VIEWERS, AT_ONCE)
                for _ in range(SINGLE_ROUNDS):
                    ours = await one_message(viewers, rounds, "one", site.pids["web"])
                    theirs = await one_message(others, rounds, "limit", pid)
                    rounds.add("one_of_the_limit", ours / theirs, "×", "≥ 0.80")
        for _ in range(ROUNDS):
            await at_rate(site, viewers, rounds, "rate_200", 200, "≤ 60", "≤ 200 ms")
        await with_stalled(site, viewers, rounds)
        await viewers.ask("open", MANY - VIEWERS, AT_ONCE)
        for _ in range(ROUNDS):
            await at_rate(site, viewers, rounds, "rate_1000", 1000, "≤ 90", "≤ 600 ms")


def port_of(site: Site) -> int:
    """The port that the site listens on."""
    return urlsplit(site.url).port or 80


async def one_message(viewers: Crowd, rounds: Rounds, name: str, pid: int) -> float:
    """Deliveries a second of single messages, each after a pause."""
    before = cpu_seconds(pid)
    told = await viewers.ask("one", MESSAGES)
    used = cpu_seconds(pid) - before
    reach = median(told["reach_ms"])
    per_s: float = told["viewers"] / reach * 1000
    rounds.add(f"{name}_reaches_all", reach, "ms")
    rounds.add(f"{name}_deliveries", per_s, "1/s")
    rounds.add(f"{name}_cpu", used / max(told["deliveries"], 1) * 1e6, "µs a delivery")
    return per_s


async def at_rate(
    site: Site, viewers: Crowd, rounds: Rounds, name: str, rate: int, core: str = "", p99: str = ""
) -> float:
    """The p99 of a change's way to the screens, at so many changes a second."""
    before, began = site.cpu(), time.perf_counter()
    told = await viewers.ask("rate", rate, SECONDS)
    after, seconds = site.cpu(), time.perf_counter() - began
    # Nothing happens in the second after the last change, for which stragglers are waited for.
    busy = (after["web"] - before["web"]) / min(seconds, SECONDS) * 100
    rounds.add(f"{name}_changes", told["changes_per_s"], "1/s", f"{rate:,}/s")
    rounds.add(f"{name}_web_busy", busy, "% of a core", core)
    rounds.add(f"{name}_p50", told["p50"], "ms")
    rounds.add(f"{name}_p99", told["p99"], "ms", p99)
    rounds.add(f"{name}_max", told["max"], "ms")
    rounds.add(f"{name}_lost", told["lost"], "viewers", "0")
    return float(told["p99"])


async def with_stalled(site: Site, viewers: Crowd, rounds: Rounds) -> None:
    """What 500 sockets that never read do to the others, to the memory, and how long they stay."""
    web = site.pids["web"]
    without = await at_rate(site, viewers, rounds, "before_stalled", 200)
    memory = private_kib(web)
    await viewers.ask("stall", STALLED)
    began = time.perf_counter()
    p99 = await at_rate(site, viewers, rounds, "with_stalled", 200)
    most = private_kib(web)
    while (await viewers.ask("stalled"))["alive"] and time.perf_counter() - began < STALLED_SECONDS:
        most = max(most, private_kib(web))
        await asyncio.sleep(0.25)
    rounds.add("stalled_gone_after", time.perf_counter() - began, "s", "≤ 10 s")
    rounds.add("stalled_p99", p99 / without, "×", "≤ 1.2")
    rounds.add("stalled_memory", (most - memory) / 1024, "MiB more", "flat")
