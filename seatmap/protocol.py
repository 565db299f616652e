"""The wire: binary frames that carry seats, JSON text that carries commands and replies.

docs/protocol.md gives the byte offsets and a worked example, which a test reads. Everything is little
endian and aligned to 4 bytes. Statuses are absolute, so overlap is harmless and merging loses nothing.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from seatmap.errors import Refused
from seatmap.model import Position

SNAPSHOT, CHANGE, HEARTBEAT, REBASE, AGES = 1, 2, 3, 4, 5
STALE = 1  # flag of a heartbeat: the map may be older than 5 s

_HEADER = struct.Struct("<BBHIII")  # type, flags, plan_version, epoch, then two u32 by type
_REBASE = struct.Struct("<II")  # the position that the frame continues
AGE_STEP_SECONDS = 10
MESSAGE_BYTES_MAX = 8192


def pack_statuses(statuses: bytes | bytearray) -> bytes:
    """One byte per seat → two bits per seat, seat 0 in the lowest bits, padded with zeros to 4 bytes."""
    padded = bytes(statuses) + bytes(-len(statuses) % 16)
    # Each quarter is one big integer, so that the shifts and ors run in C over the whole map.
    a, b, c, d = (int.from_bytes(padded[k::4], "little") for k in range(4))
    return (a | b << 2 | c << 4 | d << 6).to_bytes(len(padded) // 4, "little")


def snapshot_frame(position: Position, plan_version: int, statuses: bytes | bytearray) -> bytes:
    """All seats: 16 bytes of header, then two bits per seat."""
    header = _HEADER.pack(SNAPSHOT, 0, plan_version & 0xFFFF, position.epoch, position.version, len(statuses))
    return header + pack_statuses(statuses)


def _entries(seats: Mapping[int, int]) -> bytes:
    return struct.pack(f"<{len(seats)}I", *(seat << 8 | status for seat, status in seats.items()))


def change_frame(epoch: int, since: int, to: int, plan_version: int, seats: Mapping[int, int]) -> bytes:
    """The seats changed after version `since` up to `to`: 16 bytes of header, then u32 seat << 8 | status."""
    return _HEADER.pack(CHANGE, 0, plan_version & 0xFFFF, epoch, since, to) + _entries(seats)


def rebase_frame(old: Position, new: Position, plan_version: int, seats: Mapping[int, int]) -> bytes:
    """What a rebuild changed, for screens at exactly `old`: header, `old`, then u32 entries."""
    header = _HEADER.pack(REBASE, 0, plan_version & 0xFFFF, new.epoch, new.version, len(seats))
    return header + _REBASE.pack(old.epoch, old.version) + _entries(seats)


def heartbeat_frame(position: Position, plan_version: int, viewers: int, *, stale: bool) -> bytes:
    """I am here, at this position, and this many watch."""
    return _HEADER.pack(
        HEARTBEAT, STALE if stale else 0, plan_version & 0xFFFF, position.epoch, position.version, viewers
    )


def ages_frame(position: Position, plan_version: int, ages: Mapping[int, int]) -> bytes:
    """For how many seconds each held seat has been so, for the dashboard: header, then u32 seat << 8 | steps."""
    steps = {seat: min(255, seconds // AGE_STEP_SECONDS) for seat, seconds in ages.items()}
    header = _HEADER.pack(AGES, 0, plan_version & 0xFFFF, position.epoch, position.version, len(ages))
    return header + _entries(steps)


def websocket_binary(payload: bytes) -> bytes:
    """`payload` as one binary message, ready to write to any server transport."""
    return _websocket_header(0x82, len(payload)) + payload


def websocket_text(payload: bytes) -> bytes:
    """`payload`, UTF-8, as one text message, ready to write to any server transport."""
    return _websocket_header(0x81, len(payload)) + payload


def _websocket_header(first: int, size: int) -> bytes:
    """Of one whole, unmasked, uncompressed message (RFC 6455 §5.2)."""
    if size < 126:
        return bytes((first, size))
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2, "big")
    return bytes((first, 127)) + size.to_bytes(8, "big")


# ---- commands: what a page may ask. `id` is made by the page; the reply repeats it. ----

CommandId = Annotated[str, Meta(min_length=1, max_length=64)]
HoldId = Annotated[str, Meta(max_length=64)]
Seats = tuple[int, ...]
# A dollar alone would let a last line break pass.
END = r"(?!\n)$"
Name = Annotated[
    str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*" + END)
]
_ADDRESS = r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+"
Email = Annotated[str, Meta(max_length=254, pattern=f"^{_ADDRESS}{END}")]
EmailIfAny = Annotated[str, Meta(max_length=254, pattern=f"^({_ADDRESS})?{END}")]


class _Command(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    id: CommandId = "-"
    epoch: Annotated[int, Meta(ge=0)] = 0  # of the map that the visitor looks at; 0: any


class Hold(_Command, frozen=True, kw_only=True, tag="hold"):
    """Add `seats` to my hold, all or none; without `hold_id`, continue my hold or start one."""

    seats: Seats
    hold_id: HoldId = ""


class Release(_Command, frozen=True, kw_only=True, tag="release"):
    """Give `seats` of my hold back; none named: all of them."""

    hold_id: HoldId
    seats: Seats = ()


class Extend(_Command, frozen=True, kw_only=True, tag="extend"):
    """Give my hold more time: once, by the event's extension."""

    hold_id: HoldId


