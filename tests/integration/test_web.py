"""The site as its visitors see it: pages that follow each other, privacy, resuming, expiry, loss, health."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from site_clients import Page, Refusal, Site, make_event, order, until, visited_site

from seatmap import protocol
from seatmap.config import Settings
from seatmap.embedded import Embedded
from seatmap.model import Position

AVAILABLE, HELD, BOOKED = 0, 1, 2


@pytest.fixture
async def event(settings: Settings) -> int:
    return await make_event(settings)


@pytest.fixture
async def site(settings: Settings, event: int) -> AsyncIterator[Site]:
    quick = replace(settings, head_check_ms=200, grace_ms=100, heartbeat_ms=300, hold_seconds=60)
    async with visited_site(quick) as site:
        yield site


# ---- pages that follow each other ----


async def test_a_page_begins_with_hello_the_whole_map_and_what_is_mine(site: Site, event: int) -> None:
    page = await site.page(event)
    await until(lambda: page.frames)
    assert [text["type"] for text in page.texts] == ["hello", "mine"]
    hello = page.texts[0]
    assert (hello["event_id"], hello["sale"], hello["seats_per_visitor"]) == (event, "on_sale", 4)
    assert page.kinds() == [protocol.SNAPSHOT]
    assert (page.seat_count, set(page.statuses.values())) == (40, {AVAILABLE})


async def test_two_pages_see_each_others_holds_and_bookings(site: Site, event: int) -> None:
    ada, bob = await site.page(event), await site.page(event)
    hold = await ada.ask("hold", seats=[3, 4])
    await bob.shows(3, HELD)
    await bob.ask("hold", seats=[7])
    await ada.shows(7, HELD)
    booked = await ada.ask("book", **order(hold))
    assert booked["status"] == "confirmed"
    for page in (ada, bob):
        await page.shows(3, BOOKED)
        assert (page.statuses[4], page.statuses[7]) == (BOOKED, HELD)
    await ada.ask("cancel", order_id=booked["id"])
    await bob.shows(3, AVAILABLE)


async def test_what_is_mine_never_reaches_others(site: Site, event: int) -> None:
    ada, bob = await site.page(event), await site.page(event)
    hold = await ada.ask("hold", seats=[3])
    booked = await ada.ask("book", **order(hold))
    await bob.shows(3, BOOKED)
    assert [text["type"] for text in bob.texts] == ["hello", "mine"]
    assert bob.mine is not None
    assert (bob.mine["hold_id"], bob.mine["seats"]) == ("", [])
    visitor = ada.cookie.partition(".")[0]
    order_id = booked["id"].replace("-", "")
    secrets = [hold["hold_id"].encode(), visitor.encode(), order_id.encode(), bytes.fromhex(order_id)]
    for frame in bob.frames:
        assert not any(secret in frame for secret in [*secrets, b"Ada", b"ada@"])


async def test_frames_carry_statuses_and_nothing_else(site: Site, event: int) -> None:
    ada, bob = await site.page(event), await site.page(event)
    await ada.ask("hold", seats=[3])
    await bob.shows(3, HELD)
    change = next(frame for frame in bob.frames if frame[0] == protocol.CHANGE)
    assert len(change) == 16 + 4


async def test_the_second_tab_of_a_visitor_is_told_what_is_theirs(site: Site, event: int) -> None:
    ada = site.visitor()
    first = await ada.page(event)
    second = await ada.page(event)
    assert first.cookie == second.cookie
    hold = await first.ask("hold", seats=[3, 4])
    await until(lambda: second.mine and second.mine["seats"] == [3, 4])
    assert second.mine is not None
    assert second.mine["hold_id"] == hold["hold_id"]
    await second.ask("release", hold_id=hold["hold_id"])
    await until(lambda: first.mine and first.mine["seats"] == [])


async def test_http_and_websocket_are_the_same_visitor(site: Site, event: int) -> None:
    ada = site.visitor()
    page = await ada.page(event)
    hold = await ada.post(event, "hold", {"seats": [5]})
    await until(lambda: page.mine and page.mine["seats"] == [5])
    assert (await ada.get(f"/api/events/{event}/mine"))["hold_id"] == hold["hold_id"]


# ---- coming back ----


async def test_a_page_that_comes_back_gets_only_what_it_missed(site: Site, event: int) -> None:
    ada, bob = site.visitor(), await site.page(event)
    gone = await ada.page(event)
    await until(lambda: gone.position.epoch)
    hold = await gone.ask("hold", seats=[1])
    await gone.shows(1, HELD)
    await gone.close()
    await bob.ask("hold", seats=[2])
    await bob.shows(2, HELD)
    back = await ada.page(event, gone.position)
    await back.shows(2, HELD)
    assert back.kinds() == [protocol.CHANGE]
    assert back.mine is not None
    assert (back.mine["hold_id"], back.mine["seats"]) == (hold["hold_id"], [1])
    assert 0 < back.mine["expires_in_ms"] <= 60_000


async def test_an_answer_does_not_stand_for_the_frame_that_follows(settings: Settings) -> None:
    """The second answer comes while the screens' next frame still waits for its turn."""
    event_id = await make_event(settings)
    async with visited_site(replace(settings, frame_ms=700)) as site:
        page = await site.page(event_id)
        for seat in (1, 2, 3):
            await page.ask("hold", seats=[seat])
        for seat in (1, 2, 3):
            await page.shows(seat, HELD)


