"""The entry that the batch script logs and publishes, and how it is read (`booking/lua/batch.lua` writes it)."""

import struct
from collections.abc import Sequence

import msgspec

from seatmap.model import Change, Mine
from seatmap.protocol import seats_of

_HEADER = struct.Struct("<IIII")  # epoch, version before, version after, how many seats
_touched = msgspec.msgpack.Decoder(list[str])


def decode(entry: bytes) -> Change:
    """One entry of the log or of the channel."""
    epoch, since, to, count = _HEADER.unpack_from(entry)
    seats = struct.unpack_from(f"<{count}I", entry, _HEADER.size)
    private = _touched.decode(memoryview(entry)[_HEADER.size + 4 * count :])
    return Change(
        epoch=epoch,
        since=since,
        to=to,
        seats=seats_of(seats),
        touched=tuple(
            (visitor, reason, mine(words.split(" ")))
            for visitor, reason, words in zip(private[::3], private[1::3], private[2::3], strict=True)
        ),
    )


def mine(fields: Sequence[str]) -> Mine:
    """The six fields in which the scripts say what is a visitor's (`mine` in `_lib.lua`)."""
    hold_id, left_ms, extendable, seats, order_id, order_seats = fields
    return Mine(
        hold_id="" if hold_id == "-" else hold_id,
        expires_in_ms=int(left_ms),
        extendable=extendable == "1",
        seats=indexes(seats),
        order_id="" if order_id == "-" else order_id,
        order_seats=indexes(order_seats),
    )


def indexes(text: str) -> tuple[int, ...]:
    """ "3,4,5" → (3, 4, 5)."""
    return tuple(map(int, text.split(","))) if text else ()
