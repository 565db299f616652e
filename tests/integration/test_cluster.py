"""On a server in cluster mode, which refuses keys of two slots in one command: all keys of an event are in one."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from msgspec.structs import replace
from redis.asyncio import Redis
from site_clients import make_event, order, until, visited_site

from seatmap.config import Settings
from seatmap.embedded.locate import valkey_server
from seatmap.keys import keys, processes, staging
from seatmap.web.serve import listen


def free_port() -> int:
    with listen("127.0.0.1", 0) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def clustered(settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Settings with a cluster of one node."""
    port = free_port()
    options = {
        "port": port,
        "cluster-port": free_port(),
        "cluster-enabled": "yes",
        "bind": "127.0.0.1",
        "save": "",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    program = [str(valkey_server()), *words, "--dir", str(tmp_path)]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL) as process:
        try:
            with redis.Redis(port=port) as node:
                eventually(lambda: node.ping())
                node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                eventually(lambda: b"cluster_state:ok" in node.execute_command("CLUSTER", "INFO"))
            yield replace(settings, redis_url=f"redis://127.0.0.1:{port}")
        finally:
            process.kill()


def eventually(what: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while True:
        with suppress(redis.ConnectionError):
            if what():
                return
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_people_buy_and_what_is_lost_is_restored(clustered: Settings) -> None:
    event = await make_event(clustered, 40)
    async with visited_site(clustered) as site, Redis.from_url(clustered.redis_url) as node:
        ada, bob = await site.page(event), await site.page(event)
        hold = await ada.ask("hold", seats=[1, 2])
        await bob.shows(1, 1)
        await ada.ask("extend", hold_id=hold["hold_id"])
        await ada.ask("release", hold_id=hold["hold_id"], seats=[2])
        await bob.shows(2, 0)
        await ada.ask("book", **order(ada.mine or {}))
        await bob.shows(1, 2)
        await node.flushall()
        await until(lambda: bob.position.epoch > 1, 20)
        await bob.ask("hold", seats=[2])
        await ada.shows(2, 1)
        assert bob.statuses[1] == 2, "what Postgres remembers is there again"


def test_all_names_of_an_event_are_in_one_slot() -> None:
    names = [*keys(7), processes(7), *staging(7, 3)]
    assert {name.partition("}")[0] for name in names} == {"{seatmap:7"}
