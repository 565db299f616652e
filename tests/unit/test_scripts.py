"""The rules' contract headers, the Structs of commands.py and the words that the desk knows say the same."""

import hashlib
import re
from typing import get_args

import msgspec
import pytest

from seatmap.booking import commands
from seatmap.booking.commands import GOOD, Answer, Command, refusal
from seatmap.booking.scripts import (
    BATCH,
    BEHIND,
    CLOCK,
    LUA,
    REPLAY,
    RULES,
    SNAPSHOT,
    SWAP,
    UNDECIDED,
    Script,
)
from seatmap.errors import REFUSALS, Refused, Unavailable
from seatmap.keys import Keys
from seatmap.model import Position

SCRIPTS = {
    "batch": BATCH,
    "behind": BEHIND,
    "snapshot": SNAPSHOT,
    "replay": REPLAY,
    "undecided": UNDECIDED,
    "swap": SWAP,
}
STRUCTS: dict[str, type[msgspec.Struct]] = {
    struct.__struct_config__.tag: struct for struct in get_args(Command)
}

# The words that a helper of _lib.lua may answer in place of the rule that calls it.
OF_HELPER = {
    "ok_mine(": {"OK"},
    "bad_seats(": {"SEAT_OUT_OF_RANGE", "SEAT_REPEATED"},
    "own_hold(": {"HOLD_EXPIRED", "NOT_YOUR_HOLD"},
}
# …and that this rule turns into something else, or cannot meet.
NEVER_OF = {"release": {"HOLD_EXPIRED"}, "repair": {"SEAT_REPEATED"}, "evict": {"SEAT_REPEATED"}}
BEFORE_ANY_RULE = {"RECOVERING", "CLOCK", "EPOCH", "DEADLINE", "FAILED"}
# How a header calls an argument, where that is not the Struct's field with blanks for underscores.
SAID = {
    "how many holds at most": "limit",
    "status to be": "status",
    "order_id to be": "order_id",
    "from": "from_",
}

WORD = re.compile(r"\b[A-Z][A-Z_]+\b")


def text(rule: str) -> str:
    return (LUA / f"{rule}.lua").read_text()


def code(rule: str) -> str:
    return "\n".join(line.partition("--")[0] for line in text(rule).splitlines())


def header(rule: str, name: str) -> str:
    """The part `name` of the comment that a rule starts with, as one line."""
    lines = []
    for line in text(rule).splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--"))
    parts = re.split(r"(?m)^ ([A-Z][a-z]+)[^:\n]*: ?", "\n".join(lines))
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return " ".join(found[name].split())


def promised(rule: str) -> set[str]:
    """The words of the header; what stands in brackets or after a full stop explains."""
    return set(WORD.findall(re.sub(r"\([^)]*\)", "", header(rule, "Replies")).split(". ")[0]))


def returned(rule: str) -> set[str]:
    body = code(rule)
    words = {
        word for line in re.findall(r"return\b.*", body) for word in re.findall(r"'([A-Z][A-Z_]+)[ ']", line)
    }
    for helper, answers in OF_HELPER.items():
        if helper in body:
            words |= answers
    return words - NEVER_OF.get(rule, set())


def arguments(rule: str) -> list[str]:
    """The arguments of the header, as field names."""
    line = re.sub(r"\([^)]*\)", "", header(rule, "Command")).rstrip(".")
    said = [" ".join(part.split()) for part in line.split(",")]
    return [SAID.get(part, part.replace(" ", "_")) for part in said]


@pytest.mark.parametrize("rule", RULES)
def test_header_names_every_word_that_the_rule_can_answer(rule: str) -> None:
    """Rule 2 of docs/rules.md: replies are words, known to both sides."""
    assert promised(rule) == returned(rule)


@pytest.mark.parametrize("rule", RULES)
def test_header_names_the_fields_of_the_command_in_order(rule: str) -> None:
    assert arguments(rule) == [field.name for field in msgspec.structs.fields(STRUCTS[rule])]


