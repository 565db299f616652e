"""Reads pretix seating plans, leniently: what can be mended is mended, and said in a report.

Labels come from the file; neighbours and the order along a row come from geometry. Pixels become the
map's units: the median distance between a seat and the nearest other becomes 10.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain, pairwise
from math import hypot, inf
from statistics import median_low

from msgspec import Struct

from seatmap.errors import PlanInvalid
from seatmap.model import Plan, Seat
from seatmap.plan import neighbours
from seatmap.plan.grid import SEAT_PITCH
from seatmap.plan.pretix_areas import moved, read_color, shapes
from seatmap.plan.pretix_file import PlanFile, RowEntry, ZoneEntry, parse, word
from seatmap.plan.sections import TOO_CLOSE, apart
from seatmap.plan.shapes import Point

_NAME_MAX = 200
_LABEL_MAX = 60
_CATEGORIES_MAX = 100
_PITCH_MIN = 0.01  # pixels; what is drawn around smaller seats would be beyond all numbers
_EXTENT_MAX = 2_000_000.0  # units: 100,000 seats in one line, twice
_NO_CATEGORY = "Standard"
_PLURALS = {
    "category": "categories",
    "piece of a row": "pieces of rows",
    "list of standing areas": "lists of standing areas",
}


class Report(Struct, frozen=True):
    """What was mended in a file: whole sentences with counts, none if the file was fine as it is."""

    mended: tuple[str, ...] = ()


class _Place(Struct, eq=False):
    """A seat on its way into the plan, in pixels. `apart` is the seat that the file puts beyond an aisle."""

    zone: int
    section: str
    row: str
    number: str
    point: Point
    category: str
    apart: "_Place | None" = None


class _Piece(Struct):
    """A row of the file: `key` is the zone and the row number, which the pieces of one row share."""

    key: tuple[int, str]
    places: list[_Place]


class _Notes:
    """Counts what was mended, and says it in the order of first occurrence."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def __call__(self, noun: str, what: str) -> None:
        self.counts[noun, what] += 1

    def report(self) -> Report:
        return Report(tuple(_sentence(count, *note) for note, count in self.counts.items()))


def _sentence(count: int, noun: str, what: str) -> str:
    if count == 1:
        return f"1 {noun} {what}."
    many = _PLURALS.get(noun, noun + "s")
    return f"{count:,} {many} {what}.".replace(" was ", " were ")


def read(data: bytes) -> tuple[Plan, Report]:
    """A pretix seating plan file → the plan, and what was mended. Raises PlanInvalid for a hopeless file."""
    file = parse(data)
    note = _Notes()
    pieces = [piece for z, zone in enumerate(file.zones) for piece in _pieces(file, z, zone, note)]
    _note_guids(file, note)
    _tell_apart(pieces, note)
    runs = _runs(pieces, note)
    _check_size(file, runs, note)
    origins = _move_apart(file, runs, note)
    points = [[place.point for place in run] for run in runs]
    pitch, origin = _fit(points, note)
    scale = SEAT_PITCH / pitch

    def to_map(point: Point) -> Point:
        return (point[0] - origin[0]) * scale, (point[1] - origin[1]) * scale

    categories = _categories(file, runs, note)
    plan = Plan(
        name=word(file.name, "name", _NAME_MAX) or "Seating plan",
        seats=tuple(_seat(place, to_map(place.point)) for place in chain.from_iterable(runs)),
        breaks=_breaks(runs, points, pitch),
        categories=tuple(categories),
        colors=tuple(categories.values()),
        shapes=shapes(file.zones, origins, to_map, note),
    )
    if file.standing:
        note("list of standing areas", "was left out: only seats can be sold")
    return plan, note.report()


def _pieces(file: PlanFile, z: int, zone: ZoneEntry, note: _Notes) -> list[_Piece]:
    """The rows of a zone, with absolute positions and the labels that people see."""
    at = f"zones[{z}]"
    origin = moved(zone.position, (0.0, 0.0), at)
    section = word(zone.name, f"{at}.name", _LABEL_MAX)
    if not section and len(file.zones) > 1:
        section = f"Section {z + 1}"
        note("zone", "had no name and was numbered")
    pieces = []
    for r, row in enumerate(zone.rows or ()):
        if row.seats:
            pieces.append(_piece(row, r, (z, section), origin, f"{at}.rows[{r}]", note))
        else:
            note("row", "had no seats and was left out")
    return pieces


