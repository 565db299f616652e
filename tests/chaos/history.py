"""What a run wrote down: calls and answers, frames, final maps, faults. One JSON array per line.

Times are `time.monotonic_ns` of one machine. A call is written before it is sent, its answer when it came; a call
without an answer, or with one that says so, has an unknown outcome.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct


class Call(Struct, frozen=True, array_like=True, tag="call"):
    """Something asked for. `visitor` is who asks (one cookie), `web` of which process, `way` ws or http."""

    n: int
    t: int
    op: str  # hold, release, extend, book, cancel, pay, event_cancel
    visitor: str
    event: int
    web: int
    way: str
    seats: tuple[int, ...] = ()
    hold_id: str = ""
    order_id: str = ""
    word: str = ""  # of pay: how


class Answer(Struct, frozen=True, array_like=True, tag="answer"):
    """What came of call `n`. `result` is ok, refused or unknown; the position is that after the batch."""

    n: int
    t: int
    result: str
    code: str = ""
    epoch: int = 0
    version: int = 0
    hold_id: str = ""
    seats: tuple[int, ...] = ()
    expires_ms: int = 0
    status: str = ""  # of an order


class Left(Struct, frozen=True, array_like=True, tag="left"):
    """A client that crashed: it will never ask about this order again."""

    t: int
    order_id: str


class Told(Struct, frozen=True, array_like=True, tag="told"):
    """A page was told that what is its visitor's has changed, and why."""

    t: int
    visitor: str
    event: int
    reason: str


class Frame(Struct, frozen=True, array_like=True, tag="frame"):
    """What a viewer showed after a frame: `map` is the CRC-32 of its statuses. `connection` counts its lives."""

    t: int
    viewer: str
    connection: int
    event: int
    kind: int
    epoch: int
    version: int
    map: int
    stale: bool = False


class LastMap(Struct, frozen=True, array_like=True, tag="map"):
    """A viewer's map when all was quiet, as digits."""

    viewer: str
    event: int
    epoch: int
    version: int
    statuses: str


class Fault(Struct, frozen=True, array_like=True, tag="fault"):
    """Something that the nemesis did, from `begin` until it was mended. `loses`: Redis may have lost state."""

    begin: int
    end: int
    kind: str
    target: str
    loses: bool = False
    clock: bool = False


class Phase(Struct, frozen=True, array_like=True, tag="phase"):
    """A part of the run began: prologue, faults, healed, end."""

    t: int
    name: str


Line = Call | Answer | Left | Told | Frame | LastMap | Fault | Phase

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode
now = time.monotonic_ns


class History:
    """Appends lines to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] = path.open("ab", buffering=0)
        self._calls = 0

    def add(self, line: Line) -> None:
        """Keep a line; it is in the file when this returns."""
        self._file.write(_encode(line) + b"\n")

    def number(self) -> int:
        """The number of the next call."""
        self._calls += 1
        return self._calls

    def close(self) -> None:
        self._file.close()


class Op(Struct):
    """A call with its answer, if one came."""

    call: Call
    answer: Answer | None = None

    @property
    def result(self) -> str:
        return self.answer.result if self.answer else "unknown"

    @property
    def returned(self) -> int:
        """When the answer came; never, for none."""
        return self.answer.t if self.answer else 1 << 63


def read(paths: Iterable[Path]) -> Iterator[Line]:
    """All lines of some files. Raises ValueError, naming the line, for what is none."""
    for path in paths:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield _decode(line)
                except msgspec.MsgspecError as error:
                    raise ValueError(f"{path}, line {number}: {error}") from error


class Run(Struct):
    """All that a run wrote down, sorted by kind."""

    ops: list[Op]
    left: list[Left]
    told: list[Told]
    frames: list[Frame]
    maps: list[LastMap]
    faults: list[Fault]
    phases: dict[str, int]
    patience: float = 1.0  # by which bounds on time are longer


def gather(lines: Iterable[Line]) -> Run:
    """Lines, in any order of files, as a run. Calls are in the order in which they were made."""
    run = Run([], [], [], [], [], [], {})
    open_calls: dict[int, Op] = {}
    for line in lines:
        match line:
            case Call():
                open_calls[line.n] = op = Op(line)
                run.ops.append(op)
            case Answer():
                open_calls.pop(line.n).answer = line
            case Left():
                run.left.append(line)
            case Told():
                run.told.append(line)
            case Frame():
                run.frames.append(line)
            case LastMap():
                run.maps.append(line)
            case Fault():
                run.faults.append(line)
            case Phase():
                run.phases[line.name] = line.t
    run.faults.sort(key=lambda fault: fault.begin)
    return run