@pytest.mark.parametrize("rule", RULES)
def test_rule_reads_every_argument_and_no_other(rule: str) -> None:
    read = {int(place) for place in re.findall(r"command\[(\d+)\]", code(rule))}
    assert read == set(range(2, 2 + len(STRUCTS[rule].__struct_fields__)))


def test_every_command_has_a_rule() -> None:
    assert set(RULES) == set(STRUCTS)
    assert {path.stem for path in LUA.glob("*.lua")} == {*RULES, "_clock", "_lib", *SCRIPTS}


@pytest.mark.parametrize("rule", RULES)
def test_a_command_travels_as_an_array_that_starts_with_its_rule(rule: str) -> None:
    kinds = {int: 7, str: "text", tuple[int, ...]: (1, 2)}
    values = [kinds[field.type] for field in msgspec.structs.fields(STRUCTS[rule])]
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(STRUCTS[rule](*values)))
    assert sent == [rule, *(list(value) if isinstance(value, tuple) else value for value in values)]


@pytest.mark.parametrize(
    "word", sorted({word for rule in RULES for word in promised(rule)} | BEFORE_ANY_RULE)
)
def test_the_desk_knows_every_word(word: str) -> None:
    error = refusal(Answer(word, ("3",), Position(4, 5)))
    if word in GOOD:
        assert error is None
    elif isinstance(error, Refused):
        assert error.code in REFUSALS
        assert error.detail
    else:
        assert isinstance(error, Unavailable)


def test_good_words_are_words_of_rules() -> None:
    assert {word for rule in RULES for word in promised(rule)} >= GOOD


def test_batch_is_the_library_then_each_rule_then_the_dispatcher() -> None:
    places = [BATCH.text.index(f"rules.{rule} = function(command)") for rule in RULES]
    assert places == sorted(places)
    assert BATCH.text.startswith(text("_clock") + text("_lib"))
    assert BATCH.text.endswith(text("batch"))
    assert all(text(rule) in BATCH.text for rule in RULES)


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_is_known_by_the_hash_of_its_text(script: Script) -> None:
    assert script.sha == hashlib.sha1(script.text.encode()).hexdigest()


@pytest.mark.parametrize("name", ["_lib", "swap"])
def test_keys_come_in_the_order_of_their_names(name: str) -> None:
    """Rule 1 of docs/rules.md: every key that a script uses is declared."""
    line = re.search(r"local (.*) = unpack\(KEYS\)", text(name))
    assert line is not None
    assert [key.lower() for key in line[1].split(", ")][: len(Keys._fields)] == list(Keys._fields)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_never_writes_to_redis_itself(rule: str) -> None:
    """Rule 1 of docs/rules.md: rules decide on the overlay; only the dispatcher writes, at the end."""
    called = set(re.findall(r"redis\.p?call\('(\w+)'", code(rule)))
    assert called <= {"ZRANGEBYSCORE", "HGET", "GETRANGE"}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_asks_the_clock_at_most_once_and_knows_no_other(script: Script) -> None:
    """Rule 1 of docs/rules.md; and a test that puts another clock there has then put all of time in its place."""
    code = "\n".join(line.partition("--")[0] for line in script.text.splitlines())
    asks = code.count("clock()") - code.count("function clock()")
    assert "'TIME'" not in code.replace(CLOCK.partition("\n")[2], "")
    assert asks == script.text.count(CLOCK) <= 1


def test_unpack_is_only_given_short_lists() -> None:
    """Rule 1 of docs/rules.md: a call with more than about 8,000 arguments fails, after others have written."""
    for path in LUA.glob("*.lua"):
        for given in re.findall(r"unpack\(([^()]*(?:\([^()]*\))?[^()]*)\)", code(path.stem)):
            assert (
                given == "KEYS"
                or "from + 3999" in given
                or given.startswith(("'<I4'", "ARGV[i]", "ARGV[3]", "ARGV[4]"))
            ), given


def test_commands_have_a_sentence_each() -> None:
    assert all(struct.__doc__ for struct in get_args(commands.Command))