async def test_a_page_at_the_head_gets_nothing_again(site: Site, event: int) -> None:
    ada = site.visitor()
    first = await ada.page(event)
    await until(lambda: first.frames)
    back = await ada.page(event, first.position)
    await until(lambda: back.viewers)
    assert back.kinds() == []


@pytest.mark.parametrize("position", [Position(999, 1), Position(1, 10**9)], ids=["an epoch", "a version"])
async def test_a_page_from_elsewhere_gets_the_whole_map(site: Site, event: int, position: Position) -> None:
    page = await site.visitor().page(event, position)
    await until(lambda: page.frames)
    assert page.kinds() == [protocol.SNAPSHOT]


@pytest.mark.parametrize(
    "query", ["epoch=x", "epoch=-1&version=-1", "epoch=1e9", "version=5", f"epoch={'9' * 5000}"]
)
async def test_a_position_that_is_none_is_nowhere(site: Site, event: int, query: str) -> None:
    from websockets.asyncio.client import connect

    async with connect(f"{site.url.replace('http', 'ws')}/ws/events/{event}?{query}") as socket:
        assert '"hello"' in str(await socket.recv())
        frame = await socket.recv()
        assert isinstance(frame, bytes)
        assert frame[0] == protocol.SNAPSHOT


async def test_a_page_that_asks_to_sync_gets_what_it_misses(site: Site, event: int) -> None:
    page = await site.page(event)
    await until(lambda: page.frames)
    await page.ask("sync", epoch=0, version=0)
    await until(lambda: page.kinds() == [protocol.SNAPSHOT] * 2)
    await page.ask("sync", epoch=page.position.epoch, version=page.position.version)
    await page.ask("mine")
    assert page.kinds() == [protocol.SNAPSHOT] * 2


# ---- endings ----


async def test_an_expired_hold_is_told_to_its_owner_and_freed_for_all(settings: Settings, event: int) -> None:
    quick = replace(settings, hold_seconds=1, grace_ms=100, head_check_ms=100)
    async with visited_site(quick) as site:
        ada, bob = await site.page(event), await site.page(event)
        await ada.ask("hold", seats=[3])
        await bob.shows(3, HELD)
        await until(lambda: ada.news()[-1]["reason"] == "expired")
        assert ada.news()[-1]["seats"] == []
        await bob.shows(3, AVAILABLE)
        assert "expired" not in [text["reason"] for text in bob.news()]
        await bob.ask("hold", seats=[3])


async def test_after_a_loss_of_redis_holds_are_lost_and_bookings_booked(site: Site, event: int) -> None:
    ada, bob = await site.page(event), await site.page(event)
    await ada.ask("book", **order(await ada.ask("hold", seats=[1])))
    await ada.shows(1, BOOKED)
    await bob.ask("hold", seats=[2])
    await ada.shows(2, HELD)
    async with Redis.from_url(site.settings.redis_url) as redis:
        await redis.flushall()
    await until(lambda: bob.news()[-1]["reason"] == "lost", 2)
    assert bob.news()[-1]["seats"] == []
    await ada.shows(2, AVAILABLE, 2)
    assert ada.statuses[1] == BOOKED
    assert "lost" not in [text["reason"] for text in ada.news()]


# ---- orders are their owner's ----


