"""The wire: what docs/protocol.md says is what the encoders write, and no bytes at all can break the decoders."""

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatmap import protocol
from seatmap.errors import Refused
from seatmap.model import Position
from seatmap.protocol import Command, decode_as, decode_command

DOCUMENT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
KINDS = {"snapshot": 1, "change": 2, "heartbeat": 3, "rebase": 4}
FRAMES: dict[str, bytes] = {  # one of each, with a different number in every place
    "snapshot": protocol.snapshot_frame(Position(11, 12), 13, bytes([0, 1, 2, 3, 0, 2])),
    "change": protocol.change_frame(11, 14, 12, 13, {4: 1, 260: 2}),
    "heartbeat": protocol.heartbeat_frame(Position(11, 12), 13, 15, stale=False),
    "rebase": protocol.rebase_frame(Position(9, 8), Position(11, 12), 13, {4: 1, 260: 2, 7: 0}),
}
MEANINGS = {  # what the words of the document's table stand for in FRAMES
    "version": 12,
    "since": 14,
    "number of seats `n`": 6,
    "viewers of the event (of this process)": 15,
    "number of entries": 3,
}


def tables() -> dict[str, list[list[str]]]:
    """The document's tables by their first heading, as rows of cells."""
    found = {}
    for table in re.findall(r"(?:^\|.*\n)+", DOCUMENT, re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
        found.setdefault(head[0], rows)
    return found


def example(introduction: str) -> bytes:
    """The bytes of the worked example that begins with these words."""
    match = re.search(rf"{re.escape(introduction)}[^`]*(?:`[^`]+`)?[^`]*```\n([0-9a-f \n]+)```", DOCUMENT)
    assert match, f"the example {introduction!r} is gone"
    return bytes.fromhex(match[1])


# ---- frames ----


def test_the_worked_snapshot_is_what_is_sent() -> None:
    assert example("A snapshot at position (1, 7)") == protocol.snapshot_frame(
        Position(1, 7), 1, bytes([0, 1, 2, 3, 0, 2])
    )


def test_the_worked_change_is_what_is_sent() -> None:
    assert example("A change from version 7 to 9") == protocol.change_frame(1, 7, 9, 1, {4: 1, 260: 2})


def test_every_frame_begins_as_the_table_says() -> None:
    rows = {int(offset): kind for offset, kind, _ in tables()["offset"]}
    assert rows == {0: "u8", 1: "u8", 2: "u16", 4: "u32"}
    for name, frame in FRAMES.items():
        assert struct.unpack_from("<BBHI", frame) == (KINDS[name], 0, 13, 11)


def test_the_second_half_of_each_header_is_as_the_table_says() -> None:
    rows = {kind.split()[1]: (first, second) for kind, first, second, _ in tables()["type"]}
    assert set(rows) == set(KINDS)
    for name, (first, second) in rows.items():
        assert struct.unpack_from("<II", FRAMES[name], 8) == (MEANINGS[first], MEANINGS[second]), name


def test_the_types_have_the_numbers_of_the_table() -> None:
    assert {kind.split()[1]: int(kind.split()[0]) for kind, *_ in tables()["type"]} == KINDS


@pytest.mark.parametrize("name", KINDS)
def test_frames_are_aligned_to_four_bytes(name: str) -> None:
    assert len(FRAMES[name]) % 4 == 0


def test_a_rebase_names_the_position_it_continues_and_then_has_entries() -> None:
    assert struct.unpack("<5I", FRAMES["rebase"][16:]) == (9, 8, 4 << 8 | 1, 260 << 8 | 2, 7 << 8)


@pytest.mark.parametrize("stale", [True, False])
def test_a_heartbeat_says_whether_the_map_may_be_old(stale: bool) -> None:
    frame = protocol.heartbeat_frame(Position(1, 1), 1, 1, stale=stale)
    assert frame[1] & 1 == stale
    assert len(frame) == 16


def test_a_plan_version_beyond_two_bytes_wraps() -> None:
    assert struct.unpack_from("<H", protocol.snapshot_frame(Position(1, 1), 65_537, b""), 2) == (1,)


@given(st.binary(max_size=200).map(lambda raw: bytes(b & 3 for b in raw)))
def test_two_bits_a_seat_are_where_the_document_says(statuses: bytes) -> None:
    frame = protocol.snapshot_frame(Position(1, 1), 1, statuses)
    assert len(frame) == 16 + -(-len(statuses) // 16) * 4
    seen = [frame[16 + i // 4] >> 2 * (i % 4) & 3 for i in range(4 * (len(frame) - 16))]
    assert seen == [*statuses, *[0] * (len(seen) - len(statuses))]


def test_a_hundred_thousand_seats_are_one_message_of_25_kilobytes() -> None:
    frame = protocol.snapshot_frame(Position(1, 1), 1, bytes(100_000))
    assert len(frame) == 25_016
    assert len(protocol.websocket_binary(frame)) == 25_020


@given(st.dictionaries(st.integers(0, (1 << 24) - 1), st.integers(0, 3)))
def test_entries_come_back_as_they_went(seats: dict[int, int]) -> None:
    frame = protocol.change_frame(1, 2, 3, 1, seats)
    assert protocol.seats_of(struct.unpack_from(f"<{len(seats)}I", frame, 16)) == seats


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("wrap", [protocol.websocket_binary, protocol.websocket_text])
def test_a_websocket_client_understands_our_header(wrap: Callable[[bytes], bytes], size: int) -> None:
    from websockets.frames import Frame, Opcode
    from websockets.streams import StreamReader

    reader = StreamReader()
    reader.feed_data(wrap(b"x" * size))
    parsing = Frame.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as done:
        next(parsing)
    message: Frame = done.value.value
    assert message.opcode is (Opcode.BINARY if wrap is protocol.websocket_binary else Opcode.TEXT)
    assert (message.fin, bytes(message.data)) == (True, b"x" * size)


# ---- commands ----

BOOK = {
    "type": "book",
    "order_id": "018f3c1e-7b5a-7c3e-8a2b-0123456789ab",
    "hold_id": "1-2",
    "seats": [1, 2],
    "total": 300,
    "name": "Ada",
    "email": "ada@example.org",
}


def text(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def without(name: str) -> dict[str, object]:
    return {key: value for key, value in BOOK.items() if key != name}


def test_the_documents_example_command_is_understood() -> None:
    match = re.search(r"```json\n(\{\"type\": \"hold\".*?)\n```", DOCUMENT, re.DOTALL)
    assert match
    assert decode_command(match[1]) == protocol.Hold(id="c1", seats=(4, 5))


def test_the_documents_table_has_every_command_and_field() -> None:
    for cells in tables()["command"]:
        name, fields = cells[0].strip("`"), re.findall(r"`(\w+)(\?)?", cells[1])
        kind = protocol._KINDS[name]
        known = {field.name: field.required for field in msgspec.structs.fields(kind) if field.name != "id"}
        for field, optional in fields:
            assert field in known, f"{name} has no {field}"
            if not optional and name != "sync":
                assert known[field], f"{name}.{field} is not required"
    assert {cells[0].strip("`") for cells in tables()["command"]} == set(protocol._KINDS)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", "malformed"),
        (b"{", "malformed"),
        (b"hello", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b'{"type": "mine", "id": "\xed\xa0\x80"}', "malformed"),
        (b'{"type": "mine", "id": "\\ud800"}', "malformed"),
        (b"{}", "unknown_command"),
        (text(type="steal"), "unknown_command"),
        (text(type=5), "unknown_command"),
        (text(type=None), "unknown_command"),
        (b"[]", "invalid"),
        (b"null", "invalid"),
        (text(type="hold"), "invalid"),
        (text(type="hold", seats="1"), "invalid"),
        (text(type="hold", seats=[1.5]), "invalid"),
        (text(type="hold", seats=["1"]), "invalid"),
        (text(type="hold", seats=[True]), "invalid"),
        (text(type="hold", seats=[None]), "invalid"),
        (text(type="hold", seats=[[1]]), "invalid"),
        (text(type="hold", seats=[1], hold_id=7), "invalid"),
        (text(type="hold", seats=[1], hold_id="h" * 65), "invalid"),
        (text(type="hold", seats=[1], id=""), "invalid"),
        (text(type="hold", seats=[1], id="i" * 65), "invalid"),
        (text(type="hold", seats=[1], epoch=-1), "invalid"),
        (b'{"type": "hold", "seats": [1' + b"0" * 5000 + b"]}", "invalid"),
        (text(type="hold", seats=[1], price=0), "invalid"),
        (text(type="release"), "invalid"),
        (text(type="sync", epoch=1, version=-1), "invalid"),
        (text(type="cancel", order_id="me"), "invalid"),
        (text(**without("total")), "invalid"),
        (text(**{**BOOK, "total": -1}), "invalid"),
        (text(**{**BOOK, "name": ""}), "invalid"),
        (text(**{**BOOK, "name": "n" * 201}), "invalid"),
        (text(**{**BOOK, "email": "nobody"}), "invalid"),
        (text(**{**BOOK, "order_id": 7}), "invalid"),
        (b" " * (protocol.MESSAGE_BYTES_MAX + 1), "too_large"),
    ],
)
def test_a_message_that_is_no_command_is_refused_by_its_kind(message: bytes, code: str) -> None:
    with pytest.raises(Refused) as refused:
        decode_command(message)
    assert refused.value.code == code
    assert len(refused.value.detail) > 20


def test_a_refusal_names_the_field_and_an_unknown_command_gets_the_list() -> None:
    with pytest.raises(Refused, match="seats"):
        decode_command(text(type="hold", seats=["1"]))
    with pytest.raises(Refused, match=r"steal.*known: hold, release"):
        decode_command(text(type="steal"))


def test_the_largest_message_is_still_read() -> None:
    message = text(type="mine", id="m")
    assert decode_command(message + b" " * (protocol.MESSAGE_BYTES_MAX - len(message))) == protocol.Mine(
        id="m"
    )


@pytest.mark.parametrize("name", sorted(protocol._KINDS))
def test_http_and_websocket_read_the_same_command(name: str) -> None:
    fields: dict[str, dict[str, object]] = {
        "hold": {"seats": [1]},
        "release": {"hold_id": "1-2"},
        "extend": {"hold_id": "1-2"},
        "book": without("type"),
        "cancel": {"order_id": BOOK["order_id"]},
        "mine": {},
        "sync": {"epoch": 3, "version": 4},
    }
    expected = decode_command(text(type=name, **fields[name]))
    assert decode_as(protocol._KINDS[name], text(**fields[name])) == expected
    assert decode_as(protocol._KINDS[name], text(type=name, **fields[name])) == expected


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[" * 8000, "malformed"),
        (b"{'a': 1}", "malformed"),
        (b'{"seats": "\xff"}', "malformed"),
        (b"[]", "invalid"),
        (b"", "invalid"),
        (b'{"seats": ["1"]}', "invalid"),
        (b'{"seats": [1], "type": "release"}', "invalid"),
        (b'{"seats": [1], "type": {}}', "invalid"),
        (b'{"seats": [1], "more": 1}', "invalid"),
    ],
)
def test_a_body_that_is_no_command_is_refused_by_its_kind(body: bytes, code: str) -> None:
    with pytest.raises(Refused) as refused:
        decode_as(protocol.Hold, body)
    assert refused.value.code == code


# ---- anything at all ----

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(sorted(protocol._KINDS)) | JSON,
        "id": st.text(max_size=70) | JSON,
        "epoch": st.integers() | JSON,
        "version": st.integers() | JSON,
        "seats": st.lists(st.integers()) | JSON,
        "hold_id": st.text(max_size=70) | JSON,
        "order_id": st.uuids().map(str) | JSON,
        "total": st.integers() | JSON,
        "name": st.text() | JSON,
        "email": st.emails() | JSON,
    },
)
DEEP = st.builds(
    lambda depth, opening: b'{"type": "hold", "seats": ' + opening * depth,
    st.integers(1, 4000),
    st.sampled_from([b"[", b'{"a":']),
)
HUGE = st.integers(0, 8000).map(lambda digits: b'{"type": "hold", "seats": [1' + b"0" * digits + b"]}")
MESSAGES = (
    st.binary()
    | (JSON | NEARLY).map(lambda value: json.dumps(value).encode())
    | NEARLY.map(lambda value: json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass"))
    | DEEP
    | HUGE
)


def decoded(decode: Callable[[bytes | str], Command], message: bytes | str) -> None:
    try:
        command = decode(message)
    except Refused as refusal:
        json.dumps(refusal.problem())  # can be told
        msgspec.json.encode(refusal.problem())
    else:
        assert type(command) in protocol._KINDS.values()


@given(MESSAGES)
def test_any_message_is_a_command_or_a_refusal(message: bytes) -> None:
    decoded(decode_command, message)


@given(st.sampled_from(sorted(protocol._KINDS)), MESSAGES)
def test_any_body_is_a_command_or_a_refusal(name: str, body: bytes) -> None:
    decoded(lambda message: decode_as(protocol._KINDS[name], message), body)


@given(st.text(max_size=100))
def test_any_text_is_a_command_or_a_refusal(message: str) -> None:
    decoded(decode_command, message)
