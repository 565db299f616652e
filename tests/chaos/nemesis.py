"""The nemesis: one fault after the other, sometimes two at once, every kind as often as the others, by a seed."""

import asyncio
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import asyncpg

from tests.chaos.faults import FAILPOINT_KINDS, LINK_KINDS, PROCESS_KINDS, Hands, Kind
from tests.chaos.history import Fault, History, now
from tests.chaos.store_faults import CLOCK_KINDS, STORE_KINDS

PAUSE = (0.1, 0.7)  # seconds between two faults
TOGETHER = 0.3  # how often the next fault does not wait for the end of the last
AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, IndexError)
FAULT_SECONDS = 90.0  # after which a fault that has not been mended is a failure of the suite


class Nemesis:
    """Does faults until it is stopped, and then returns when the last one is mended."""

    def __init__(self, hands: Hands, history: History, *, clock: bool) -> None:
        self.counts: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()  # faults that could not be made
        self.stopping = False
        self.calm = asyncio.Event()  # cleared: no new fault
        self.calm.set()
        self._hands = hands
        self._history = history
        self._kinds = [*PROCESS_KINDS, *FAILPOINT_KINDS, *LINK_KINDS, *STORE_KINDS]
        self._kinds += CLOCK_KINDS if clock else []
        self._deck: list[Kind] = []
        self._under_way: dict[asyncio.Task[None], Kind] = {}

    async def run(self) -> None:
        chance = self._hands.chance
        while not self.stopping:
            await self.calm.wait()
            kind = await self._next()
            task = asyncio.create_task(self._do(kind))
            self._under_way[task] = kind
            if chance.random() > TOGETHER:
                await self.idle()
            await self._hands.nap(*PAUSE)
        await self.idle()

    async def idle(self) -> None:
        """Returns when every fault is mended. Raises what went wrong with one."""
        while self._under_way:
            await self._wait()

    async def _next(self) -> Kind:
        """The next of a shuffled deck of all kinds that touches nothing which is being touched."""
        while True:
            if not self._deck:
                self._deck = list(self._kinds)
                self._hands.chance.shuffle(self._deck)
            touched = frozenset().union(*(kind.touches for kind in self._under_way.values()))
            for at, kind in enumerate(self._deck):
                if not kind.touches & touched:
                    return self._deck.pop(at)
            await self._wait()

    async def _wait(self) -> None:
        done, _ = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if self._under_way.pop(task, None) is not None:  # two may be waiting
                task.result()

    async def _do(self, kind: Kind) -> None:
        begin = now()
        try:
            async with asyncio.timeout(FAULT_SECONDS):
                target = await kind.act(self._hands)
        except AWAY:
            self.missed[kind.name] += 1  # a store was still too busy with what had been done to it before
            return
        self._history.add(Fault(begin, now(), kind.name, target, kind.loses, kind.clock))
        self.counts[kind.name] += 1


def compile_shim(folder: Path) -> Path | None:
    """The library that pushes Redis' clock; None where it cannot be had, which is said."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "clk.so"
    source = Path(__file__).parent / "clk.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source)], check=True)
    library.chmod(0o755)
    return library
