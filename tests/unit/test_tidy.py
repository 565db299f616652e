"""The house rules that a program can check: layers, sizes, and nothing left lying about."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "seatmap"

# Imports go down only: from a layer to those below it, and within a part, never between parts of a layer.
LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(names.split())
    for names in (
        "config errors model protocol keys __init__",
        "breaker changes children connections embedded failpoints log migrate open_files tally tasks zones",
        "booking live ledger plan",
        "checkout",
        "metrics order_letter",
        "web worker demo doctor restore simulate verify",
        "admins up webs opening",
        "cli __main__",
    )
)
VOCABULARY, TOOLS = LAYERS[0], LAYERS[1]
ONLY_IN = {
    "starlette": {"web"},
    "uvicorn": {"web"},
    "asyncpg": {"ledger", "doctor"},
    "redis": {"connections", "booking", "live", "doctor"},
}
NAMED_OTHERWISE = {"argon2_cffi": "argon2"}  # a distribution, and what one imports of it
LINES_MAX, FUNCTION_LINES_MAX = 400, 60
LEFT_LYING = re.compile("FIX" + "ME|TO" + "DO|XX" + "X")
MACHINE_PATH = re.compile("(?<![\\w.$}])/(?:ro" + "ot|ho" + "me|wo" + "rk)/")

MODULES = sorted(PACKAGE.rglob("*.py"))
PYTHON = [*MODULES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "loadtest").rglob("*.py"))]
SCRIPTS = [path for path in sorted((ROOT / "scripts").iterdir()) if path.is_file()]
PAGES = [path for kind in ("css", "js", "html") for path in sorted((ROOT / "static").rglob(f"*.{kind}"))]
OURS = [path for path in PAGES if "vendor" not in path.relative_to(ROOT).parts]
LUA = sorted(PACKAGE.rglob("*.lua"))
CODE = [*PYTHON, *LUA, *SCRIPTS, *(path for path in OURS if path.suffix == ".js")]
DOCUMENTS = [path for kind in ("*.md", "*.toml", "*.json", "*.txt") for path in sorted(ROOT.glob(kind))]
TEXTS = [
    *PYTHON,
    *SCRIPTS,
    *OURS,
    *LUA,
    *DOCUMENTS,
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "Procfile",
]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def part_of(path: Path) -> str:
    """The first name below `seatmap`: a package or a module."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def layer_of(part: str) -> int:
    for height, parts in enumerate(LAYERS):
        if part in parts:
            return height
    pytest.fail(f"seatmap/{part} is in no layer: add it to LAYERS in {named(Path(__file__))}.")


def imports(path: Path) -> Iterator[str]:
    """Everything imported, as dotted names; `from a import b` gives a.b, which may be a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(path)} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(dotted: str) -> str | None:
    """The part of the package that a dotted name is in, if it is in one."""
    names = dotted.split(".")
    if names[0] != "seatmap":
        return None
    return names[1] if len(names) > 1 and names[1] != "__version__" else "__init__"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_go_down_only(path: Path) -> None:
    part = part_of(path)
    height = layer_of(part)
    for dotted in imports(path):
        other = ours(dotted)
        if other is None or other == part:
            continue
        below = layer_of(other)
        # words may use words, and a tool a tool; the parts of a higher layer never meet
        same_allowed = height == below and part in VOCABULARY | TOOLS | LAYERS[-1]
        assert below < height or same_allowed, f"{named(path)} imports seatmap.{other}, which is not below it"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_each_library_stays_in_its_part(path: Path) -> None:
    for dotted in imports(path):
        library = dotted.split(".")[0]
        if library in ONLY_IN:
            assert part_of(path) in ONLY_IN[library], f"{named(path)} imports {library}"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_each_library_is_declared(path: Path) -> None:
    """The tests' own requirements may bring a library along that a server would then lack."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split("[^a-z0-9_-]", name)[0].replace("-", "_") for name in project["dependencies"]}
    declared |= {NAMED_OTHERWISE[name] for name in declared & set(NAMED_OTHERWISE)}
    known = declared | sys.stdlib_module_names | {"seatmap"}
    for dotted in imports(path):
        assert dotted.split(".")[0] in known, f"{named(path)} imports {dotted}: add it to pyproject.toml"


@pytest.mark.parametrize("path", CODE, ids=named)
def test_no_file_is_too_long(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LINES_MAX, f"{named(path)} has {lines} lines: it is usually two"


@pytest.mark.parametrize("path", PYTHON, ids=named)
def test_no_function_is_too_long(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{named(path)}: {node.name} has {lines} lines"


@pytest.mark.parametrize("path", TEXTS, ids=named)
def test_nothing_is_left_lying_about(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        assert not LEFT_LYING.search(line), f"{named(path)}:{number}: {line.strip()}"
        assert not MACHINE_PATH.search(line), f"{named(path)}:{number} names a folder of one machine"


def test_pins_have_hashes_and_no_addresses() -> None:
    for path in sorted(ROOT.glob("requirements*.txt")):
        text = path.read_text()
        assert "://" not in text, f"{named(path)} names an address"
        pins = re.findall(r"^[a-z0-9].*(?:\n .*)*", text, re.MULTILINE)
        assert pins
        for pin in pins:
            assert "==" in pin, pin
            assert "--hash=sha256:" in pin, pin


def test_the_front_ends_lock_names_no_address() -> None:
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()
