"""What a pretix plan draws behind its seats, as polygons and words."""

from collections.abc import Callable, Sequence

from seatmap.errors import PlanInvalid
from seatmap.model import Shape
from seatmap.plan.colors import normal
from seatmap.plan.pretix_file import COORDINATE_MAX, XY, AreaEntry, AreaText, Word, ZoneEntry, word
from seatmap.plan.shapes import Point, ellipse, flat, rectangle, turned

Note = Callable[[str, str], None]  # (noun, what was mended), counted by the report
ToMap = Callable[[Point], Point]  # pixels of the file → units of the map

_TEXT_MAX = 200


def moved(point: XY | None, by: Point, where: str) -> Point:
    """A position of the file, relative to `by`, in pixels. Raises PlanInvalid beyond ±1,000,000."""
    x, y = (by[0] + point.x, by[1] + point.y) if point else by
    if not (abs(x) <= COORDINATE_MAX and abs(y) <= COORDINATE_MAX):
        raise PlanInvalid(f"{where} lies at {x:g}, {y:g}; positions must be within ±{COORDINATE_MAX:,.0f}.")
    return x, y


def read_color(color: object, note: Note, noun: str = "colour") -> str:
    """A colour of the file as #rrggbb, or empty with a note."""
    if color is None or color == "":
        return ""
    known = normal(color) if isinstance(color, str) else ""
    if not known:
        note(noun, "was neither #rgb, #rrggbb nor a CSS name, and was left to the page")
    return known


def shapes(
    zones: Sequence[ZoneEntry], origins: Sequence[Point], to_map: ToMap, note: Note
) -> tuple[Shape, ...]:
    """All areas of the file, in its order; `origins` are where its zones are, in pixels."""
    found: list[Shape] = []
    for z, (zone, origin) in enumerate(zip(zones, origins, strict=True)):
        for a, area in enumerate(zone.areas or ()):
            found += _shapes_of(area, origin, f"zones[{z}].areas[{a}]", to_map, note)
    return tuple(found)


def _shapes_of(area: AreaEntry, origin: Point, where: str, to_map: ToMap, note: Note) -> list[Shape]:
    """An area's outline and its word, which is in the outline where it has a place there."""
    x, y = moved(area.position, origin, where)
    text, place, text_color = _text_of(area.text, (x, y), where, note)
    outline = _outline(area, x, y, where)
    color = read_color(area.color, note)
    if not outline and not text:
        note("area", "had neither an outline nor a text, and was left out")
        return []
    found = []
    inside = bool(outline) and _contains(outline, place)
    if outline:
        points = turned(outline, x, y, (area.rotation or 0.0) % 360)
        found.append(Shape(points=flat(map(to_map, points)), text=text if inside else "", color=color))
    if text and not inside:
        found.append(Shape(points=flat([to_map(place)]), text=text, color=text_color))
    return found


def _text_of(text: AreaText | str | None, at: Point, where: str, note: Note) -> tuple[str, Point, str]:
    """(the word, where its middle is, its colour)."""
    entry = AreaText(text=text) if isinstance(text, str) else text or AreaText()
    if isinstance(text, str) and text:
        note("area", "had a plain string as text, as older files do")
    said: Word = word(entry.text, f"{where}.text", _TEXT_MAX)
    return str(said), moved(entry.position, at, f"{where}.text"), read_color(entry.color, note)


def _outline(area: AreaEntry, x: float, y: float, where: str) -> list[Point]:
    """The corners in pixels before the area is turned; empty for a mere text or an outline without size."""
    points: list[Point] = []
    if area.shape == "polygon" and area.polygon:
        points = [moved(point, (x, y), f"{where}.polygon") for point in area.polygon.points or ()]
        points = points if len(points) >= 3 else []
    elif area.shape == "rectangle" and area.rectangle:
        width, height = area.rectangle.width, area.rectangle.height
        points = rectangle(x, y, width, height) if width > 0 and height > 0 else []
    elif area.shape == "ellipse" and area.ellipse and (radius := area.ellipse.radius):
        points = ellipse(x, y, radius.x, radius.y) if radius.x > 0 and radius.y > 0 else []
    elif area.shape == "circle" and area.circle and area.circle.radius > 0:
        points = ellipse(x, y, area.circle.radius, area.circle.radius)
    for px, py in points:
        moved(XY(px, py), (0.0, 0.0), where)
    return points


def _contains(outline: Sequence[Point], point: Point) -> bool:
    """Whether the point lies within the outline's box, its edge included: a word given no place is there."""
    xs, ys = [x for x, _ in outline], [y for _, y in outline]
    return min(xs) <= point[0] <= max(xs) and min(ys) <= point[1] <= max(ys)
