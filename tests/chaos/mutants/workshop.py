"""Makes a copy of the tree, breaks it there, and lets the killers loose on it."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from tests.chaos.mutants.kinds import SWARM, Edit, Mutant

ROOT = Path(__file__).resolve().parents[3]
COPIED = ("seatmap", "migrations", "tests", "loadtest", "pyproject.toml", ".env.example")
LINKED = ("static",)
BROKEN_PROMISE = re.compile(r"AssertionError: P\d")
SOLD_TWICE = re.compile(r"I5 never twice, ever +\d+ VIOLATIONS")  # as tests/chaos/report.py says it
KEPT = re.compile(r"are kept in (\S+)")
AT_ONCE = 2  # mutants
KILL_S = 600.0  # in which a killer has to have come to an end
TESTS_FAILED = 1  # pytest's exit code, and the crash matrix'; all others mean that nothing was tested


class Doesnt(Exception):
    """An edit does not apply, or a killer does not run: the catalogue is to be mended."""


class Verdict(Struct, frozen=True):
    """What became of a mutant. `killer` is empty for one that lives."""

    mutant: str
    killer: str
    seconds: float


@contextmanager
def copy(edits: Sequence[Edit] = ()) -> Iterator[Path]:
    """A copy of the tree with `edits` in it, for as long as the block lasts."""
    with TemporaryDirectory(prefix="seatmap-mutant-") as folder:
        tree = Path(folder).resolve()
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(
                    source, tree / name, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache")
                )
            else:
                shutil.copy(source, tree / name)
        for name in LINKED:
            (tree / name).symlink_to(ROOT / name)
        for edit in edits:
            apply(tree, edit)
        yield tree


def apply(tree: Path, edit: Edit) -> None:
    """Raises Doesnt unless the text is there exactly once, in what is in force."""
    path = tree / edit.file
    text = path.read_text()
    way_up, mark, way_down = text.partition("-- migrate:down")
    found = way_up.count(edit.old)
    if found != 1:
        raise Doesnt(f"{edit.file} has this {found} times instead of once:\n{edit.old}")
    path.write_text(way_up.replace(edit.old, edit.new) + mark + way_down)


def environment(tree: Path) -> dict[str, str]:
    """In which `seatmap` and `tests` are the copy's, and not those that are installed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return kept | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}


def run(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A Python program, in the copy."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=tree,
        env=environment(tree),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=KILL_S,
        check=False,
    )


def prove_that_it_is_the_copy(tree: Path) -> None:
    """The installed package would be tested just as happily."""
    program = "import seatmap.cli, seatmap.migrate as m, tests.chaos.crash.cell as c; print(m.MIGRATIONS, c.__file__)"
    done = run(tree, "-c", program)
    places = [Path(place) for place in done.stdout.split()]
    if len(places) != 2 or not all(place.is_relative_to(tree) for place in places):
        raise Doesnt(f"what runs is not the copy in {tree}: {done.stdout}{done.stderr}")


def strike(tree: Path, killers: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run killers of one kind, in one program. Raises Doesnt if that tested nothing."""
    if killers[0].startswith("cells "):
        done = run(
            tree,
            "-m",
            "tests.chaos.crash",
            "--patience",
            "30",
            "--only",
            *(killer.removeprefix("cells ") for killer in killers),
        )
        if len(killers) == 1 and not BROKEN_PROMISE.search(done.stdout):
            done.returncode = (
                0  # if it failed, then for another reason, as that its failpoint was not reached
            )
    elif killers == [SWARM]:
        done = run(tree, "-m", "tests.chaos", "--minutes", "0.2", "--seed", "1", "--patience", "5")
        for folder in KEPT.findall(done.stdout):
            shutil.rmtree(folder)
        if not SOLD_TWICE.search(done.stdout):
            done.returncode = 0  # if it failed, then for another reason, as that it did too little
    else:
        done = run(tree, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *killers)
    if done.returncode not in (0, TESTS_FAILED):
        raise Doesnt(f"{killers} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done


def hunt(mutant: Mutant, killers: Sequence[str]) -> Verdict:
    """Those killers one after the other, until one kills it."""
    began = time.monotonic()
    with copy(mutant.edits) as tree:
        prove_that_it_is_the_copy(tree)
        for killer in killers:
            if strike(tree, [killer]).returncode == TESTS_FAILED:
                return Verdict(mutant.name, killer, time.monotonic() - began)
    return Verdict(mutant.name, "", time.monotonic() - began)


def spare_the_sound(killers: Sequence[str]) -> str:
    """What killers say that fail on the tree as it is; nothing if none does."""
    with copy() as tree:
        for are_cells in (True, False):
            chosen = [killer for killer in killers if killer.startswith("cells ") is are_cells]
            if chosen and (done := strike(tree, chosen)).returncode:
                return done.stdout[-5000:]
    return ""
