"""The rooms of a process: many events, stores that are away at the start, events that cannot be opened."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from uuid import UUID, uuid4

import asyncpg
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from site_clients import Refusal, Site, make_event, until, visited_site

from seatmap.booking.commands import Begin
from seatmap.booking.desk import Desk
from seatmap.checkout.stores import open_stores
from seatmap.config import Settings
from seatmap.embedded import Embedded
from seatmap.errors import Unavailable
from seatmap.ledger import orders
from seatmap.ledger.instance import secret
from seatmap.live.replica import Frame
from seatmap.model import NOWHERE
from seatmap.web import rooms
from seatmap.web.visitor import Visitors

MANY = 12  # more than the pool has connections


@pytest.fixture
def quick(settings: Settings) -> Settings:
    return replace(settings, head_check_ms=200, heartbeat_ms=300)


@pytest.fixture
async def many(quick: Settings) -> list[int]:
    return [await make_event(quick, 4) for _ in range(MANY)]


async def counts(site: Site) -> list[object]:
    return [event["counts"] for event in (await site.visitor().get("/api/events"))["events"]]


async def test_all_events_are_restored_soon_after_a_loss(quick: Settings, many: list[int]) -> None:
    async with visited_site(quick) as site:
        pages = [await site.page(event) for event in many]
        for page in pages:
            await until(lambda page=page: page.position.epoch)
        before = [page.position.epoch for page in pages]
        async with Redis.from_url(quick.redis_url) as redis:
            await redis.flushall()
        for page, epoch in zip(pages, before, strict=True):
            await until(lambda page=page, epoch=epoch: page.position.epoch > epoch, 4)


async def test_it_serves_soon_while_redis_is_away_and_sells_when_it_is_back(
    quick: Settings, many: list[int], servers: Embedded
) -> None:
    servers.servers["valkey"].ask_to_stop()
    servers.servers["valkey"].wait_stopped()
    began = asyncio.get_running_loop().time()
    async with visited_site(quick) as site:
        assert (await site.visitor().http.get("/healthz")).status_code == 200
        assert asyncio.get_running_loop().time() - began < rooms.START_SECONDS + 20
        assert await counts(site) == [None] * MANY
        servers.revive()
        for event in many:
            await becomes_open(site, event)
            page = await site.page(event)
            await page.ask("hold", seats=[1])


async def becomes_open(site: Site, event: int) -> None:
    """Wait until the event's map can be had, which after a loss is once it was restored."""
    async with asyncio.timeout(60):
        while True:
            with suppress(Refusal):
                await site.visitor().get(f"/api/events/{event}/seats")
                return
            await asyncio.sleep(0.1)


async def test_where_no_map_can_be_had_a_visitor_is_told_so(quick: Settings, servers: Embedded) -> None:
    event = await make_event(quick, 4)
    servers.servers["valkey"].ask_to_stop()
    servers.servers["valkey"].wait_stopped()
    async with visited_site(quick) as site:
        with pytest.raises(Refusal) as refusal:
            await site.visitor().get(f"/api/events/{event}/seats")
        assert (refusal.value.status, refusal.value.problem["temporary"]) == (503, True)


