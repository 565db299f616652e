"""`seatmap web --processes N`: one port, many processes; they see each other's clicks, none is missed for long."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from msgspec.structs import replace
from raw_socket import Peers
from running_site import clean_environment
from site_clients import Page, Site, make_event, until

from seatmap import webs
from seatmap.config import Settings
from seatmap.errors import Unusable
from seatmap.web.serve import listen

PROCESSES = 2
SECONDS = 60.0  # each of them imports everything, on a machine that may be busy


def free_port() -> int:
    with listen("127.0.0.1", 0) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def running(settings: Settings, port: int) -> Iterator[psutil.Process]:
    """The parent; what is left of it afterwards is killed."""
    environment = clean_environment() | {
        "REDIS_URL": settings.redis_url,
        "DATABASE_URL": settings.database_url,
        "PORT": str(port),
    }
    command = [sys.executable, "-m", "seatmap", "web", "--processes", str(PROCESSES)]
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        parent = psutil.Process(process.pid)
        try:
            yield parent
        finally:
            for one in children(parent):
                one.kill()
            process.kill()


def children(parent: psutil.Process) -> list[psutil.Process]:
    return [one for one in parent.children() if lives(one)] if lives(parent) else []


def lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def connections(process: psutil.Process, port: int) -> int:
    return sum(
        one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port for one in process.net_connections()
    )


async def all_listen(parent: psutil.Process, port: int, but: frozenset[int] = frozenset()) -> set[int]:
    """The pids of all processes, once each listens."""

    def found() -> set[int] | None:
        pids = {
            one.pid
            for one in children(parent)
            if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in one.net_connections())
        }
        return pids if len(pids) == PROCESSES and not pids & but else None

    return await until(found, SECONDS)  # type: ignore[no-any-return]


async def test_they_share_the_pages_and_see_each_others_clicks(settings: Settings) -> None:
    event = await make_event(settings, 40)
    port = free_port()
    with running(settings, port) as parent:
        await all_listen(parent, port)
        site = Site(f"http://127.0.0.1:{port}", settings)
        pages: list[Page] = []
        while len(pages) < 100 and not all(connections(one, port) for one in children(parent)):
            pages.append(await site.page(event))
        assert all(connections(one, port) for one in children(parent)), "one of them has nothing to do"
        await pages[0].ask("hold", seats=[7])
        for page in pages:
            await page.shows(7, 1, SECONDS)
        parent.send_signal(signal.SIGTERM)
        for page in pages:
            await asyncio.wait_for(page.socket.wait_closed(), SECONDS)
            assert page.socket.close_code == 1012
        await until(lambda: not lives(parent), SECONDS)
        assert children(parent) == []
        await site.close()


async def test_one_that_dies_is_started_again_and_the_others_go_on(settings: Settings) -> None:
    await make_event(settings, 40)
    port = free_port()
    with running(settings, port) as parent:
        before = await all_listen(parent, port)
        dead = min(before)
        os.kill(dead, signal.SIGKILL)
        peers = Peers(f"http://127.0.0.1:{port}")
        # A zombie's other threads may still hold its listener: only one that was waited for has let go of it.
        await until(lambda: not psutil.pid_exists(dead), SECONDS)
        await peers.websocket()
        after = await all_listen(parent, port, frozenset({dead}))
        assert before & after == before - {dead}
        await peers.leave()


STANDS_STILL = "import os, sys, time; os.write(int(sys.argv[-1]), b'.'); time.sleep(1000)"


async def test_one_that_stands_still_is_killed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webs, "SILENT_SECONDS", 0.2)
    stopping = asyncio.Event()
    web = webs.Web(0, settings, stopping)
    web.command = [sys.executable, "-c", STANDS_STILL]
    keeping = asyncio.create_task(web.keep())
    first = await until(lambda: web.pid, SECONDS)
    await until(lambda: web.pid not in (first, None), SECONDS)
    stopping.set()
    await keeping
    assert web.pid is None


def test_a_port_that_somebody_has_is_named(settings: Settings) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unusable, match=f"port {port}"):
            webs.run(replace(settings, host="127.0.0.1", port=port), PROCESSES)
