"""What all parts of one run share: its seed's random numbers, its loop, the weather, the trace and the counts."""

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.loop import SimLoop

# What many seeds must have met, or they prove little.
RARE = (
    "a booking met its tombstone",
    "a command of somebody who is gone was carried out",
    "a hold ended with a rebuild",
    "a hold outlived a rebuild",
    "a late payment got its seats again",
    "a late payment was given back",
    "a later rebuild was faster",
    "a statement was carried out without its client",
    "a tombstone came too late",
    "a tombstone was committed while a booking waited",
    "a transaction was left idle",
    "an answer to a book was unknown",
    "an order of an old epoch was refused",
    "an order was booked already when it came again",
    "redis answered CLOCK",
    "redis answered DEADLINE",
    "redis answered DUP",
    "redis answered EPOCH",
    "redis answered GONE",
    "redis answered RECOVERING",
    "script was not loaded",
)


@dataclass
class Weather:
    """How messages fare now; the nemesis changes it."""

    latency_s: float = 0.001
    lost: float = 0.0  # share of messages that never arrive, and end their connection or leave it silent
    slow: float = 0.0  # share of messages that take up to slow_s
    slow_s: float = 3.0
    commit_s: float = 0.002
    cut: set[tuple[str, str]] = field(default_factory=set)  # (process, store) that do not reach each other


class Violation(AssertionError):
    """A promise was broken."""


class Run:
    """One seed."""

    def __init__(self, seed: int, show: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.loop = SimLoop(self.rng)
        self.weather = Weather()
        self.operations: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.rare: Counter[str] = Counter()
        self.violations: list[str] = []
        self._digest = hashlib.blake2b(digest_size=8)
        self._show = show

    @property
    def digest(self) -> str:
        """The same for two runs that did the same."""
        return self._digest.hexdigest()

    def trace(self, *words: object) -> None:
        """Something happened."""
        if self.loop.ending:
            return
        line = f"{self.loop.time() - 1_000_000:10.4f} {' '.join(map(str, words))}"
        self._digest.update(line.encode())
        if self._show is not None:
            self._show(line)

    def broken(self, promise: str) -> None:
        """A promise was seen broken; the run goes on, and fails."""
        self.trace("VIOLATION", promise)
        if not self.loop.ending and promise not in self.violations:
            self.violations.append(promise)

    def chance(self, probability: float) -> bool:
        """Whether something that has this probability happens now."""
        return probability > 0 and self.rng.random() < probability

    def travel_s(self) -> float:
        """How long a message takes."""
        weather, rng = self.weather, self.rng
        if self.chance(weather.slow):
            self.faults["slow message"] += 1
            return rng.random() * weather.slow_s
        return weather.latency_s * (0.2 + rng.expovariate(1.0))
