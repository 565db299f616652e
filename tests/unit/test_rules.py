"""docs/rules.md names each rule once, the README each promise; both only tests that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
RULES = (ROOT / "docs" / "rules.md").read_text()
ROWS = re.findall(r"^\| (\d+) \|(.*)\|(.*)\|(.*)\|$", RULES, re.MULTILINE)


def test_each_rule_has_its_row_with_what_holds_it_and_a_test() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, 27))
    for number, rule, code, tests in ROWS:
        assert rule.strip(), f"rule {number}"
        assert code.strip(), f"rule {number}"
        assert re.search('`test_|"', tests), f"rule {number} names no test"


def test_each_promise_names_a_test_that_breaks_if_it_is_false() -> None:
    rows = re.findall(r"^\| (P\d) .*\|(.*)\|$", README, re.MULTILINE)
    assert [promise for promise, _ in rows] == [f"P{number}" for number in range(1, 9)]
    assert all("`test_" in tests for _, tests in rows)


@pytest.mark.parametrize(("where", "text"), [("docs/rules.md", RULES), ("README.md", README)])
def test_every_test_that_is_named_exists(where: str, text: str) -> None:
    python = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"def (test_\w+)", python))
    named = set(re.findall(r"`(test_\w+)`", text))
    assert named <= there, f"{where} names {sorted(named - there)}, which is not there"


def test_every_page_test_that_is_named_exists() -> None:
    pages = "".join(path.read_text() for path in (ROOT / "tests" / "unit" / "js").glob("*.test.js"))
    quoted = set(re.findall(r'"([^"|]+)"', RULES))
    there = set(re.findall(r'test\("([^"]+)"', pages))
    assert quoted <= there, f"docs/rules.md names {sorted(quoted - there)}, which is not there"


def test_every_file_that_is_named_exists() -> None:
    for name in set(re.findall(r"`((?:lua|booking|checkout|ledger|live|web|worker|static)/[\w./]+)`", RULES)):
        places = (ROOT / "seatmap" / "booking" / name, ROOT / "seatmap" / name, ROOT / name)
        assert any(place.exists() for place in places), f"docs/rules.md names {name}, which is not there"
