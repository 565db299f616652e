"""The matrix: every failpoint × what happens there × the operations that pass through it."""

import asyncio
import time
import traceback
from collections.abc import Iterator, Sequence

from msgspec import Struct

from tests.chaos.crash.cell import ACTIONS, Bench, Cell, Seen
from tests.chaos.crash.checks import check
from tests.chaos.crash.scenarios import SCENARIOS

AT_ONCE = 6  # cells; most of a cell's time is spent waiting for somebody to notice something


class Spot(Struct, frozen=True):
    """A cell's place in the matrix."""

    scenario: str
    point: str
    action: str

    def __str__(self) -> str:
        return f"{self.scenario}: {self.point}={self.action}"


def spots(scenarios: Sequence[str] = tuple(SCENARIOS)) -> list[Spot]:
    return list(_spots(scenarios))


def _spots(scenarios: Sequence[str]) -> Iterator[Spot]:
    for name in scenarios:
        for point in SCENARIOS[name].points:
            for action in ACTIONS:
                yield Spot(name, point, action)


async def run_spot(bench: Bench, spot: Spot) -> Seen:
    """One cell. Raises AssertionError where a promise is broken or the failpoint is not reached."""
    scenario = SCENARIOS[spot.scenario]
    async with Cell(bench, spot.point, spot.action, scenario.armed, dict(scenario.settings)) as cell:
        cell.at_the_hit = scenario.meanwhile
        await scenario.play(cell)
        await check(cell)
        return cell.seen


class Total(Struct):
    """What many cells came to."""

    cells: int = 0
    orders: int = 0
    unknown: int = 0
    in_flight: int = 0
    settled_s: float = 0.0
    healed_s: float = 0.0
    seconds: float = 0.0
    broken: list[str] = []

    def add(self, seen: Seen) -> None:
        self.cells += 1
        self.orders += seen.orders
        self.unknown += seen.unknown
        self.in_flight += seen.in_flight
        self.settled_s = max(self.settled_s, seen.settled_s)
        self.healed_s = max(self.healed_s, seen.healed_s)


async def run_all(bench: Bench, wanted: Sequence[Spot], *, tell: bool = False) -> Total:
    """Many cells, a few at once."""
    total, turns, started = Total(), asyncio.Semaphore(AT_ONCE), time.monotonic()

    async def one(spot: Spot) -> None:
        async with turns:
            began = time.monotonic()
            try:
                seen = await run_spot(bench, spot)
            except Exception:
                total.broken.append(f"{spot}: {traceback.format_exc()}")
                word = "BROKEN"
            else:
                total.add(seen)
                word = "ok"
            if tell:
                print(f"{word:6} {time.monotonic() - began:5.1f} s  {spot}", flush=True)  # noqa: T201
                if word == "BROKEN":
                    print(total.broken[-1], flush=True)  # noqa: T201

    async with asyncio.TaskGroup() as tasks:
        for spot in wanted:
            tasks.create_task(one(spot))
    total.seconds = time.monotonic() - started
    return total
