"""Lists that may be long."""

import asyncio

import msgspec

from seatmap.ledger.seats import SeatTable
from seatmap.model import Status

AT_ONCE = 2000  # seats between two turns for everybody else in the process

_encode = msgspec.json.Encoder().encode
_NAMES = [status.name for status in Status]


async def seats_as_json(table: SeatTable, statuses: bytes) -> bytes:
    """A JSON array of seats, made in pieces: a hundred thousand at once would hold up everybody else."""
    parts = []
    for first in range(0, len(statuses), AT_ONCE):
        piece = slice(first, first + AT_ONCE)
        columns = zip(
            table.labels[piece], table.categories[piece], table.prices[piece], statuses[piece], strict=False
        )
        seats = [
            {
                "index": index,
                "label": label,
                "category": category,
                "price": price,
                "status": _NAMES[status],
                "accessible": index in table.accessible,
            }
            for index, (label, category, price, status) in enumerate(columns, first)
        ]
        if seats:
            parts.append(_encode(seats)[1:-1])
        await asyncio.sleep(0)
    return b"[" + b",".join(parts) + b"]"
