"""A short run of the chaos suite; `python -m tests.chaos --minutes 90` is the long one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAULTS, BOOKINGS = 150, 10_000
MINUTES_MAX = 12  # on a machine that does much else besides
PATIENCE = 3


@pytest.mark.integration
def test_no_promise_is_broken_while_everything_else_is() -> None:
    """The folder with logs, history and seed is named, and kept, if it fails."""
    wanted = {"minutes": MINUTES_MAX, "faults": FAULTS, "bookings": BOOKINGS, "patience": PATIENCE}
    options = [word for name, value in wanted.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=(MINUTES_MAX + 8) * 60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"PASSED: .* bookings acknowledged, 0 violations, 0 troubles, seed \d+\.", last), last
