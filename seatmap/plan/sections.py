"""Sections that a file puts on top of each other, moved aside, so that every seat can be seen and chosen."""

from collections import defaultdict
from collections.abc import Sequence
from math import dist, isfinite

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom

TOO_CLOSE = 0.75  # pitches; drawn seats are 0.8 wide and would cover each other

_SHARE = 0.1  # of a section's seats; fewer on top of others are single mistakes, which a move would not mend
_SECTIONS_MAX = 200
_MOVES_MAX = 8  # of one section; a file that needs more is beyond mending
_CELL_MAX = 16
_GAP = 3.0  # pitches between the seats of two sections that were moved apart


class _Floor:
    """The seats placed so far, found by where they are."""

    def __init__(self, pitch: float) -> None:
        self.pitch = pitch
        self.cells: defaultdict[tuple[int, int], list[tuple[Point, int]]] = defaultdict(list)

    def _cell(self, point: Point) -> tuple[int, int]:
        return int(point[0] // self.pitch), int(point[1] // self.pitch)

    def put(self, section: int, points: Sequence[Point]) -> None:
        for point in points:
            cell = self.cells[self._cell(point)]
            if len(cell) < _CELL_MAX:
                cell.append((point, section))

    def under(self, points: Sequence[Point]) -> tuple[int, set[int]]:
        """How many of these points lie on top of a seat, and of which sections."""
        count, sections = 0, set()
        for point in points:
            x, y = self._cell(point)
            near = [
                section
                for dx in (-1, 0, 1)
                for dy in (-1, 0, 1)
                for other, section in self.cells.get((x + dx, y + dy), ())
                if dist(point, other) < self.pitch * TOO_CLOSE
            ]
            count += bool(near)
            sections.update(near)
        return count, sections


def apart(sections: Sequence[Sequence[Point]], pitch: float) -> list[Point]:
    """By how much to move each section; (0, 0) if it covers no more than a few seats of those before it.

    A section moves away from what it covers, sideways or lengthwise, to the side where its middle is in the
    file: the order of sections, seen from any side, stays.
    """
    moves: list[Point] = [(0.0, 0.0)] * len(sections)
    if len(sections) > _SECTIONS_MAX:
        return moves
    drawn = [_box(points) for points in sections]
    if not all(isfinite(edge / pitch) for box in drawn for edge in box):
        return moves  # its extent is impossible, which is for others to say
    floor = _Floor(pitch)
    boxes = list(drawn)
    for section, given in enumerate(sections):
        points = list(given)
        axis = None
        for _ in range(_MOVES_MAX):
            count, others = floor.under(points)
            if count <= _SHARE * len(points):
                break
            obstacle = _union([boxes[other] for other in others])
            axis = axis or _direction(drawn[section], _union([drawn[other] for other in others]))
            dx, dy = _way_out(boxes[section], obstacle, axis, _GAP * pitch)
            points = [(x + dx, y + dy) for x, y in points]
            boxes[section] = _box(points)
            moves[section] = (moves[section][0] + dx, moves[section][1] + dy)
        floor.put(section, points)
    return moves


def _box(points: Sequence[Point]) -> Box:
    xs, ys = [x for x, _ in points] or [0.0], [y for _, y in points] or [0.0]
    return min(xs), min(ys), max(xs), max(ys)


def _union(boxes: Sequence[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _direction(box: Box, obstacle: Box) -> tuple[int, int]:
    dx = box[0] + box[2] - obstacle[0] - obstacle[2]
    dy = box[1] + box[3] - obstacle[1] - obstacle[3]
    if abs(dy) > abs(dx):
        return (0, 1 if dy > 0 else -1)
    return (1 if dx >= 0 else -1, 0)


def _way_out(box: Box, obstacle: Box, axis: tuple[int, int], gap: float) -> Point:
    """The move along `axis` that leaves `gap` between the two boxes."""
    match axis:
        case (1, _):
            return obstacle[2] + gap - box[0], 0.0
        case (-1, _):
            return obstacle[0] - gap - box[2], 0.0
        case (_, 1):
            return 0.0, obstacle[3] + gap - box[1]
        case _:
            return 0.0, obstacle[1] - gap - box[3]
