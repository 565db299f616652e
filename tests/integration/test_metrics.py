"""What the processes tell Prometheus: who may read it, that it is true, and that the documents name what there is."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from checkout_world import until as eventually
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families
from site_clients import Refusal, Site, make_event, order, until, visited_site
from staff_world import bearer, make_key

from seatmap.checkout.reconcile import lasting_differences, repair
from seatmap.checkout.stores import open_stores
from seatmap.config import Settings
from seatmap.embedded import Embedded
from seatmap.errors import Unusable
from seatmap.model import Role
from seatmap.web.app import open_app
from seatmap.worker.run import work

DOCS = Path(__file__).parents[2] / "docs"
Figures = dict[tuple[str, ...], float]


def figures(text: str) -> Figures:
    """(name, label values …) → value."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
async def event(settings: Settings) -> int:
    return await make_event(settings)


@pytest.fixture
async def site(settings: Settings, event: int) -> AsyncIterator[Site]:
    async with visited_site(replace(settings, command_timeout_ms=300)) as site:
        yield site


@pytest.fixture
async def key(site: Site) -> dict[str, str]:
    return bearer((await make_key(site.settings, Role.viewer))[0])


async def told(site: Site, key: dict[str, str]) -> Figures:
    answer = await site.visitor().http.get("/metrics", headers=key)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    return figures(answer.text)


async def test_it_is_not_public(site: Site) -> None:
    for role, status in ((None, 401), (Role.buyer, 403)):
        headers = bearer((await make_key(site.settings, role))[0]) if role is not None else {}
        assert (await site.visitor().http.get("/metrics", headers=headers)).status_code == status


async def test_it_counts_what_happens(site: Site, event: int, key: dict[str, str]) -> None:
    ada, bob = await site.page(event), await site.page(event)
    hold = await ada.ask("hold", seats=[1])
    with pytest.raises(Refusal):
        await bob.ask("hold", seats=[1])
    await ada.ask("book", **order(hold))
    found = await told(site, key)
    assert found["seatmap_commands_total", "hold", "ok"] == 1
    assert found["seatmap_commands_total", "hold", "seat_taken"] == 1
    assert found["seatmap_commands_total", "book", "ok"] == 1
    assert found["seatmap_command_seconds_count",] == 3
    assert found["seatmap_commit_orders_bucket", "1"] == found["seatmap_commit_orders_bucket", "+Inf"] == 1
    assert found["seatmap_commit_orders_sum",] == 1
    assert found["seatmap_viewers",] == 2
    assert found["seatmap_rooms",] == 1
    assert found["seatmap_rebuilds_total",] == 1, "opening it for sale was one"
    assert (found["seatmap_maps_behind",], found["seatmap_map_lag_changes",]) == (0, 0)
    for store in ("redis", "postgres"):
        assert found[f"seatmap_{store}_seconds_count",] > 0
        assert found["seatmap_breaker_open", store] == 0
    assert abs(found["seatmap_clock_difference_seconds",]) < 5


async def test_it_tells_of_a_store_that_is_away(site: Site, key: dict[str, str], servers: Embedded) -> None:
    servers.servers["valkey"].ask_to_stop()
    servers.servers["valkey"].wait_stopped()

    async def is_open() -> bool:
        return bool((await told(site, key))["seatmap_breaker_open", "redis"])

    async def is_closed() -> bool:
        return not await is_open()

    await eventually(is_open)
    servers.revive()
    await eventually(is_closed)
    assert (await told(site, key))["seatmap_breaker_opened_total", "redis"] == 1


async def test_a_port_of_its_own_needs_no_key(settings: Settings, event: int) -> None:
    port = free_port()
    async with (
        open_app(replace(settings, metrics_port=port)),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http,
    ):
        assert ("seatmap_rooms",) in figures((await http.get("/metrics")).text)
        with pytest.raises(Unusable, match="SEATMAP_METRICS_PORT"):
            async with open_app(replace(settings, metrics_port=port)):
                pass


async def told_by_a_worker(settings: Settings) -> Figures:
    """What a worker tells once it has looked around."""
    port = free_port()
    stop = asyncio.Event()
    working = asyncio.ensure_future(work(replace(settings, metrics_port=port), stop))
    found: Figures = {}

    async def looked() -> bool:
        with suppress(httpx.TransportError):
            found.update(figures((await http.get("/metrics")).text))
        return ("seatmap_undecided_orders",) in found

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        await eventually(looked)
    stop.set()
    await working
    return found


async def test_a_worker_tells_what_waits(settings: Settings, event: int) -> None:
    found = await told_by_a_worker(settings)
    assert found["seatmap_undecided_orders",] == found["seatmap_undecided_oldest_seconds",] == 0
    states = {labels[1] for labels in found if labels[0] == "seatmap_jobs"}
    assert states == {"queued", "running", "done", "failed"}


async def test_what_is_mended_is_counted(settings: Settings, event: int) -> None:
    async with visited_site(settings) as site, open_stores(settings, connections=2) as stores:
        page = await site.page(event)
        booked = await page.ask("book", **order(await page.ask("hold", seats=[1])))
        async with stores.redis.connection() as connection:
            for words in (
                ["HDEL", f"{{seatmap:{event}}}:owners", 1],
                ["SETRANGE", f"{{seatmap:{event}}}:seats", 1, "\0"],
            ):
                await connection.send_command(*words)
                await connection.read_response()
        assert booked["status"] == "confirmed"
        found = await lasting_differences(stores, event, pause_s=0)
        assert await repair(stores, event, found) == 1
        assert stores.counts["drift_repaired"] == 1
        await until(lambda: page.statuses.get(1) == 2)


async def test_the_documents_name_what_there_is(site: Site, key: dict[str, str], settings: Settings) -> None:
    """Each metric is explained, and none that is named is missing."""
    found = await told_by_a_worker(settings)
    there = {name for name, *_ in [*found, *await told(site, key)] if name.startswith("seatmap_")}
    there = {re.sub("_(bucket|sum|count|created)$", "", name) for name in there}
    explained = (
        (DOCS / "operations.md").read_text().partition("### Metrics")[2].partition("## Recovery by hand")[0]
    )
    named = set(re.findall(r"\bseatmap_[a-z_]+", explained + (DOCS / "alerts.yml").read_text()))
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in named} == there | {"seatmap_commands_total"}
