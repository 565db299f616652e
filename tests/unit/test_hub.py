"""The hub on a loop whose time is ours: who gets which frame, when, and what becomes of a screen that lags."""

import asyncio
import logging
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from seatmap import protocol
from seatmap.live.hub import LAG_SECONDS_MAX, Hub
from seatmap.live.replica import Frame, Replica
from seatmap.model import NOWHERE, Change, Position, Snapshot

FRAME_MS, HEARTBEAT_MS = 50, 1000
STEP_S = 0.001


class Screen:
    """A page that takes everything at once, unless it is told to lag."""

    def __init__(self) -> None:
        self.position = NOWHERE
        self.unsent = 0
        self.frames: list[bytes] = []
        self.times: list[float] = []
        self.aborted = False

    def show(self, frame: Frame) -> int:
        if self.aborted or self.unsent:
            return -1 if self.aborted else self.unsent
        assert frame.wire == protocol.websocket_binary(frame.payload)
        self.frames.append(frame.payload)
        self.times.append(asyncio.get_running_loop().time())
        return 0

    def abort(self) -> None:
        self.aborted = True

    def kinds(self) -> list[int]:
        return [frame[0] for frame in self.frames]

    def changes(self) -> list[tuple[int, int]]:
        """(since, to) of its change frames."""
        return [
            struct.unpack_from("<II", frame, 8)  # type: ignore[misc]
            for frame in self.frames
            if frame[0] == protocol.CHANGE
        ]


class Broken(Screen):
    def show(self, frame: Frame) -> int:
        raise RuntimeError("no transport")


class Stage:
    """A replica of 64 seats, its hub, and the clock."""

    def __init__(self, frame_ms: int = FRAME_MS) -> None:
        self.replica = Replica()
        self.replica.install(
            Snapshot(run_id="r", position=Position(1, 0), plan_version=1, statuses=bytes(64))
        )
        self.hub = Hub(self.replica, frame_ms=frame_ms, heartbeat_ms=HEARTBEAT_MS)
        self.now = 0.0

    def change(self, *seats: int, quietly: bool = False) -> None:
        version = self.replica.position.version
        held = dict.fromkeys(seats, 1)
        self.replica.receive(Change(epoch=1, since=version, to=version + 1, seats=held))
        if not quietly:
            self.hub.changed()

    def screen(self, position: Position | None = None, screen: Screen | None = None) -> Screen:
        """One that is at the head, unless it says otherwise."""
        screen = screen or Screen()
        self.hub.attach(screen, self.replica.position if position is None else position)
        return screen

    async def pass_time(self, seconds: float) -> None:
        """Let the clock go on, in steps, with everything that is due at each."""
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            await turns()
        await turns()


async def turns() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


@asynccontextmanager
async def staged(monkeypatch: pytest.MonkeyPatch, **options: Any) -> AsyncIterator[Stage]:
    """A running hub on a clock that only `pass_time` moves."""
    stage = Stage(**options)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: stage.now)
    running = asyncio.create_task(stage.hub.run())
    await turns()
    try:
        yield stage
    finally:
        assert not running.done(), running
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        monkeypatch.undo()


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with staged(monkeypatch) as stage:
        yield stage


# ---- when ----


async def test_the_first_change_leaves_at_once(stage: Stage) -> None:
    screen = stage.screen()
    stage.change(3)
    await turns()
    assert (screen.changes(), screen.times) == ([(0, 1)], [0.0])


async def test_a_burst_is_at_most_one_frame_per_pause(stage: Stage) -> None:
    screen = stage.screen()
    for seat in range(50):
        stage.change(seat % 3)
        await stage.pass_time(0.004)
    await stage.pass_time(FRAME_MS / 1000)
    gaps = [later - earlier for earlier, later in zip(screen.times, screen.times[1:], strict=False)]
    assert min(gaps) >= FRAME_MS / 1000 - STEP_S
    assert len(screen.times) <= 200 / FRAME_MS + 2
    assert screen.changes()[-1][1] == 50
    assert screen.position == stage.replica.position


async def test_frames_continue_each_other(stage: Stage) -> None:
    screen = stage.screen()
    for seat in range(20):
        stage.change(seat % 3)
        await stage.pass_time(0.02)
    await stage.pass_time(0.1)
    changes = screen.changes()
    assert [since for since, _ in changes] == [0, *[to for _, to in changes[:-1]]]


