"""Who needs the whole map while people buy: all get the same one, and what came since."""

import struct

from seatmap import protocol
from seatmap.live.hub import Hub
from seatmap.live.replica import WHOLE_CHANGES_MAX, Frame, Replica
from seatmap.model import NOWHERE, Change, Position, Snapshot


class Newcomer:
    def __init__(self) -> None:
        self.position = NOWHERE
        self.frames: list[bytes] = []

    def show(self, frame: Frame) -> int:
        self.frames.append(frame.payload)
        return 0

    def abort(self) -> None:
        raise AssertionError("it lags behind nothing")


def replica_at(version: int) -> Replica:
    replica = Replica()
    replica.install(Snapshot(run_id="r", position=Position(1, 0), plan_version=1, statuses=bytes(64)))
    replica.whole(NOWHERE)
    for to in range(1, version + 1):
        replica.receive(Change(epoch=1, since=to - 1, to=to, seats={to % 3: 1}))
    return replica


async def shown(replica: Replica) -> Newcomer:
    screen = Newcomer()
    Hub(replica, frame_ms=50, heartbeat_ms=1000).attach(screen, NOWHERE)
    assert screen.position == replica.position
    return screen


async def test_newcomers_share_one_map_while_people_buy() -> None:
    replica = replica_at(3)
    first, second = await shown(replica), await shown(replica)
    assert [frame[0] for frame in first.frames] == [protocol.SNAPSHOT, protocol.CHANGE]
    assert first.frames == second.frames
    assert struct.unpack_from("<II", first.frames[0], 4) == (1, 0), "the map as it was"
    assert struct.unpack_from("<II", first.frames[1], 8) == (0, 3), "and what came since"


async def test_a_map_that_is_far_behind_is_built_anew() -> None:
    assert len((await shown(replica_at(WHOLE_CHANGES_MAX))).frames) == 2
    newest = await shown(replica_at(WHOLE_CHANGES_MAX + 1))
    assert [frame[0] for frame in newest.frames] == [protocol.SNAPSHOT]
    assert struct.unpack_from("<II", newest.frames[0], 4) == (1, WHOLE_CHANGES_MAX + 1)


async def test_another_plan_is_never_shown_by_an_old_map() -> None:
    replica = replica_at(3)
    replica.replan(2)
    screen = await shown(replica)
    assert [struct.unpack_from("<H", frame, 2) for frame in screen.frames] == [(2,)]
