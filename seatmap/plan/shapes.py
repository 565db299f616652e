"""Outlines as polygons: x, y pairs in one flat tuple, y growing downwards, angles in degrees."""

from collections.abc import Iterable, Sequence
from math import ceil, cos, radians, sin

Point = tuple[float, float]
Points = tuple[float, ...]

_ARC_STEP = 4.0  # degrees between two points of an arc: not seen as corners at any useful zoom


def flat(points: Iterable[Point]) -> Points:
    """Points → x, y, x, y, …, rounded to a hundredth of a unit."""
    return tuple(round(value, 2) for point in points for value in point)


def arc(x: float, y: float, radius: float, start: float, end: float) -> list[Point]:
    """From angle `start` to `end` about (x, y); 0° points down (away from a stage above), 90° right."""
    steps = max(1, ceil(abs(end - start) / _ARC_STEP))
    angles = [radians(start + (end - start) * step / steps) for step in range(steps + 1)]
    return [(x + radius * sin(angle), y + radius * cos(angle)) for angle in angles]


def rectangle(x: float, y: float, width: float, height: float) -> list[Point]:
    """The corners, (x, y) being the one at the upper left."""
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def ellipse(x: float, y: float, radius_x: float, radius_y: float, points: int = 24) -> list[Point]:
    """About its centre (x, y)."""
    angles = [radians(360 * point / points) for point in range(points)]
    return [(x + radius_x * cos(angle), y + radius_y * sin(angle)) for angle in angles]


def turned(points: Sequence[Point], x: float, y: float, angle: float) -> list[Point]:
    """The points turned about (x, y), clockwise as seen on a screen."""
    c, s = cos(radians(angle)), sin(radians(angle))
    return [(x + (px - x) * c - (py - y) * s, y + (px - x) * s + (py - y) * c) for px, py in points]


def stage_outline(
    x: float, y: float, width: float, height: float, round_top: float, round_bottom: float
) -> list[Point]:
    """A rectangle around (x, y) with rounded corners, the lower ones usually rounder: a stage's front."""
    left, right = x - width / 2, x + width / 2
    top, bottom = y - height / 2, y + height / 2
    return [
        *arc(left + round_top, top + round_top, round_top, 270, 180),
        *arc(right - round_top, top + round_top, round_top, 180, 90),
        *arc(right - round_bottom, bottom - round_bottom, round_bottom, 90, 0),
        *arc(left + round_bottom, bottom - round_bottom, round_bottom, 0, -90),
    ]
