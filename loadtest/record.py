"""What clients were told, one JSON object per line, for the audit afterwards."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct


class Told(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="order", tag_field="kind"):
    """The answer to a `book` or `cancel`. `answer` is booked, cancelled, refused or unknown (none came)."""

    event_id: int
    order_id: str
    command: str
    answer: str
    seats: tuple[int, ...] = ()
    code: str = ""


class Seen(Struct, frozen=True, kw_only=True, tag="map", tag_field="kind"):
    """A page's map at the end, and what the site said over HTTP at the same position; digits, one per seat.

    `site` is empty where the page never came to a position of the site.
    """

    event_id: int
    epoch: int
    version: int
    page: str
    site: str


Record = Told | Seen

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


class Records:
    """Appends records to a file, which it begins anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("wb")

    def add(self, record: Record) -> None:
        """Keep a record; it is in the file when this returns, whatever becomes of the process."""
        self._file.write(_encode(record) + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read(paths: Iterable[Path]) -> Iterator[Record]:
    """All records of some files. Raises ValueError, naming the line, for what is none."""
    for path in paths:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                yield _decode(line)
            except msgspec.MsgspecError as error:
                raise ValueError(f"{path}, line {number} is no record: {error}") from error