@pytest.fixture
async def postgres(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(settings.database_url)
    yield connection
    await connection.close()


async def test_an_event_that_cannot_be_opened_spoils_nothing_for_the_others(
    quick: Settings, postgres: asyncpg.Connection
) -> None:
    """Its only category is gone, which nobody should have done by hand."""
    broken, whole = await make_event(quick, 4), await make_event(quick, 4)
    await postgres.execute("UPDATE categories SET deleted_at = now() WHERE event_id = $1", broken)
    async with visited_site(quick) as site:
        page = await site.page(whole)
        await page.ask("hold", seats=[1])
        await page.shows(1, 1)
        with pytest.raises(Refusal) as refusal:
            await site.visitor().get(f"/api/events/{broken}/plan")
        assert refusal.value.status >= 400
        later = await make_event(quick, 4)
        async with asyncio.timeout(30):
            await (await site.page(later)).ask("hold", seats=[1])
        listed = await site.visitor().get("/api/events")
        assert whole in [event["id"] for event in listed["events"]]


async def test_a_new_event_is_listed_and_a_draft_is_not(
    quick: Settings, postgres: asyncpg.Connection
) -> None:
    async with visited_site(quick) as site:
        assert await counts(site) == []
        event, draft = await make_event(quick, 4), await make_event(quick, 4)
        await postgres.execute("UPDATE events SET status = 'draft' WHERE id = $1", draft)
        visitor = site.visitor()
        for _ in range(100):
            if listed := (await visitor.get("/api/events"))["events"]:
                break
            await asyncio.sleep(0.05)
        assert [found["id"] for found in listed] == [event]
        with pytest.raises(Refusal) as refusal:
            await visitor.get(f"/api/events/{draft}")
        assert (refusal.value.code, refusal.value.status) == ("event_not_found", 404)


def before_each_look(monkeypatch: pytest.MonkeyPatch, happens: Callable[[object], None]) -> None:
    """`happens` whenever a desk is asked what is somebody's."""
    decide = Desk.decide

    async def told(desk: Desk, *args: object, **options: object) -> object:
        if type(args[1]).__name__ == "ReadMine":
            happens(args[1])
        return await decide(desk, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Desk, "decide", told)


def what_is_theirs_fails_at_first(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    failures = iter(range(times))

    def fails_at_first(_: object) -> None:
        if next(failures, None) is not None:
            raise Unavailable("It is busy.")

    before_each_look(monkeypatch, fails_at_first)


async def test_a_page_that_comes_while_redis_is_silent_is_told_what_is_its_own_afterwards(
    quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silence that is too short to be a gap; a page waits for this before it does anything."""
    event = await make_event(quick, 4)
    async with visited_site(quick) as site:
        ada, bob = site.visitor(), site.visitor()
        for seat, visitor in enumerate((ada, bob)):
            await (await visitor.page(event)).ask("hold", seats=[seat])
        what_is_theirs_fails_at_first(monkeypatch, 5)
        pages = [await visitor.page(event) for visitor in (ada, bob, ada)]
        for seat, page in zip((0, 1, 0), pages, strict=True):
            await until(lambda page=page: page.news())
            assert page.news()[-1]["seats"] == [seat]


async def test_after_a_gap_everybody_is_told_what_is_theirs_even_if_it_fails_at_first(
    quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await make_event(quick, 40)
    async with visited_site(quick) as site:
        pages = [await site.page(event) for _ in range(5)]
        for seat, page in enumerate(pages):
            await page.ask("hold", seats=[seat])
        what_is_theirs_fails_at_first(monkeypatch, 8)
        async with Redis.from_url(quick.redis_url) as redis:
            await redis.flushall()
        for page in pages:
            await until(lambda page=page: page.news()[-1]["reason"] == "lost", 5)


async def test_who_comes_back_with_nothing_costs_redis_nothing(
    quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stampede is over in seconds because Redis does not hear of it."""
    event = await make_event(quick, 40)
    async with visited_site(quick) as site:
        ada, bob = site.visitor(), site.visitor()
        await (await ada.page(event)).ask("hold", seats=[1])
        page = await bob.page(event)
        hold = await page.ask("hold", seats=[2])
        await page.ask("release", hold_id=hold["hold_id"])
        asked: list[object] = []
        before_each_look(monkeypatch, asked.append)
        for page in [await site.page(event) for _ in range(5)] + [await bob.page(event)]:
            await until(lambda page=page: page.news())
            assert page.news()[-1]["seats"] == []
        assert asked == []
        back = await ada.page(event)
        await until(lambda: back.news())
        assert back.news()[-1]["seats"] == [1]
        assert len(asked) == 1


# ---- no worker lives (rule 16) ----


async def test_a_web_settles_what_is_undecided_without_a_worker(
    quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "RESOLVE_SECONDS", 0.1)
    event = await make_event(quick, 4)
    async with visited_site(replace(quick, resolve_after_ms=50)) as site, open_stores(quick) as stores:
        page = await site.page(event)
        hold = await page.ask("hold", seats=[1])
        visitor = Visitors(await secret(stores.pool)).read({"cookie": f"visitor={page.cookie}"}, https=False)
        assert visitor
        order_id = uuid4().hex
        begun = await stores.desk.decide(event, Begin(visitor, hold["hold_id"], order_id, "00", (1,)))
        assert begun.word == "BEGUN"
        await until(lambda: page.mine and not page.mine["checkout"] and page.mine["seats"] == [1])
        assert await orders.standing(stores.pool, UUID(order_id)) is None


# ---- a process lets go of what nobody looks at ----


async def test_a_room_that_nobody_looks_into_is_closed(
    quick: Settings, many: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "OPEN_AHEAD_MAX", 2)
    async with open_stores(quick) as stores:
        theirs = rooms.Rooms(stores)
        running = asyncio.ensure_future(theirs.run())
        try:
            watched = await theirs.get(many[5])
            screen = NoScreen()
            watched.hub.attach(screen, NOWHERE)
            unused = await theirs.get(many[6])
            monkeypatch.setattr(rooms, "UNUSED_SECONDS", 0.0)
            await until(lambda: len(list(theirs)) == 3)
            monkeypatch.undo()
            assert {room.event.id for room in theirs} == {*many[:2], many[5]}
            assert unused.watch.channel not in theirs._feed._watches
            assert await theirs.get(many[6]) is not unused, "it is opened again when asked for"
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


class NoScreen:
    """A screen that takes everything and shows it to nobody."""

    position = NOWHERE

    def show(self, frame: Frame) -> int:
        return 0

    def abort(self) -> None:
        pass
