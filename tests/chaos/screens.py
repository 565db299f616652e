"""I10: what viewers were shown. Positions never go back, one position is one map, and at rest all see the truth."""

from collections.abc import Iterator

from seatmap import protocol
from tests.chaos.final import Final
from tests.chaos.history import Run


def converge(run: Run, final: Final) -> Iterator[str]:
    """Every violation."""
    yield from _at_rest(run, final)
    yield from _forward(run)
    yield from _one_map(run)


def _at_rest(run: Run, final: Final) -> Iterator[str]:
    for page in run.maps:
        if page.event not in final.maps:
            continue
        if (page.epoch, page.version) != final.positions[page.event]:
            yield f"{page.viewer} rests at ({page.epoch}, {page.version}), Redis at {final.positions[page.event]}"
        if page.statuses != final.maps[page.event]:
            wrong = [
                i
                for i, (a, b) in enumerate(zip(page.statuses, final.maps[page.event], strict=False))
                if a != b
            ]
            yield f"{page.viewer}: event {page.event} is shown wrong in seats {wrong[:10]}"


def _forward(run: Run) -> Iterator[str]:
    last: dict[tuple[str, int], tuple[int, int]] = {}
    for frame in run.frames:
        who, at = (frame.viewer, frame.event), (frame.epoch, frame.version)
        if at < last.get(who, (0, 0)):
            yield f"{frame.viewer} went back from {last[who]} to {at}"
        last[who] = at


def _one_map(run: Run) -> Iterator[str]:
    maps: dict[tuple[int, int, int], int] = {}
    for frame in run.frames:
        if frame.kind == protocol.HEARTBEAT:
            continue
        at = (frame.event, frame.epoch, frame.version)
        if maps.setdefault(at, frame.map) != frame.map:
            yield f"event {frame.event}: {frame.viewer} saw another map at ({frame.epoch}, {frame.version})"
