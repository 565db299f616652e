"""Many seeds, on several processes that each have a server of their own."""

import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seatmap.embedded import Embedded
from tests.simulation.redis_world import RealServer
from tests.simulation.run_context import RARE
from tests.simulation.simulate import Outcome, simulate

ENOUGH = 2000  # seeds that must have met every rare state
MEMORY = Path("/dev/shm")
SHOWN = 3  # violations of a seed that are printed
FAILED_MAX = 5  # seeds of one process that may fail; what is wrong is known by then


@dataclass
class Summary:
    """What many runs did. `failed` has the seeds that broke a promise."""

    seeds: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    rare: Counter[str] = field(default_factory=Counter)
    failed: list[int] = field(default_factory=list)

    def add(self, other: "Summary | Outcome") -> None:
        """Count another's as well."""
        self.operations += other.operations
        self.faults += other.faults
        self.rare += other.rare
        if isinstance(other, Summary):
            self.seeds += other.seeds
            self.failed += other.failed
        else:
            self.seeds += 1
            self.failed += [other.seed] if other.violations else []

    @property
    def unseen(self) -> list[str]:
        """Rare states that so many seeds should have met, and did not."""
        return [name for name in RARE if not self.rare[name]] if self.seeds >= ENOUGH else []

    @property
    def good(self) -> bool:
        return not self.failed and not self.unseen

    def lines(self, took_s: float) -> list[str]:
        """The last of them sums up."""
        kinds = {name: count for name, count in self.faults.items() if name != "none"}
        orders = sum(count for name, count in self.operations.items() if name.startswith("verdict"))
        lines = [
            "faults: " + _listed(kinds),
            "rare states: " + _listed({name: self.rare[name] for name in RARE}),
        ]
        lines += [f"{seed} broke a promise: {command(seed)}" for seed in self.failed[:20]]
        if self.unseen:
            lines.append(f"too little was met to prove anything: {', '.join(self.unseen)}")
        seen = sum(1 for name in RARE if self.rare[name])
        lines.append(
            f"{self.seeds} seeds in {took_s:.0f} s: {sum(self.operations.values())} operations, {orders} verdicts, "
            f"{sum(kinds.values())} faults of {len(kinds)} kinds, {self.faults['process killed']} crashes, "
            f"{self.rare['an answer to a book was unknown']} unknown outcomes, {seen} of {len(RARE)} rare states; "
            f"{len(self.failed)} seeds broke a promise"
        )
        return lines


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def command(seed: int) -> str:
    """What replays a seed."""
    return f"python -m tests.simulation --seed {seed} --trace"


def on_a_server(
    seeds: Sequence[int], show: Callable[[str], None] | None = None
) -> tuple[Summary, list[Outcome]]:
    """Run seeds one after the other on a private server; their sum, and those that broke a promise."""
    summary, bad = Summary(), []
    folder = Path(tempfile.mkdtemp(prefix="seatmap-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
    try:
        with Embedded(folder, postgres=False) as servers:
            real = RealServer(str(servers.places.valkey_socket))
            for seed in seeds:
                outcome = simulate(seed, real, show)
                summary.add(outcome)
                if outcome.violations:
                    bad.append(outcome)
                    _complain(outcome)
                if len(bad) >= FAILED_MAX:
                    break
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return summary, bad


def _complain(outcome: Outcome) -> None:
    for line in outcome.violations[:SHOWN]:
        sys.stdout.write(f"seed {outcome.seed}: {line}\n")
    sys.stdout.flush()


def run_many(first: int, count: int, jobs: int) -> tuple[Summary, float]:
    """Run seeds from `first` on; what they did, and the seconds that took."""
    began = time.perf_counter()
    seeds = range(first, first + count)
    shares = [seeds[job::jobs] for job in range(jobs)]
    total = Summary()
    if jobs == 1:
        total.add(on_a_server(seeds)[0])
    else:
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            for summary, _ in pool.imap_unordered(on_a_server, shares):
                total.add(summary)
    return total, time.perf_counter() - began