async def test_a_slow_round_makes_the_pause_longer(stage: Stage) -> None:
    """At most half the time goes into frames, however many screens there are."""

    class Slow(Screen):
        def show(self, frame: Frame) -> int:
            stage.now += 0.2
            return super().show(frame)

    screen = stage.screen(screen=Slow())
    stage.change(1)
    await turns()
    stage.change(2)
    await stage.pass_time(0.19)
    assert len(screen.frames) == 1
    await stage.pass_time(0.02)
    assert len(screen.frames) == 2


async def test_a_change_of_nobodys_map_wakes_nobody_until_the_heartbeat(stage: Stage) -> None:
    screen = stage.screen()
    stage.change(quietly=True)
    await stage.pass_time(0.5)
    assert screen.frames == []
    await stage.pass_time(0.6)
    assert screen.changes() == [(0, 1)]
    assert screen.position == stage.replica.position
    assert screen.kinds() == [protocol.CHANGE, protocol.HEARTBEAT]


async def test_a_quiet_screen_gets_heartbeats(stage: Stage) -> None:
    screen, other = stage.screen(), stage.screen()
    await stage.pass_time(2.5)
    assert screen.frames == [protocol.heartbeat_frame(Position(1, 0), 1, 2, stale=False)] * 2
    assert other.frames == screen.frames


async def test_screens_are_told_at_once_that_the_map_may_be_old_and_that_it_is_not(stage: Stage) -> None:
    screen = stage.screen()
    for stale in (True, True, False):
        stage.hub.stale = stale
        await stage.pass_time(0.1)
    at = Position(1, 0)
    assert screen.frames == [protocol.heartbeat_frame(at, 1, 1, stale=stale) for stale in (True, False)]


async def test_a_busy_map_still_has_heartbeats(stage: Stage) -> None:
    screen = stage.screen()
    for _ in range(60):
        stage.change(1)
        await stage.pass_time(0.02)
    assert protocol.HEARTBEAT in screen.kinds()


# ---- a screen that has seen more than this process (rule 23) ----


async def test_a_screen_that_is_ahead_waits_for_the_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    async with staged(monkeypatch) as stage:
        asked: list[float] = []
        stage.hub._ahead = lambda: asked.append(stage.now)
        screen = stage.screen(Position(1, 2))
        stage.change(1)
        await stage.pass_time(0.5)
        assert (screen.frames, len(asked)) == ([], 1), "it is not shown what it has passed"
        stage.change(2)
        await stage.pass_time(0.1)
        assert screen.frames == []
        stage.change(3)
        await stage.pass_time(0.1)
        assert screen.changes() == [(2, 3)]
        stage.hub.sync(screen, Position(1, 9))
        assert len(asked) == 2, "and again the next time"


@pytest.mark.parametrize("position", [Position(1, 5), Position(2, 0)])
async def test_a_screen_that_stays_ahead_gets_the_map_after_a_second(
    stage: Stage, position: Position
) -> None:
    screen = stage.screen(position)
    await stage.pass_time(0.9)
    assert screen.frames == []
    await stage.pass_time(0.6)
    assert screen.kinds()[0] == protocol.SNAPSHOT
    assert screen.position == stage.replica.position


# ---- attaching ----


@pytest.mark.parametrize(
    ("position", "kinds"),
    [
        (NOWHERE, [protocol.SNAPSHOT]),
        (Position(1, 1), [protocol.CHANGE]),
        (Position(1, 2), []),
        (Position(0, 7), [protocol.SNAPSHOT]),
    ],
    ids=["nowhere", "a little behind", "at the head", "an epoch before"],
)
async def test_a_screen_gets_exactly_what_it_misses(
    stage: Stage, position: Position, kinds: list[int]
) -> None:
    stage.change(1)
    stage.change(2)
    screen = stage.screen(position)
    assert screen.kinds() == kinds
    await stage.pass_time(0.2)
    assert screen.kinds() == kinds
    assert screen.position == stage.replica.position


async def test_a_screen_that_syncs_gets_what_it_misses_from_there(stage: Stage) -> None:
    screen = stage.screen()
    stage.change(1)
    await turns()
    stage.hub.sync(screen, Position(1, 0))
    assert screen.changes() == [(0, 1), (0, 1)]


