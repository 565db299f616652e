"""The log's lines: nobody can write one who is not the program."""

import logging
import sys

import pytest

from seatmap.log import OneLine

LINE = OneLine("%(levelname)s %(name)s: %(message)s")


def written(message: str, *args: object, trace: bool = False) -> list[str]:
    info = sys.exc_info() if trace else None
    return LINE.format(logging.LogRecord("seatmap", logging.INFO, "", 0, message, args, info)).split("\n")


@pytest.mark.parametrize(
    "name",
    ["a\nINFO seatmap: forged", "a\r\nINFO seatmap: forged", "\x1b[2J", "\x85INFO", "\u2028INFO", "\x00"],
)
def test_what_a_visitor_writes_stays_in_its_line(name: str) -> None:
    (line,) = written("GET %s failed", f"/{name}")
    assert line.startswith("INFO seatmap: GET /")
    assert line.isprintable()


def test_what_people_write_stays_readable() -> None:
    assert written("%s bought", "Ada Lövelace 李") == ["INFO seatmap: Ada Lövelace 李 bought"]


def test_a_trace_cannot_look_like_a_line() -> None:
    try:
        raise ValueError("bad\nINFO seatmap: forged")
    except ValueError:
        lines = written("failed", trace=True)
    assert lines[0] == "INFO seatmap: failed"
    assert all(line.startswith("  ") for line in lines[1:])
    assert "ValueError: bad" in "".join(lines)