async def test_orders_are_shown_to_their_owner_only(site: Site, event: int) -> None:
    ada, eve = site.visitor(), site.visitor()
    hold = await ada.post(event, "hold", {"seats": [1, 2]})
    booked = await ada.post(event, "book", order(hold))
    await eve.get(f"/api/events/{event}/mine")
    assert [o["id"] for o in (await ada.get("/api/orders"))["orders"]] == [booked["id"]]
    assert (await ada.get(f"/api/orders/{booked['id']}"))["seats"][0]["label"] == "Hall, row A, seat 2"
    assert await eve.get("/api/orders") == {"orders": []}
    for ask in (
        lambda: eve.get(f"/api/orders/{booked['id']}"),
        lambda: eve.post(event, "cancel", {"order_id": booked["id"]}),
    ):
        with pytest.raises(Refusal) as refusal:
            await ask()
        assert (refusal.value.code, refusal.value.status) == ("order_not_found", 404)
    assert (await ada.get(f"/api/orders/{booked['id']}"))["status"] == "confirmed"


@pytest.mark.parametrize(
    "order_id", ["1", "x" * 300, "0190a0a0-0000-7000-8000-000000000000", "%00", "%F0%9F%8E%AD"]
)
async def test_an_order_that_nobody_has_is_not_found(site: Site, order_id: str) -> None:
    with pytest.raises(Refusal) as refusal:
        await site.visitor().get(f"/api/orders/{order_id}")
    assert (refusal.value.code, refusal.value.status) == ("order_not_found", 404)


async def test_an_order_shown_after_booking_is_the_order_that_is_kept(site: Site, event: int) -> None:
    ada = site.visitor()
    told = await ada.post(event, "book", order(await ada.post(event, "hold", {"seats": [2, 1]})))
    kept = await ada.get(f"/api/orders/{told['id']}")
    told.pop("created_at"), kept.pop("created_at")
    assert told == kept


# ---- health ----


async def readiness(site: Site) -> tuple[int, dict[str, str]]:
    answer = await site.visitor().http.get("/readyz")
    return answer.status_code, answer.json()


async def becomes_ready(site: Site) -> None:
    async with asyncio.timeout(30):
        while (await readiness(site))[0] != 200:  # noqa: ASYNC110 - only the site knows
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("server", "part"), [("valkey", "redis"), ("postgres", "postgres")])
async def test_a_store_that_is_away_is_named_until_it_is_back(
    site: Site, servers: Embedded, server: str, part: str
) -> None:
    assert await readiness(site) == (
        200,
        {"status": "ready", "redis": "ok", "postgres": "ok", "maps": "ok"},
    )
    servers.servers[server].ask_to_stop()
    servers.servers[server].wait_stopped()
    status, said = await readiness(site)
    assert (status, said["status"], said[part]) == (503, "not ready", "away")
    assert (await site.visitor().http.get("/healthz")).status_code == 200
    servers.revive()
    await becomes_ready(site)


async def test_a_map_is_served_while_postgres_is_away(site: Site, event: int, servers: Embedded) -> None:
    ada = await site.page(event)
    servers.servers["postgres"].ask_to_stop()
    servers.servers["postgres"].wait_stopped()
    hold = await ada.ask("hold", seats=[1])
    bob = await site.page(event)
    await bob.shows(1, HELD)
    with pytest.raises(Refusal) as refusal:
        await ada.ask("book", **order(hold))
    assert (refusal.value.code, refusal.value.problem["temporary"]) == ("unavailable", True)


async def test_while_redis_is_away_pages_are_told_and_then_it_heals(
    site: Site, event: int, servers: Embedded
) -> None:
    ada: Page = await site.page(event)
    servers.servers["valkey"].ask_to_stop()
    servers.servers["valkey"].wait_stopped()
    with pytest.raises(Refusal) as refusal:
        await ada.ask("hold", seats=[1])
    assert refusal.value.problem["temporary"] is True
    await until(lambda: ada.stale)
    servers.revive()
    await until(lambda: not ada.stale)
    await ada.ask("hold", seats=[1])
    await ada.shows(1, HELD)


async def test_bookings_are_in_postgres(site: Site, event: int) -> None:
    ada = site.visitor()
    booked = await ada.post(event, "book", order(await ada.post(event, "hold", {"seats": [1]})))
    connection = await asyncpg.connect(site.settings.database_url)
    try:
        rows = await connection.fetch("SELECT seat, status FROM bookings WHERE order_id = $1", booked["id"])
    finally:
        await connection.close()
    assert [(row["seat"], row["status"]) for row in rows] == [(1, "confirmed")]
