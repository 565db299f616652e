"""Plans from numbers: sections of rows × columns, straight or curved, with aisles.

Units are those of the map: seats of one row are 10 apart, rows 11.5. The stage is above, at smaller y;
row A is nearest to it and seat 1 at the left of who looks at the stage's picture from below.
"""

from collections.abc import Sequence
from math import cos, degrees, radians, sin

from msgspec import Struct

from seatmap.errors import PlanInvalid
from seatmap.model import Plan, Seat, Shape
from seatmap.plan.shapes import Point, arc, ellipse, flat, stage_outline, turned

SEAT_PITCH = 10.0
ROW_PITCH = 11.5
AISLE = 14.0
SEATS_MAX = 150_000

_SIDE_MAX = 2_000
_NAME_MAX = 200
_EXTENT_MAX = 1_000_000.0
_PANEL = 9.0  # how far a section's panel reaches beyond the centres of its outer seats


class Block(Struct, frozen=True, kw_only=True):
    """One section of a venue.

    `columns` is the number of seats of every row, or a tuple with one number per row from the front.
    `aisles` are columns after which a gap of `aisle` units comes, counted from 1.
    `categories` are (name, rows) from the front; the last one goes on to the back.

    `curve` 0: rows are straight and (x, y) is the middle of the front row; `angle` turns the section
    about it, clockwise. Else `curve` is the radius of the front row, (x, y) the centre of all its arcs, and
    `angle` where the section's middle lies as seen from there: 0 is down, positive to the right.
    """

    rows: int
    columns: int | tuple[int, ...]
    section: str = ""
    aisles: tuple[int, ...] = ()
    categories: tuple[tuple[str, int], ...] = (("Standard", 0),)
    curve: float = 0.0
    angle: float = 0.0
    x: float = 0.0
    y: float = 0.0
    seat_pitch: float = SEAT_PITCH
    row_pitch: float = ROW_PITCH
    aisle: float = AISLE
    panel: bool = True

    @property
    def widths(self) -> tuple[int, ...]:
        """Seats per row, front to back."""
        return self.columns if isinstance(self.columns, tuple) else (self.columns,) * self.rows


def row_label(row: int) -> str:
    """0, 1, … → A … Z, AA, AB …"""
    label = ""
    while row >= 0:
        label = chr(ord("A") + row % 26) + label
        row = row // 26 - 1
    return label


def grid(
    rows: int,
    columns: int,
    *,
    name: str,
    section: str = "",
    aisles: Sequence[int] = (),
    categories: Sequence[tuple[str, int]] = (("Standard", 0),),
    colors: Sequence[str] = (),
    curve: float = 0.0,
    stage: str = "Stage",
) -> Plan:
    """A room of one section, with a stage in front of it unless `stage` is empty. Arguments as in `Block`."""
    block = Block(
        rows=rows,
        columns=columns,
        section=section,
        aisles=tuple(aisles),
        categories=tuple(categories),
        curve=curve,
        panel=False,
    )
    _check(block)
    return build(name, [block], colors=colors, shapes=[_front(block, stage)] if stage else [])


def build(
    name: str, blocks: Sequence[Block], *, colors: Sequence[str] = (), shapes: Sequence[Shape] = ()
) -> Plan:
    """A plan of several sections, in this order. `colors` go to the categories in order of first use."""
    if not name.strip() or len(name) > _NAME_MAX:
        raise PlanInvalid(f"name={name[:30]!r} cannot be: a plan's name has 1 to {_NAME_MAX} characters.")
    for block in blocks:
        _check(block)
    count = sum(sum(block.widths) for block in blocks)
    if not 0 < count <= SEATS_MAX:
        raise PlanInvalid(f"These sections make {count:,} seats; a plan has 1 to {SEATS_MAX:,}.")
    seats: list[Seat] = []
    gaps: set[int] = set()
    for block in blocks:
        _place(block, seats, gaps)
    categories = tuple(dict.fromkeys(seat.category for seat in seats))
    panels = [Shape(points=_panel(block)) for block in blocks if block.panel]
    return Plan(
        name=name,
        seats=tuple(seats),
        breaks=frozenset(gaps),
        categories=categories,
        colors=tuple(colors[: len(categories)]) + ("",) * (len(categories) - len(colors)),
        shapes=(*panels, *shapes),
    )


