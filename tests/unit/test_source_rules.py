"""What the source may not contain, for the sake of security: SQL or Lua made of input, HTML made of text."""

import ast
import re
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "seatmap").rglob("*.py"))
STATIC = [path for kind in ("js", "html") for path in sorted((ROOT / "static").rglob(f"*.{kind}"))]
OURS = [path for path in STATIC if "vendor" not in path.parts]
ASKS_POSTGRES = {"execute", "executemany", "fetch", "fetchrow", "fetchval", "cursor", "prepare"}
# ways to put a text into a page as HTML, to make code of it, or to have a handler where the policy forbids it
UNSAFE = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|x-html|DOMParser|createContextualFragment"
    r"|\beval\(|new Function|javascript:|\son[a-z]+=|<style|\sstyle="
)
INLINE_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def statements(tree: ast.AST) -> list[ast.expr]:
    """The first argument of each call that may ask Postgres something."""
    return [
        node.args[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ASKS_POSTGRES
        and node.args
    ]


# names of columns that the program chose; their values are parameters
CHOSEN = {("seatmap/ledger/staff_events.py", "sets")}


def is_harmless(part: ast.FormattedValue, path: Path) -> bool:
    """A module's constant (its name is in capitals), or what can only be a number."""
    if isinstance(part.format_spec, ast.JoinedStr) and ast.unparse(part.format_spec) == "f'd'":
        return True
    name = part.value.id if isinstance(part.value, ast.Name) else ""
    return name.strip("_").isupper() or (named(path), name) in CHOSEN


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent.name == "ledger"], ids=named)
def test_sql_is_made_of_constants_only(path: Path) -> None:
    for statement in statements(ast.parse(path.read_text())):
        where = f"{named(path)}:{statement.lineno}"
        if isinstance(statement, ast.JoinedStr):
            for part in statement.values:
                if isinstance(part, ast.FormattedValue):
                    assert is_harmless(part, path), f"{where} puts a value into SQL: use a parameter"
        elif isinstance(statement, ast.BinOp | ast.Call):
            pytest.fail(f"{where} builds its SQL: write it out, with parameters")


@pytest.mark.parametrize("path", OURS, ids=named)
def test_no_page_makes_html_or_code_of_text(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = UNSAFE.search(line) or (path.suffix == ".html" and INLINE_SCRIPT.search(line))
        assert not found, f"{named(path)}:{number}: {line.strip()[:100]}"


def test_the_server_waits_for_slow_readers() -> None:
    """uvicorn 0.50 to 0.52.0 wrote to websockets without flow control."""
    assert tuple(int(part) for part in version("uvicorn").split(".")[:3]) >= (0, 52, 1)
