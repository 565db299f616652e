"""The swarm's process: `python -m tests.chaos.swarm FOLDER`. It reads FOLDER/swarm.json and writes swarm.jsonl.

Once a second it says on stdout, as JSON, how far it is. Told `finish` on stdin it stops buying, gets an answer to
every order that has none, waits until the viewers have come to rest, and ends. Told `reconnect`, all pages are lost.
"""

import asyncio
import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from tests.chaos.buyers import Buyer
from tests.chaos.crowd import Crowd
from tests.chaos.history import History
from tests.chaos.staff import Staff
from tests.chaos.viewers import Viewer
from tests.chaos.waiters import Waiter

VIEWERS, WAITERS = 4, 3
SAY_SECONDS = 0.5
REST_SECONDS = 40.0


class Plan(msgspec.Struct):
    """Whom to talk to and how many to be."""

    ports: list[int]
    key: str
    seed: int
    buyers: int
    hall: int


async def swarm(folder: Path) -> None:
    """From the first event to the last map."""
    plan = msgspec.json.decode((folder / "swarm.json").read_bytes(), type=Plan)
    history = History(folder / "swarm.jsonl")
    crowd = Crowd(plan.ports, plan.key, plan.seed, history)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin.buffer
    )
    staff = Staff(crowd)
    await staff.open(plan.hall)
    saying = asyncio.create_task(_say_on(crowd))
    viewers = [Viewer(crowd, f"v{n}", n % 2) for n in range(VIEWERS)]
    buyers = [Buyer(crowd, n) for n in range(plan.buyers)]
    watching = [_task(viewer.run()) for viewer in viewers]
    waiters = [Waiter(crowd, n) for n in range(WAITERS)]
    buying = [_task(one.run()) for one in (*buyers, *waiters, staff)]
    finish = asyncio.create_task(_listen(lines, crowd))
    done, _ = await asyncio.wait([finish, *buying], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()  # a buyer that ends by itself is a bug of ours
    crowd.stopping = True
    await asyncio.gather(*buying, *watching)
    await lines.readline()  # `rest`: the site is healed and nothing is pending any more
    await asyncio.gather(*(viewer.last(REST_SECONDS) for viewer in viewers))
    saying.cancel()
    _say(crowd, "end")
    history.close()


def _task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(work)


async def _listen(lines: asyncio.StreamReader, crowd: Crowd) -> None:
    while (line := await lines.readline()).strip() != b"finish":
        if not line:
            raise SystemExit("whoever started the swarm is gone")
        for page in list(crowd.pages):  # `reconnect`
            page.leave()


async def _say_on(crowd: Crowd) -> None:
    while True:
        _say(crowd, "stopping" if crowd.stopping else "buying")
        await asyncio.sleep(SAY_SECONDS)


def _say(crowd: Crowd, state: str) -> None:
    said = {
        "state": state,
        "acked": crowd.acked,
        "open": len(crowd.open_orders),
        "counts": dict(crowd.counts),
    }
    sys.stdout.write(json.dumps({**said, "shows": [show.id for show in crowd.shows]}) + "\n")
    sys.stdout.flush()


def main() -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(swarm(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