def _piece(row: RowEntry, r: int, zone: tuple[int, str], origin: Point, at: str, note: _Notes) -> _Piece:
    z, section = zone
    x, y = moved(row.position, origin, at)
    number = word(row.row_number, f"{at}.row_number", _LABEL_MAX)
    if not number:
        number = str(r + 1)
        note("row", "had no row_number and was numbered by position in the zone")
    label = _label(word(row.row_label, f"{at}.row_label", _LABEL_MAX), number, "row")
    seat_label = word(row.seat_label, f"{at}.seat_label", _LABEL_MAX)
    places = []
    for s, seat in enumerate(row.seats or ()):
        here = f"{at}.seats[{s}]"
        seat_number = word(seat.seat_number, f"{here}.seat_number", _LABEL_MAX)
        if not seat_number:
            seat_number = str(s + 1)
            note("seat", "had no seat_number and was numbered by position in the row")
        places.append(
            _Place(
                zone=z,
                section=section,
                row=label,
                number=_label(seat_label, seat_number, "seat"),
                point=moved(seat.position, (x, y), here),
                category=word(seat.category, f"{here}.category", _NAME_MAX),
            )
        )
    for count in row.segment_breaks if isinstance(row.segment_breaks, list) else ():
        if isinstance(count, int) and 0 < count < len(places):
            places[count].apart = places[count - 1]
            note("aisle", "was taken from segment_breaks")
    return _Piece((z, number), places)


def _label(template: str, number: str, noun: str) -> str:
    """The template with the number for its %s, without a leading "Row" or "Seat", which is said anyway."""
    label = template.replace("%s", number) if template else number
    return re.sub(rf"^{noun}\s+(?=\S)", "", label, flags=re.IGNORECASE)[:_LABEL_MAX]


def _note_guids(file: PlanFile, note: _Notes) -> None:
    seen: set[object] = set()
    for zone in file.zones:
        for seat in chain.from_iterable(row.seats or () for row in zone.rows or ()):
            if seat.seat_guid in seen and seat.seat_guid not in (None, ""):
                note(
                    "seat", "had the seat_guid of another; seats are known by their place in the plan instead"
                )
            seen.add(seat.seat_guid)


def _tell_apart(pieces: list[_Piece], note: _Notes) -> None:
    """Leave out seats that are in the file twice, and number anew those that only have a label in common."""
    copies: dict[tuple[str, str, str], int] = {}
    known: set[tuple[tuple[str, str, str], Point]] = set()
    for piece in pieces:
        kept = []
        for place in piece.places:
            key = (place.section, place.row, place.number)
            if (key, place.point) in known:
                note("seat", "was in the file twice, with one label and position, and was kept once")
                continue
            known.add((key, place.point))
            if key in copies:
                note("seat", 'had the label of another and got a number with "(2)" or more behind it')
                place.number = _free_number(key, copies)
            copies[place.section, place.row, place.number] = 1
            kept.append(place)
        piece.places = kept


def _free_number(key: tuple[str, str, str], copies: dict[tuple[str, str, str], int]) -> str:
    """The number with the first "(2)", "(3)" … that no seat has yet; `copies` remembers how far that is."""
    section, row, number = key
    copy = copies[key] + 1
    while (section, row, f"{number} ({copy})") in copies:
        copy += 1
    copies[key] = copy
    return f"{number} ({copy})"


def _runs(pieces: Sequence[_Piece], note: _Notes) -> list[list[_Place]]:
    """The physical rows, seats in the order of a walk along each: pieces of one row are put together."""
    walked: defaultdict[tuple[int, str], list[list[_Place]]] = defaultdict(list)
    for piece in pieces:
        order = neighbours.along([place.point for place in piece.places])
        if order and order not in (list(range(len(order))), list(range(len(order)))[::-1]):
            note("row", "had seats in another order than they stand in, and was sorted")
        if order:
            walked[piece.key].append([piece.places[index] for index in order])
    usual = _usual_pitch([[place.point for place in walk] for walk in chain.from_iterable(walked.values())])
    runs = []
    for walks in walked.values():
        joined = neighbours.join([[place.point for place in walk] for walk in walks], usual)
        for links in joined:
            runs.append([place for index, back in links for place in walks[index][:: -1 if back else 1]])
            for _ in links[1:]:
                note("piece of a row", "was joined to the piece beside it")
    return runs


def _check_size(file: PlanFile, runs: Sequence[Sequence[_Place]], note: _Notes) -> None:
    width, height = (file.size.width, file.size.height) if file.size else (0.0, 0.0)
    if not (width > 0 and height > 0):
        return
    for place in chain.from_iterable(runs):
        if not (0 <= place.point[0] <= width and 0 <= place.point[1] <= height):
            note("seat", "lay outside the declared size; the map fits the seats instead")


