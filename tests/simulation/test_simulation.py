"""The simulation of the write path: 2,000 seeds, and that a seed does the same each time. See docs/simulation.md."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatmap.embedded import Embedded
from tests.simulation.redis_world import RealServer
from tests.simulation.simulate import simulate

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 2000


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with Embedded(tmp_path_factory.mktemp("valkey"), postgres=False) as servers:
        yield RealServer(str(servers.places.valkey_socket))


@pytest.mark.parametrize("seed", [1, 7, 25])
def test_a_seed_does_the_same_each_time(real: RealServer, seed: int) -> None:
    first, other, again = (simulate(number, real) for number in (seed, seed + 1, seed))
    assert first.digest == again.digest != other.digest
    assert first.operations == again.operations
    assert first.violations == again.violations == []


def test_a_seed_does_the_same_in_another_process(real: RealServer) -> None:
    """Nothing hangs on how Python hashes or where objects lie: what CI found is found again elsewhere."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", "7", "--trace"],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout
    lines: list[str] = []
    simulate(7, real, lines.append)
    assert lines
    assert told.startswith("\n".join(lines) + "\n")


def test_no_promise_is_broken() -> None:
    """P1 to P5, P7 and P8 under lost, late and repeated messages, and crashes at any step."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seeds", str(SEEDS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=3000,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert f"{SEEDS} seeds in " in done.stdout.splitlines()[-1]
