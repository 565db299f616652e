"""The venues of the demo and of the load tests, made by the generator."""

from math import floor, pi, radians

from seatmap.errors import PlanInvalid
from seatmap.model import Plan, Shape
from seatmap.plan.grid import ROW_PITCH, SEAT_PITCH, SEATS_MAX, Block, build, grid
from seatmap.plan.shapes import ellipse, flat, stage_outline

PREMIUM, FIRST, SECOND, THIRD = "Premium", "Category 1", "Category 2", "Category 3"
# Dark to light as the price falls; readable beside each other for colour-blind eyes.
COLORS = ("#3f1690", "#1b5ce0", "#23936a", "#d15c12")
PRICES = {PREMIUM: 98_00, FIRST: 72_00, SECOND: 49_00, THIRD: 29_00, "Front row": 34_00, "Standard": 24_00}
_AISLE = 26.0  # between the last seat of a wedge and the first of the next


def theatre() -> Plan:
    """A theatre of about 2,000 seats: stalls, circle and balcony, each in three wedges around the stage."""
    tiers = [
        ("Stalls", 18, 225.0, 94.0, ((PREMIUM, 4), (FIRST, 8), (SECOND, 6))),
        ("Circle", 9, 470.0, 90.0, ((FIRST, 3), (SECOND, 6))),
        ("Balcony", 6, 612.0, 80.0, ((SECOND, 1), (THIRD, 5))),
    ]
    blocks = [
        _wedge(f"{tier} {side}", rows, radius, place * spread / 3, spread / 3, categories)
        for tier, rows, radius, spread, categories in tiers
        for place, side in ((-1, "left"), (0, "centre"), (1, "right"))
    ]
    front = Shape(points=flat(stage_outline(0, 118, 300, 62, 10, 26)), text="Stage")
    return build("Grand Theatre", blocks, colors=COLORS, shapes=[front])


def _wedge(
    section: str,
    rows: int,
    radius: float,
    angle: float,
    spread: float,
    categories: tuple[tuple[str, int], ...],
) -> Block:
    """A section whose rows fill `spread` degrees of their arcs about (0, 0), less half an aisle each side."""
    lengths = [(radius + row * ROW_PITCH) * radians(spread) - _AISLE for row in range(rows)]
    return Block(
        section=section,
        rows=rows,
        columns=tuple(max(1, floor(length / SEAT_PITCH) + 1) for length in lengths),
        categories=categories,
        curve=radius,
        angle=angle,
    )


def studio() -> Plan:
    """A room of 60 seats: six rows of ten, with an aisle in the middle."""
    return grid(
        6,
        10,
        name="Studio",
        aisles=(5,),
        categories=(("Front row", 1), ("Standard", 5)),
        colors=COLORS[:2],
    )


def arena(seats: int) -> Plan:
    """A venue of exactly so many seats in rings of blocks around a stage, for load tests."""
    if not 1 <= seats <= SEATS_MAX:
        raise PlanInvalid(f"seats={seats!r} cannot be: an arena has 1 to {SEATS_MAX:,} seats.")
    depth = 4 if seats <= 300 else 8 if seats < 3_000 else 22
    blocks: list[Block] = []
    radius, tier, left = 130.0, 1, seats
    while left > 0:
        ring = _ring(tier, radius, depth, left)
        left -= sum(sum(block.widths) for block in ring)
        blocks += ring
        radius += depth * ROW_PITCH + 34
        tier += 1
    front = Shape(points=flat(ellipse(0, 0, 95, 95, 36)), text="Stage")
    name = "City Stadium" if seats > 20_000 else "Arena"
    return build(name, blocks, colors=COLORS, shapes=[front])


def _ring(tier: int, radius: float, depth: int, left: int) -> list[Block]:
    """One tier all around, of at most `left` seats: fewer rows, then fewer seats in the last row."""
    count = max(4, round(2 * pi * radius / (SEAT_PITCH * 26)))
    spread = 360 / count
    name = (PREMIUM, FIRST, SECOND, THIRD)[min(3, tier - 1)]
    whole = _wedge("", depth, radius, 0, spread, ((name, depth),)).widths
    blocks = []
    rows = min(depth, next((n for n in range(1, depth + 1) if sum(whole[:n]) * count >= left), depth))
    over = max(0, sum(whole[:rows]) * count - left)
    for place in range(count):
        cut = over // count + (place < over % count)
        widths = [*whole[: rows - 1], whole[rows - 1] - cut]
        columns = tuple(width for width in widths if width > 0)
        if columns:
            blocks.append(
                Block(
                    section=str(tier * 100 + place + 1),
                    rows=len(columns),
                    columns=columns,
                    categories=((name, depth),),
                    curve=radius,
                    angle=180 - place * spread,
                )
            )
    return blocks