async def test_a_screen_that_is_busy_when_it_comes_gets_the_map_soon(stage: Stage) -> None:
    """Its greeting is not sent yet; nothing else may happen for a long time."""
    screen = Screen()
    screen.unsent = 100
    stage.screen(NOWHERE, screen)
    assert screen.frames == []
    await stage.pass_time(0.05)
    screen.unsent = 0
    await stage.pass_time(0.4)
    assert screen.kinds() == [protocol.SNAPSHOT]


# ---- screens that lag or go ----


async def test_a_lagging_screen_is_skipped_and_gets_one_merged_frame(stage: Stage) -> None:
    slow, quick = stage.screen(), stage.screen()
    slow.unsent = 1
    for seat in (1, 2, 3):
        stage.change(seat)
        await stage.pass_time(0.06)
    assert (slow.frames, len(quick.frames)) == ([], 3)
    slow.unsent = 0
    await stage.pass_time(0.4)
    assert slow.frames == [protocol.change_frame(1, 0, 3, 1, {1: 1, 2: 1, 3: 1})]
    assert not slow.aborted


async def test_a_screen_that_lags_too_long_is_cut_off_and_forgotten(stage: Stage) -> None:
    slow, quick = stage.screen(), stage.screen()
    slow.unsent = 1
    stage.change(1)
    await stage.pass_time(LAG_SECONDS_MAX - 0.5)
    assert not slow.aborted
    await stage.pass_time(1.5)
    assert slow.aborted
    assert list(stage.hub.screens) == [quick]


async def test_a_screen_that_caught_up_lags_from_anew(stage: Stage) -> None:
    slow = stage.screen()
    for _ in range(3):
        slow.unsent = 1
        stage.change(1)
        await stage.pass_time(LAG_SECONDS_MAX - 2)
        slow.unsent = 0
        await stage.pass_time(0.5)
    assert not slow.aborted


async def test_a_lagging_screen_gets_no_heartbeat(stage: Stage) -> None:
    slow = stage.screen()
    slow.unsent = 1
    await stage.pass_time(1.5)
    assert slow.frames == []


async def test_a_gone_screen_is_forgotten(stage: Stage) -> None:
    screen = stage.screen()
    screen.aborted = True
    stage.change(1)
    await stage.pass_time(0.1)
    assert (stage.hub.screens, screen.frames) == (set(), [])


async def test_a_detached_screen_hears_no_more(stage: Stage) -> None:
    screen = stage.screen()
    stage.hub.detach(screen)
    stage.hub.detach(screen)
    stage.change(1)
    await stage.pass_time(2)
    assert screen.frames == []


async def test_a_screen_that_left_is_not_brought_back_by_a_late_sync(stage: Stage) -> None:
    screen = stage.screen()
    stage.hub.detach(screen)
    stage.change(1)
    stage.hub.sync(screen, NOWHERE)
    assert (stage.hub.screens, screen.frames) == (set(), [])


async def test_one_broken_screen_does_not_stop_the_others(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    broken, whole = stage.screen(screen=Broken()), stage.screen()
    with caplog.at_level(logging.ERROR):
        stage.change(1)
        await stage.pass_time(0.1)
        stage.change(2)
        await stage.pass_time(0.1)
    assert whole.changes() == [(0, 1), (1, 2)]
    assert "a screen cannot be reached" in caplog.text
    assert (broken.aborted, list(stage.hub.screens)) == (True, [whole])


async def test_many_screens_leave_turns_for_the_others(stage: Stage) -> None:
    for _ in range(600):
        stage.screen()
    stage.change(1)
    turn = 0
    while any(screen.position != stage.replica.position for screen in stage.hub.screens):
        turn += 1
        await asyncio.sleep(0)
    assert turn >= 3


async def test_it_ends_when_it_is_told_to_even_if_a_change_comes_at_that_moment(stage: Stage) -> None:
    other = Hub(stage.replica, frame_ms=FRAME_MS, heartbeat_ms=HEARTBEAT_MS)
    running = asyncio.create_task(other.run())
    await turns()
    other.changed()
    await asyncio.sleep(0)
    running.cancel()
    await turns()
    assert running.cancelled()
