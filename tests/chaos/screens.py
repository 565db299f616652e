"""I10: what viewers were shown. Positions never go back, one position is one map, and at rest all see the truth."""

from collections import defaultdict
from collections.abc import Iterator

from seatmap import protocol
from tests.chaos.final import Final
from tests.chaos.history import Frame, Run

OLD_NS = 7_000_000_000  # 5 s, and the time between two words from the site


def converge(run: Run, final: Final) -> Iterator[str]:
    """Every violation."""
    yield from _at_rest(run, final)
    yield from _forward(run)
    yield from _one_map(run)
    yield from _old_and_silent(run)


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


def _old_and_silent(run: Run) -> Iterator[str]:
    """A map that somebody else saw grow older, and that was nevertheless said to be fresh."""
    by_event: dict[int, list[Frame]] = defaultdict(list)
    for frame in run.frames:
        by_event[frame.event].append(frame)
    for event, frames in by_event.items():
        seen, known = 0, (0, 0)
        for frame in frames:
            while frames[seen].t < frame.t - OLD_NS:
                known = max(known, (frames[seen].epoch, frames[seen].version))
                seen += 1
            if (frame.epoch, frame.version) < known and frame.kind == protocol.HEARTBEAT and not frame.stale:
                yield (
                    f"event {event}: {frame.viewer} was told that ({frame.epoch}, {frame.version}) is fresh,"
                    f" 7 s after somebody saw {known}"
                )