class Book(_Command, frozen=True, kw_only=True, tag="book"):
    """Buy exactly `seats`, which are my whole hold, for `total`. `order_id` is made by the page and kept."""

    order_id: UUID
    hold_id: HoldId
    seats: Seats
    total: Annotated[int, Meta(ge=0)]
    name: Name
    email: Email
    payment_method: Annotated[str, Meta(max_length=40)] = ""  # one of the event's; empty: its first


class Cancel(_Command, frozen=True, kw_only=True, tag="cancel"):
    """Give a whole order back."""

    order_id: UUID


class Mine(_Command, frozen=True, kw_only=True, tag="mine"):
    """Tell me what is mine now."""


class Sync(_Command, frozen=True, kw_only=True, tag="sync"):
    """My map is at this position: send what it misses (a websocket command only)."""

    version: Annotated[int, Meta(ge=0)] = 0


Command = Hold | Release | Extend | Book | Cancel | Mine | Sync


# ---- what the server says in text ----


class MineState(Struct, frozen=True, kw_only=True, tag="mine", tag_field="type"):
    """What is mine in this event, at a position; absolute. `expires_in_ms` counts from its sending.

    `checkout` is the order that is being decided; its seats are shown as held.
    """

    epoch: int
    version: int
    hold_id: str = ""
    seats: Seats = ()
    expires_in_ms: int = 0
    extendable: bool = False
    checkout: str = ""
    checkout_seats: Seats = ()
    # Why it changed without my asking: expired, lost, released, paid, payment_failed; else empty.
    reason: str = ""


class Hello(Struct, frozen=True, kw_only=True, tag="hello", tag_field="type"):
    """First message of a connection, and again whenever something of it has changed."""

    event_id: int
    plan_version: int
    heartbeat_ms: int
    reconnect_ms: int
    seats_per_visitor: int
    sale: str  # on_sale, paused, not_yet, ended, closed
    message: str = ""  # of the box office to everybody who looks; empty for none


class Reply(Struct, frozen=True, kw_only=True, tag="reply", tag_field="type", omit_defaults=True):
    """The answer to the command `id`: `mine` after it, or `order`, or `error` (a problem)."""

    id: str
    mine: MineState | None = None
    order: Any = None  # a booked or cancelled order, in the shape of GET /api/orders/{id}
    error: dict[str, Any] | None = None


class Answering(Struct, frozen=True):
    """Whether a store answers, and how fast, in ms."""

    ok: bool
    ms: float


class Process(Struct, frozen=True):
    """One web process of an event."""

    pid: int
    viewers: int


class Dashboard(Struct, frozen=True, kw_only=True, tag="dashboard", tag_field="type"):
    """How an event fares now, for its staff. Rates are means of 5 s; the funnel counts baskets of 5 minutes.

    `refusals` is code → a second. `stuck_payments` counts orders whose payment got nowhere.
    """

    epoch: int
    version: int
    viewers: int
    counts: dict[str, int]
    holds_per_s: float
    books_per_s: float
    refusals: dict[str, float]
    funnel: dict[str, int]
    revenue: int  # minor units
    currency: str
    command_p99_ms: float
    stuck_payments: int
    redis: Answering
    postgres: Answering
    processes: list[Process]


class History(Struct, frozen=True, kw_only=True, tag="history", tag_field="type"):
    """The rates of the last 5 minutes, one per second, the oldest first: once, after the hello."""

    holds_per_s: list[float]
    books_per_s: list[float]


_KINDS: dict[str, type[Struct]] = {
    str(kind.__struct_config__.tag): kind for kind in (Hold, Release, Extend, Book, Cancel, Mine, Sync)
}
_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_encoder = msgspec.json.Encoder()


def decode_command(message: bytes | str) -> Command:
    """One command from JSON text. Refuses with malformed, unknown_command, invalid or too_large."""
    if len(message) > MESSAGE_BYTES_MAX:
        raise Refused("too_large", f"A message may have {MESSAGE_BYTES_MAX} bytes.")
    with _refusing(of_type="unknown_command"):
        return _decoder.decode(message)


def decode_as(kind: Any, body: bytes) -> Any:
    """A JSON body as a Struct (or another type). Refuses with malformed or invalid."""
    with _refusing():
        # In two steps, so that what is no JSON is told from what is the wrong JSON.
        return msgspec.convert(msgspec.json.decode(body or b"{}"), kind)


_SENTENCES = {
    "name": "name should be text of 1 to 200 characters, on one line.",
    "email": "email should be an address like name@example.org, of at most 254 characters.",
}


@contextmanager
def _refusing(*, of_type: str = "invalid") -> Iterator[None]:
    try:
        yield
    except msgspec.ValidationError as error:
        text = str(error)
        if "$.type" in text or "`type`" in text:
            raise Refused(of_type, f"{text}; known: {', '.join(_KINDS)}.") from None
        raise Refused("invalid", _SENTENCES.get(text.rpartition("`$.")[2].strip("`"), f"{text}.")) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("malformed", f"The message is not valid JSON: {error}.") from None


def command_id(message: bytes | str) -> str:
    """The id of a message that is not a command, as far as it has one; so that its refusal can be matched."""
    try:
        found = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    name = found.get("id") if isinstance(found, dict) else None
    return name if isinstance(name, str) else ""


def encode(message: Struct) -> bytes:
    """A server message as JSON text."""
    return _encoder.encode(message)


def seats_of(entries: Iterable[int]) -> dict[int, int]:
    """u32 entries (seat << 8 | status) → {seat: status}."""
    return {entry >> 8: entry & 0xFF for entry in entries}
