"""The pretix seating plan file, as it is found in the wild: bytes in, typed structs or PlanInvalid out.

The published schema forbids unknown fields and has integer positions. Real files have more fields, floats,
nulls and numbers for text, and older ones have `areas[].text` as a plain string; all of that is read.
"""

import re
from typing import Any

import msgspec
from msgspec import Struct, field

from seatmap.errors import PlanInvalid

BYTES_MAX = 5_000_000
SEATS_MAX = 100_000
AREAS_MAX = 5_000
POINTS_MAX = 100_000
COORDINATE_MAX = 1_000_000.0

_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_PLAIN = {"str": "text", "int": "number", "float": "number", "array": "list", "bool": "true or false"}

Word = str | int | float | None


class XY(Struct):
    """Pixels, y downwards, relative to what contains it."""

    x: float = 0.0
    y: float = 0.0


class Size(Struct):
    """Pixels; 0 where the file does not say."""

    width: float = 0.0
    height: float = 0.0


class CategoryEntry(Struct):
    """A category as declared; seats refer to its name."""

    name: Word = ""
    color: Any = None


class SeatEntry(Struct):
    """One seat."""

    seat_number: Word = None
    seat_guid: Word = None
    category: Word = None
    position: XY | None = None


class RowEntry(Struct):
    """One row, or a piece of one. `segment_breaks` are counts of seats after which an aisle comes."""

    row_number: Word = None
    row_label: Word = None
    seat_label: Word = None
    position: XY | None = None
    seats: list[SeatEntry] | None = None
    segment_breaks: Any = None


class Polygon(Struct):
    """Its corners."""

    points: list[XY] | None = None


class Ellipse(Struct):
    """Its half axes."""

    radius: XY | None = None


class Circle(Struct):
    """Its radius."""

    radius: float = 0.0


class AreaText(Struct):
    """A word in an area."""

    text: Word = ""
    position: XY | None = None
    color: Any = None


class AreaEntry(Struct):
    """Something drawn: `shape` says which of the outlines counts; `rotation` is in degrees, clockwise."""

    shape: Word = ""
    position: XY | None = None
    rotation: float | None = 0.0
    color: Any = None
    polygon: Polygon | None = None
    rectangle: Size | None = None
    ellipse: Ellipse | None = None
    circle: Circle | None = None
    text: AreaText | str | None = None


class ZoneEntry(Struct):
    """A section."""

    name: Word = None
    position: XY | None = None
    rows: list[RowEntry] | None = None
    areas: list[AreaEntry] | None = None


class PlanFile(Struct):
    """The whole file. `standing` is an extension of some files: areas without seats."""

    name: Word = None
    size: Size | None = None
    categories: list[CategoryEntry] | None = None
    zones: list[ZoneEntry] = field(default_factory=list)
    standing: Any = None


def parse(data: bytes) -> PlanFile:
    """The file as structs, with its limits checked. Raises PlanInvalid, which says what to do about it."""
    if len(data) > BYTES_MAX:
        raise PlanInvalid(
            f"The file has {len(data) / 1e6:.1f} MB; a plan has at most {BYTES_MAX / 1e6:.0f} MB. "
            "Remove background pictures, or split the venue."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PlanInvalid(f"The file is not UTF-8 text (byte {error.start:,}); save it as UTF-8.") from error
    try:
        file = msgspec.json.decode(text, type=PlanFile)
    except RecursionError as error:
        raise PlanInvalid("The file is nested too deeply to be a seating plan.") from error
    except msgspec.ValidationError as error:
        raise PlanInvalid(_wrong_type(str(error))) from error
    except msgspec.DecodeError as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise PlanInvalid(f"The file is not JSON: {reason}. Export the plan again.") from error
    _check_counts(file)
    return file


def word(value: Word, where: str, limit: int) -> str:
    """A name or number of the file as one clean line. Raises PlanInvalid where it cannot be shown."""
    if isinstance(value, float) and value == int(value):
        value = int(value)
    text = "" if value is None else " ".join(str(value).split())
    if len(text) > limit:
        raise PlanInvalid(
            f"{where} has {len(text):,} characters ({text[:20]}…); at most {limit} can be shown."
        )
    if found := _UNFIT.search(text):
        raise PlanInvalid(f"{where} contains a control character (U+{ord(found[0]):04X}); remove it.")
    return text


def _check_counts(file: PlanFile) -> None:
    seats = sum(len(row.seats or ()) for zone in file.zones for row in zone.rows or ())
    if not seats:
        raise PlanInvalid("The file has no seats: zones[].rows[].seats is empty everywhere.")
    if seats > SEATS_MAX:
        raise PlanInvalid(f"The file has {seats:,} seats; a plan has at most {SEATS_MAX:,}.")
    areas = [area for zone in file.zones for area in zone.areas or ()]
    points = sum(len(area.polygon.points or ()) for area in areas if area.polygon)
    if len(areas) > AREAS_MAX or points > POINTS_MAX:
        raise PlanInvalid(
            f"The file draws {len(areas):,} areas with {points:,} points; "
            f"at most {AREAS_MAX:,} with {POINTS_MAX:,} can be shown. Simplify the drawing."
        )


def _wrong_type(message: str) -> str:
    """The decoder's message as a sentence that begins with where in the file."""
    reason, _, path = message.partition(" - at `$")
    reason = re.sub(r"`(\w+)`", lambda kind: _PLAIN.get(kind[1], kind[1]), reason.replace(" | ", "` or `"))
    where = path.strip("`").removeprefix(".") or "The file"
    return f"{where} cannot be read: {reason[:1].lower()}{reason[1:]}."