def _move_apart(file: PlanFile, runs: Sequence[Sequence[_Place]], note: _Notes) -> list[Point]:
    """Move zones that cover each other, and say where the origins of all zones are now."""
    zones: list[list[_Place]] = [[] for _ in file.zones]
    for place in chain.from_iterable(runs):
        zones[place.zone].append(place)
    pitch = _usual_pitch([[place.point for place in run] for run in runs])
    moves = apart([[place.point for place in places] for places in zones], pitch)
    origins = []
    for zone, places, (dx, dy) in zip(file.zones, zones, moves, strict=True):
        if dx or dy:
            note("section", "lay on top of another and was moved aside; look at the map")
            for place in places:
                place.point = (place.point[0] + dx, place.point[1] + dy)
        x, y = moved(zone.position, (0.0, 0.0), "zones[].position")
        origins.append((x + dx, y + dy))
    return origins


def _usual_pitch(runs: Sequence[Sequence[Point]]) -> float:
    """The plan's median distance between seats of a row; from its extent where every row is one seat."""
    if pitches := [pitch for run in runs if (pitch := neighbours.pitch(run))]:
        return median_low(pitches)
    points = list(chain.from_iterable(runs))
    return _extent(points) / len(points) ** 0.5 or SEAT_PITCH


def _extent(points: Sequence[Point]) -> float:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return hypot(max(xs) - min(xs), max(ys) - min(ys))


def _fit(runs: Sequence[Sequence[Point]], note: _Notes) -> tuple[float, Point]:
    """(pitch in pixels, the upper left corner of all seats). Raises PlanInvalid for an impossible extent."""
    points = list(chain.from_iterable(runs))
    usual, extent = _usual_pitch(runs), _extent(points)
    if extent > usual * _EXTENT_MAX / SEAT_PITCH:
        raise PlanInvalid(
            f"The seats are {extent:,.0f} pixels apart but stand {usual:g} from each other; "
            "a seat has a wrong position, or the unit is wrong."
        )
    near = [gap for gap in neighbours.nearest(points, usual) if 0 < gap < inf]
    pitch = median_low(near) if near else usual
    if pitch < _PITCH_MIN:
        raise PlanInvalid(f"The seats stand only {pitch:g} pixels from each other; give positions in pixels.")
    for gap in neighbours.nearest(points, pitch):
        if gap < pitch * TOO_CLOSE:
            note("seat", "lay on top of another and may be hard to choose; look at the map")
    return pitch, (min(x for x, _ in points), min(y for _, y in points))


def _breaks(
    runs: Sequence[Sequence[_Place]], points: Sequence[Sequence[Point]], pitch: float
) -> frozenset[int]:
    """Where neighbours end: gaps, and the aisles that the file knows of."""
    every = list(chain.from_iterable(runs))
    known = {
        index
        for index, (before, after) in enumerate(pairwise(every), 1)
        if after.apart is before or before.apart is after
    }
    return neighbours.breaks(points, pitch) | known


def _categories(file: PlanFile, runs: Sequence[Sequence[_Place]], note: _Notes) -> dict[str, str]:
    """Category → colour, in the file's order, then those that only seats know."""
    used: dict[str, None] = {}
    for place in chain.from_iterable(runs):
        if not place.category:
            place.category = _NO_CATEGORY
            note("seat", f"had no category and was put into {_NO_CATEGORY!r}")
        used[place.category] = None
    found: dict[str, str] = {}
    for c, entry in enumerate(file.categories or ()):
        name = word(entry.name, f"categories[{c}].name", _NAME_MAX)
        if name in found:
            note("category", "was declared twice; the first counts")
        elif name not in used:
            note("category", "had no seat and was left out")
        else:
            found[name] = read_color(entry.color, note)
            if not entry.color:
                note("category", "had no colour; the page chooses one")
    for name in used:
        if name not in found:
            found[name] = ""
            note("category", "was used by seats but not declared, and was added")
    if len(found) > _CATEGORIES_MAX:
        raise PlanInvalid(
            f"The file has {len(found):,} categories; at most {_CATEGORIES_MAX} can have a price."
        )
    return found


def _seat(place: _Place, point: Point) -> Seat:
    return Seat(
        section=place.section,
        row=place.row,
        number=place.number,
        x=round(point[0], 2),
        y=round(point[1], 2),
        category=place.category,
    )
