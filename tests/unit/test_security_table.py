"""docs/security.md: every row has tests, and each test that it names exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = re.findall(r"^\| (\d+) \|(.*)\|$", (ROOT / "docs" / "security.md").read_text(), re.MULTILINE)
TESTS = {
    node.name
    for path in (ROOT / "tests").rglob("test_*.py")
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
}


def test_the_table_has_every_row() -> None:
    assert [int(number) for number, _ in ROWS] == list(range(1, 31))


@pytest.mark.parametrize(("number", "row"), ROWS, ids=[number for number, _ in ROWS])
def test_every_row_is_held_by_tests_that_exist(number: str, row: str) -> None:
    held_by = re.findall(r"`(\w+)`", row.rpartition("|")[2])
    assert held_by, f"row {number} names no test"
    missing = [name for name in held_by if name not in TESTS]
    assert not missing, f"row {number} names tests that are not there: {', '.join(missing)}"
