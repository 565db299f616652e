"""Failpoints: their grammar, what each action does, that each is somewhere, and that nobody outside can set one."""

import ast
import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatmap import config, failpoints
from seatmap.errors import SettingInvalid, Unavailable
from seatmap.failpoints import POINTS, arm, during, failpoint

ROOT = Path(__file__).parents[2]
SOURCES = {path: ast.parse(path.read_text()) for path in sorted((ROOT / "seatmap").rglob("*.py"))}
HERE = ROOT / "seatmap" / "failpoints.py"


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    arm("")


async def test_by_default_none_is_set_and_all_do_nothing() -> None:
    assert config.load({}).failpoints == ""
    assert failpoints._armed == {}
    for name in POINTS:
        await failpoint(name)


async def test_a_failpoint_that_fails_fails_like_a_store_that_is_away() -> None:
    arm("book.after_begin=raise")
    await failpoint("book.before_begin")
    with pytest.raises(Unavailable, match=r"book\.after_begin"):
        await failpoint("book.after_begin")


async def test_it_acts_as_often_as_it_is_told() -> None:
    arm("book.after_begin=raise*2; book.after_commit=raise@0")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await failpoint("book.after_begin")
    await failpoint("book.after_begin")
    await failpoint("book.after_commit")


async def test_sleep_is_in_milliseconds_and_every_hit_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        arm("sweep.before=sleep(30)")
        started = time.monotonic()
        await failpoint("sweep.before")
    assert time.monotonic() - started >= 0.03
    assert "THIS PROCESS FAILS ON PURPOSE" in caplog.messages[0]
    assert caplog.messages[1:] == ["failpoint sweep.before: sleep"]


async def test_a_failpoint_in_the_middle_of_something_meets_it_begun() -> None:
    begun = asyncio.Event()
    ended = asyncio.Event()

    async def work() -> str:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return "done"

    arm("book.in_postgres=raise*1")
    with pytest.raises(Unavailable):
        await during("book.in_postgres", work())
    assert begun.is_set()
    assert ended.is_set()  # what was abandoned is not left running

    async def short() -> str:
        return "done"

    assert await during("book.in_postgres", short()) == "done"
    arm("")
    assert await during("book.in_postgres", short()) == "done"


@pytest.mark.parametrize(("action", "code"), [("exit", 137), ("exit(3)", 3)])
def test_exit_ends_the_process_at_once(action: str, code: int) -> None:
    program = (
        "import asyncio, atexit\n"
        "from seatmap.failpoints import arm, failpoint\n"
        "atexit.register(print, 'an orderly end')\n"
        f"arm('resolve.before_finish={action}')\n"
        "asyncio.run(failpoint('resolve.before_finish'))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (code, b"")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("book.after_comit=exit", "there is no failpoint 'book.after_comit'; there are book.before_begin, "),
        ("book.after_commit", "should read name=action"),
        ("book.after_commit=", "should read name=action"),
        ("book.after_commit=exit@2", "should read name=action"),
        ("book.after_commit=panic", "'panic' is none of the actions"),
        ("book.after_commit=sleep", "sleep needs its milliseconds"),
        ("book.after_commit=raise(3)", "raise takes no argument"),
    ],
)
def test_a_bad_entry_says_what_is_wrong_and_sets_nothing(text: str, says: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        arm(f"book.after_begin=raise; {text}")
    assert caught.value.extra == {"setting": "SEATMAP_FAILPOINTS"}
    assert says in caught.value.detail
    assert failpoints._armed == {}


def test_the_program_refuses_to_start_with_an_unknown_one() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "seatmap", "worker"],
        env=os.environ | {"SEATMAP_FAILPOINTS": "nowhere=exit"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "there is no failpoint 'nowhere'" in " ".join(done.stderr.split())


def test_all_of_them_are_somewhere() -> None:
    """And none is anywhere that is not in the list."""
    named: set[str] = set()
    for path, tree in SOURCES.items():
        if path == HERE:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and node.value in POINTS:
                named.add(str(node.value))
            if isinstance(node, ast.Call) and _called(node) in ("failpoint", "during"):
                first = node.args[0]
                known = isinstance(first, ast.Name) or (
                    isinstance(first, ast.Constant) and first.value in POINTS
                )
                assert known, f"{path.name}:{node.lineno} names a failpoint that is not in POINTS"
    assert named == set(POINTS)


def test_only_the_command_line_sets_them_and_only_from_the_settings() -> None:
    """No route, no header, no command: whoever cannot set the environment cannot reach one."""
    setters = []
    for path, tree in SOURCES.items():
        for node in ast.walk(tree):
            if path != HERE and isinstance(node, ast.Attribute | ast.Name):
                text = ast.unparse(node)
                assert not text.endswith("._armed"), f"{path.name}:{node.lineno}"
            if isinstance(node, ast.Call) and _called(node) == "arm":
                setters.append((path.name, ast.unparse(node)))
            if isinstance(node, ast.ImportFrom) and node.module == "seatmap.failpoints":
                assert {alias.name for alias in node.names} <= {"failpoint", "during", "UNDER_WAY_S"}, (
                    path.name
                )
    assert setters == [("cli.py", "failpoints.arm(settings.failpoints)")]


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]
