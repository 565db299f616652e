"""Who sits beside whom, from geometry alone: seat numbers skip, restart and run odd and even.

A *run* is one physical row: the seats that one walks past in order. Distances are in the units of the
points given; nothing here knows of sections or labels.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import atan2, cos, dist, hypot, inf, sin
from statistics import median_low

Point = tuple[float, float]

REACH = 1.5  # a gap wider than this many pitches is an aisle
_PIECES_MAX = 50  # pieces under one row number; joining compares each with each
_TURN = 0.5  # cosine of the sharpest bend (60°) at which one row goes on in the next piece
_CELL_MAX = 16  # seats of one cell that are compared: a heap of seats must not cost its square


def pitch(run: Sequence[Point]) -> float:
    """The median distance between consecutive seats that do not coincide; 0.0 where there are none."""
    steps = [step for step in map(dist, run, run[1:]) if step > 0]
    return median_low(steps) if steps else 0.0


def along(points: Sequence[Point]) -> list[int]:
    """The order in which to walk a row's seats, as indexes into `points`.

    Usually the order given. Where a walk along the row's axis, or around its middle (for rows that bend
    by more than half a circle), is shorter, that one, begun at the end nearer to the first seat given.
    """
    count = len(points)
    given = list(range(count))
    if count < 3:
        return given
    mx, my = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    arms = [(x - mx, y - my) for x, y in points]
    # The axis is the eigenvector of the covariance with the larger eigenvalue.
    turn = atan2(2 * sum(x * y for x, y in arms), sum(x * x - y * y for x, y in arms)) / 2
    ux, uy = cos(turn), sin(turn)
    straight = sorted(given, key=lambda i: arms[i][0] * ux + arms[i][1] * uy)
    around = sorted(given, key=lambda i: atan2(arms[i][1], arms[i][0]))
    widest = max(given, key=lambda k: dist(points[around[k - 1]], points[around[k]]))
    around = around[widest:] + around[:widest]
    best, length = given, _length(points, given) * (1 - 1e-9)  # a tie keeps the file's order
    for order in (straight, around):
        if (walk := _length(points, order)) < length:
            best, length = order, walk
    return best if best.index(0) * 2 < count else best[::-1]


def _length(points: Sequence[Point], order: Sequence[int]) -> float:
    walk = [points[i] for i in order]
    return sum(map(dist, walk, walk[1:]))


def breaks(runs: Sequence[Sequence[Point]], usual: float = inf) -> frozenset[int]:
    """Indexes of the seats that are not neighbours of the seat before, counting through all runs in order.

    A run's first seat is one, and each seat after a gap of more than 1.5 × the run's median pitch. A run
    of a few far-flung seats would call any gap its pitch, so no pitch counts for more than twice `usual`,
    the plan's.
    """
    found: set[int] = set()
    starts = accumulate(map(len, runs), initial=0)
    for start, run in zip(starts, runs, strict=False):
        if not run:
            continue
        found.add(start)
        reach = REACH * min(pitch(run), 2 * usual)
        gaps = enumerate(map(dist, run, run[1:]), start + 1)
        found.update(index for index, gap in gaps if gap > reach + 1e-6)
    return frozenset(found)


def join(pieces: Sequence[Sequence[Point]], usual: float = inf) -> list[list[tuple[int, bool]]]:
    """Which pieces are one physical row: chains of (piece, whether it is walked backwards).

    Pieces join where an end of one lies within 1.5 pitches of an end of another and the row does not bend
    there by more than 60°. Each piece is in exactly one chain; chains come in the order of their first piece.
    """
    if len(pieces) > _PIECES_MAX:
        return [[(piece, False)] for piece in range(len(pieces))]
    left = {index: (_tips(piece), pitch(piece)) for index, piece in enumerate(pieces) if piece}
    chains = []
    while left:
        first = next(iter(left))
        run, step = left.pop(first)
        chain = [(first, False)]
        while found := _next_piece(run, step, left, usual):
            piece, backwards, at_front = found
            more, more_step = left.pop(piece)
            more = more[:: -1 if backwards else 1]
            link = (piece, backwards)
            chain = [link, *chain] if at_front else [*chain, link]
            run, step = _tips([*more, *run] if at_front else [*run, *more]), max(step, more_step)
        chains.append(chain)
    return chains


def _tips(piece: Sequence[Point]) -> Sequence[Point]:
    """The two points at either end, which are all that joining looks at."""
    return piece if len(piece) <= 4 else [*piece[:2], *piece[-2:]]


def _next_piece(
    run: Sequence[Point], step: float, left: Mapping[int, tuple[Sequence[Point], float]], usual: float
) -> tuple[int, bool, bool] | None:
    """The nearest piece that continues the run: (piece, backwards, before the run's front)."""
    best, best_gap = None, inf
    for piece, (forward, own) in left.items():
        reach = REACH * min(max(step, own) or usual, 2 * usual) + 1e-6
        for backwards in (False, True):
            more = forward[::-1] if backwards else forward
            for at_front, before, after in ((False, run, more), (True, more, run)):
                gap = dist(before[-1], after[0])
                if gap <= reach and gap < best_gap and _goes_on(before, after):
                    best, best_gap = (piece, backwards, at_front), gap
    return best


def _goes_on(before: Sequence[Point], after: Sequence[Point]) -> bool:
    """Whether the step between two ends bends little enough from the rows on both sides of it."""
    step = (before[-1], after[0])
    bends = [(before[-2:], step), (step, after[:2])]
    return all(_cosine(a, b) >= _TURN for a, b in bends if len(a) == 2 and len(b) == 2)


def _cosine(a: Sequence[Point], b: Sequence[Point]) -> float:
    (ax, ay), (bx, by) = [(end[0] - start[0], end[1] - start[1]) for start, end in (a, b)]
    size = hypot(ax, ay) * hypot(bx, by)
    return (ax * bx + ay * by) / size if size else 1.0


def nearest(points: Sequence[Point], cell: float) -> list[float]:
    """Each point's distance to its nearest other point; `inf` where none is within about `cell`."""
    cells: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    keys = [(int(x // cell), int(y // cell)) for x, y in points]
    for index, key in enumerate(keys):
        if len(cells[key]) < _CELL_MAX:
            cells[key].append(index)
    around = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    found = []
    for index, (kx, ky) in enumerate(keys):
        here = points[index]
        best = inf
        for dx, dy in around:
            for other in cells.get((kx + dx, ky + dy), ()):
                if other != index and (gap := dist(here, points[other])) < best:
                    best = gap
        found.append(best)
    return found