def _check(block: Block) -> None:
    """Refuse a block that cannot be built, naming the argument."""

    def refuse(argument: str, value: object, reason: str) -> PlanInvalid:
        where = f" (section {block.section!r})" if block.section else ""
        return PlanInvalid(f"{argument}={value!r} cannot be{where}: {reason}.", argument=argument)

    if not 1 <= block.rows <= _SIDE_MAX:
        raise refuse("rows", block.rows, f"a section has 1 to {_SIDE_MAX:,} rows")
    widths = (block.columns,) if isinstance(block.columns, int) else block.columns
    if not isinstance(block.columns, int) and len(widths) != block.rows:
        raise refuse("columns", block.columns, f"there must be one number for each of the {block.rows} rows")
    if not all(1 <= width <= _SIDE_MAX for width in widths):
        raise refuse("columns", block.columns, f"a row has 1 to {_SIDE_MAX:,} seats")
    if not all(1 <= aisle < max(widths) for aisle in block.aisles):
        raise refuse("aisles", block.aisles, "an aisle comes after a column that has another one behind it")
    if not block.categories or not all(name and rows >= 0 for name, rows in block.categories):
        raise refuse("categories", block.categories, "each has a name and a number of rows")
    for argument in ("x", "y", "curve", "angle"):
        if not abs(value := getattr(block, argument)) <= _EXTENT_MAX:
            raise refuse(argument, value, f"it must lie within ±{_EXTENT_MAX:,.0f}")
    for argument in ("seat_pitch", "row_pitch", "aisle"):
        if not 1 <= (value := getattr(block, argument)) <= 1_000:
            raise refuse(argument, value, "it must lie within 1 and 1,000 units")
    if block.curve < 0:
        raise refuse("curve", block.curve, "a radius is positive, or 0 for straight rows")
    for row, width in enumerate(block.widths if block.curve else ()):
        if degrees((_offsets(block, width)[-1] * 2 + block.seat_pitch) / _radius(block, row)) > 360:
            raise refuse("curve", block.curve, f"row {row_label(row)} would go round more than a full circle")


def _offsets(block: Block, width: int) -> list[float]:
    """How far each seat of a row is from the row's middle, left to right."""
    places = [column * block.seat_pitch for column in range(width)]
    for aisle in block.aisles:
        for column in range(aisle, width):
            places[column] += block.aisle
    middle = places[-1] / 2
    return [place - middle for place in places]


def _radius(block: Block, row: int) -> float:
    return block.curve + row * block.row_pitch


def _row(block: Block, row: int, offsets: Sequence[float]) -> list[Point]:
    """Where the seats of a row are."""
    depth = row * block.row_pitch
    if not block.curve:
        return turned(
            [(block.x + offset, block.y + depth) for offset in offsets], block.x, block.y, block.angle
        )
    radius, middle = _radius(block, row), radians(block.angle)
    angles = [middle + offset / radius for offset in offsets]
    return [(block.x + radius * sin(angle), block.y + radius * cos(angle)) for angle in angles]


def _place(block: Block, seats: list[Seat], gaps: set[int]) -> None:
    """Append the block's seats, and the indexes of those that are not beside the seat before them."""
    names = [name for name, rows in block.categories for _ in range(rows)][: block.rows]
    names += [block.categories[-1][0]] * (block.rows - len(names))
    aisles = {0, *block.aisles}
    for row, width in enumerate(block.widths):
        first, label = len(seats), row_label(row)
        gaps.update(first + column for column in aisles if column < width)
        points = _row(block, row, _offsets(block, width))
        seats.extend(
            Seat(
                section=block.section,
                row=label,
                number=str(number),
                x=round(x, 2),
                y=round(y, 2),
                category=names[row],
            )
            for number, (x, y) in enumerate(points, 1)
        )


def _panel(block: Block) -> tuple[float, ...]:
    """The outline of the floor that a section stands on."""
    halves = [_offsets(block, width)[-1] + _PANEL for width in block.widths]
    depth = (block.rows - 1) * block.row_pitch
    if not block.curve:
        half = max(halves)
        top, bottom = block.y - _PANEL, block.y + depth + _PANEL
        corners = [
            (block.x - half, top),
            (block.x + half, top),
            (block.x + half, bottom),
            (block.x - half, bottom),
        ]
        return flat(turned(corners, block.x, block.y, block.angle))
    inner, outer = max(block.curve - _PANEL, 0.0), block.curve + depth + _PANEL
    front = min(degrees(halves[0] / block.curve), 180.0)
    # The last row may be short of a few seats, and still the one before it is to stand on the floor.
    back = max(degrees(halves[row] / _radius(block, row)) for row in range(block.rows)[-2:])
    return flat(
        arc(block.x, block.y, inner, block.angle - front, block.angle + front)
        + arc(block.x, block.y, outer, block.angle + min(back, 180.0), block.angle - min(back, 180.0))
    )


def _front(block: Block, text: str) -> Shape:
    """A stage before the first row: above a straight one, between the ends of a curved one."""
    half = _offsets(block, block.widths[0])[-1]
    if not block.curve:
        width = max(40.0, half * 1.3)
        return Shape(points=flat(stage_outline(0, -34, width, 28, 4, 10)), text=text)
    reach = half / block.curve
    if degrees(reach) > 75:
        return Shape(points=flat(ellipse(0, 0, block.curve * 0.6, block.curve * 0.6)), text=text)
    width = max(40.0, 2 * block.curve * sin(reach) * 0.9)
    return Shape(points=flat(stage_outline(0, block.curve * cos(reach) - 34, width, 28, 4, 10)), text=text)
