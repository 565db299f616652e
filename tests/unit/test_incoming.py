"""What a page sends, however its bytes are cut: messages out, pongs and closes out, and nothing kept for long."""

import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from seatmap.web.incoming import FRAGMENTS_MAX, SOCKET_MESSAGE_BYTES_MAX, Incoming, only_text
from seatmap.web.limits import Bucket

MASK = b"\x37\xfa\x21\x3d"


def masked(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A page's frame. The mask is always the same, and so are the names of the tests that are made of it."""
    wire = Frame(Opcode(opcode), payload, fin).serialize(mask=False)
    head = len(wire) - len(payload)
    hidden = bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))
    return bytes([wire[0], wire[1] | 0x80]) + wire[2:head] + MASK + hidden


def test_one_short_text_needs_no_parser() -> None:
    for text in ("", "a", "Reihe Ä 🎭", "x" * 125, "x" * 126, "x" * 65_535):
        assert only_text(masked(1, text.encode())) == text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81",
        masked(1, b"cut off")[:-1],
        masked(1, b"one") + masked(1, b"two"),
        masked(2, b"binary"),
        masked(9, b"ping"),
        masked(1, b"piece", fin=False),
        masked(1, b"\xff no utf-8"),
        masked(1, b"x" * 65_536),
        b"\x81\x04text",  # not masked
        b"\xc1" + masked(1, b"compressed")[1:],
        b"\x81\xfe\x00\x02\0\0\0\0ab",  # its length said longer than need be
    ],
)
def test_anything_else_does(data: bytes) -> None:
    assert only_text(data) is None


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 9, 10]), st.binary(max_size=120)), max_size=6),
    st.lists(st.integers(0, 200), max_size=5),
)
def test_messages_are_the_same_however_they_are_cut(sent: list[tuple[int, bytes]], cuts: list[int]) -> None:
    texts = [(kind, payload.hex().encode()[:120] if kind == 1 else payload) for kind, payload in sent]
    stream = b"".join(masked(kind, payload) for kind, payload in texts)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    incoming, heard, answers = Incoming(Bucket()), [], b""
    for start, end in pairwise(edges):
        heard += incoming.receive(stream[start:end], 0.0)
        answers += incoming.answer()
    assert heard == [payload.decode() if kind == 1 else None for kind, payload in texts if kind in (1, 2)]
    assert answers == b"".join(bytes([0x8A, len(p)]) + p for kind, p in texts if kind == 9)
    assert incoming.idle
    assert not incoming.ended


def test_it_is_not_idle_while_anything_is_under_way() -> None:
    whole = masked(1, b"x" * 300)
    for cut in range(1, len(whole)):
        incoming = Incoming(Bucket())
        assert incoming.receive(whole[:cut], 0.0) == []
        assert not incoming.idle, cut
        assert incoming.receive(whole[cut:], 0.0) == ["x" * 300]
        assert incoming.idle


def test_pieces_make_one_message_and_pings_may_come_between() -> None:
    incoming = Incoming(Bucket())
    assert incoming.receive(masked(1, b"ab", fin=False), 0.0) == []
    assert not incoming.idle
    assert incoming.receive(masked(9, b"?") + masked(0, b"cd"), 0.0) == ["abcd"]
    assert incoming.answer() == b"\x8a\x01?"
    assert incoming.idle


def test_a_goodbye_is_answered_and_ours_waited_for() -> None:
    theirs = Incoming(Bucket())
    assert theirs.receive(masked(8, struct.pack("!H", 1000)), 0.0) == []
    assert (theirs.answer(), theirs.ended) == (b"\x88\x02\x03\xe8", True)
    together = Incoming(Bucket())
    said = masked(1, b"one") + masked(2, b"two") + masked(8, b"")
    assert together.receive(said, 0.0) == ["one", None], "what was said before the goodbye counts"
    ours = Incoming(Bucket())
    assert ours.goodbye(1012) == b"\x88\x02\x03\xf4"
    assert not ours.ended
    ours.receive(masked(8, struct.pack("!H", 1012)), 0.0)
    assert (ours.answer(), ours.ended) == (b"", True)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x02no", 1002),  # not masked
        (masked(0, b"a piece of nothing"), 1002),
        (masked(1, b"\xff"), 1007),
        (masked(1, b"x" * (SOCKET_MESSAGE_BYTES_MAX + 1)), 1009),
        (masked(1, b"x" * 40_000, fin=False) + masked(0, b"x" * 40_000), 1009),
    ],
)
def test_who_breaks_the_rules_is_told_so_and_read_no_further(data: bytes, code: int) -> None:
    incoming = Incoming(Bucket())
    assert incoming.receive(data, 0.0) == []
    assert struct.unpack_from("!H", incoming.answer(), 2)[0] == code
    assert incoming.ended


def test_nothing_of_it_is_left_once_it_is_dropped() -> None:
    import gc
    import weakref

    gc.disable()
    try:
        incoming: Any = Incoming(Bucket())
        incoming.receive(masked(1, b"one") + masked(1, b"two"), 0.0)
        known = weakref.ref(incoming._connection)
        incoming.drop()
        del incoming
        assert known() is None
    finally:
        gc.enable()


def test_pings_without_end_are_counted_over_all_that_is_read() -> None:
    controls, answered = Bucket(), 0
    for _ in range(100):
        incoming = Incoming(controls)
        incoming.receive(masked(9, b"?"), 0.0)
        if incoming.ended:
            break
        assert incoming.answer() == b"\x8a\x01?"
        answered += 1
    assert answered == 30
    assert struct.unpack_from("!H", incoming.answer(), 2)[0] == 1008
    assert Incoming(controls).receive(masked(9, b"?") + masked(1, b"later"), 10.0) == ["later"]


def test_a_message_has_so_many_pieces() -> None:
    incoming = Incoming(Bucket())
    incoming.receive(masked(1, b"a", fin=False) + masked(0, b"", fin=False) * (FRAGMENTS_MAX - 1), 0.0)
    assert not incoming.ended
    assert incoming.receive(masked(0, b"z") + masked(1, b"more"), 0.0) == []
    assert (struct.unpack_from("!H", incoming.answer(), 2)[0], incoming.ended) == (1008, True)
