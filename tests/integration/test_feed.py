"""The feed on a real Redis: whatever is lost, cut or rebuilt, the replicas are true again soon."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from feed_world import Watcher, World, running
from ledger_world import make_event
from redis.asyncio import Redis as Client
from site_clients import until

from seatmap.booking.commands import Release
from seatmap.checkout.rebuild import open_event, rebuild
from seatmap.checkout.stores import Stores, open_stores
from seatmap.config import Settings
from seatmap.connections import Redis
from seatmap.embedded import Embedded
from seatmap.keys import keys
from seatmap.live.feed import MISSED_CHECKS_MAX, Feed, Watch
from seatmap.model import Change, Position, Snapshot


@pytest.fixture
async def stores(settings: Settings) -> AsyncIterator[Stores]:
    async with open_stores(settings) as stores:
        yield stores


@pytest.fixture
async def event(stores: Stores) -> int:
    event_id = await make_event(stores.pool)
    await open_event(stores, event_id)
    return event_id


@pytest.fixture
async def world(stores: Stores) -> AsyncIterator[World]:
    async with running(World(stores)) as world:
        yield world


@pytest.fixture
async def admin(settings: Settings) -> AsyncIterator[Client]:
    async with Client.from_url(settings.redis_url) as client:
        yield client


# ---- the straight way ----


async def test_a_watch_begins_with_the_map_and_goes_on_with_changes(world: World, event: int) -> None:
    await world.hold(event, 1)
    watch = await world.watch(event)
    assert watch.replica.statuses[1] == 1
    assert world.watchers[event].catch_ups == 1
    await world.hold(event, 2)
    await world.becomes_true(watch)
    assert [change.seats for change in world.watchers[event].changes] == [{2: 1}]
    assert world.source.calls["snapshot"] == 1


async def test_two_events_share_a_feed_and_nothing_else(world: World, event: int) -> None:
    other = await make_event(world.stores.pool)
    await open_event(world.stores, other)
    one, two = await world.watch(event), await world.watch(other)
    await world.hold(event, 1)
    await world.hold(other, 2)
    await world.becomes_true(one)
    await world.becomes_true(two)
    assert [change.seats for change in world.watchers[event].changes] == [{1: 1}]
    assert [change.seats for change in world.watchers[other].changes] == [{2: 1}]


async def test_events_that_were_watched_before_it_ran_are_subscribed_too(stores: Stores, event: int) -> None:
    world = World(stores)
    watch = Watch(event, Watcher())
    await world.feed.watch(watch)
    async with running(world):
        await asyncio.wait_for(watch.live.wait(), 30)


async def test_an_event_no_longer_watched_is_no_longer_heard(world: World, event: int, admin: Client) -> None:
    watch = await world.watch(event)
    await world.feed.unwatch(watch)
    await world.hold(event, 1)
    checks = world.watchers[event].checks
    await unsubscribed(admin, keys(event).channel)
    assert (world.watchers[event].changes, watch.replica.statuses[1]) == ([], 0)
    assert world.watchers[event].checks <= checks + 1
    again = await world.watch(event)
    assert again.replica.statuses[1] == 1


async def unsubscribed(admin: Client, channel: str) -> None:
    for _ in range(1000):
        if await admin.execute_command("PUBSUB", "SHARDNUMSUB", channel) == [channel.encode(), 0]:
            return
    raise AssertionError(f"{channel} still has a subscriber")


# ---- what is lost ----


async def test_a_lost_last_message_is_found_by_the_head_check(world: World, event: int) -> None:
    watch = await world.watch(event)
    await until(lambda: world.watchers[event].checks)
    await world.hold_unheard(event, 5)
    checks = world.watchers[event].checks
    await world.becomes_true(watch)
    assert world.watchers[event].checks - checks <= 3
    assert world.source.calls["snapshot"] == 1, "the log was enough"
    assert [change.seats for change in world.watchers[event].changes] == [{5: 1}]


async def test_a_subscription_that_is_silent_is_made_anew(world: World, event: int) -> None:
    """Rule 24. Each time the log heals the map, a check late: for ever, if nobody doubted the subscription."""
    watch = await world.watch(event)
    first = world.feed._reading
    for seat in range(MISSED_CHECKS_MAX + 1):
        assert world.feed._reading is first
        await world.hold_unheard(event, seat)
        await world.becomes_true(watch)
    await until(lambda: world.feed._reading is not first and watch.live.is_set())
    await world.hold(event, 9)
    await world.becomes_true(watch)


async def test_a_lost_message_is_read_again_as_soon_as_the_next_one_shows_the_hole(
    world: World, event: int
) -> None:
    watch = await world.watch(event)
    await world.hold_unheard(event, 5, 6)
    await world.hold(event, 7)
    await world.becomes_true(watch)
    assert [change.seats for change in world.watchers[event].changes] == [{5: 1}, {6: 1}, {7: 1}]
    assert (world.source.calls["snapshot"], world.watchers[event].catch_ups) == (1, 2)


async def test_where_the_log_is_too_short_the_whole_map_is_read(
    world: World, event: int, admin: Client
) -> None:
    watch = await world.watch(event)
    await world.hold_unheard(event, 5, 6, 7)
    await admin.xtrim(keys(event).log, maxlen=1, approximate=False)
    await world.hold(event, 8)
    await world.becomes_true(watch)
    assert list(watch.replica.statuses[5:9]) == [1, 1, 1, 1]
    assert world.source.calls["snapshot"] == 2


async def test_a_cut_subscription_misses_nothing(world: World, event: int, admin: Client) -> None:
    watch = await world.watch(event)
    for seat in range(12):
        if seat % 4 == 1:
            await asyncio.wait_for(watch.live.wait(), 30)
            assert await admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await world.hold(event, seat)
    await world.becomes_true(watch)
    assert list(watch.replica.statuses) == [1] * 12 + [0] * 8
    await world.hold(event, 12)
    await world.becomes_true(watch)


class Unsubscribing(Redis):
    """A server that moves a slot away: it says so, once, and is silent from then on."""

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout_s=1.5)
        self.move = asyncio.Event()
        self.subscriptions = 0

    async def dedicated(self) -> Any:
        connection = await super().dedicated()
        self.subscriptions += 1
        read = connection.read_response

        async def read_or_move() -> Any:
            reading, moving = asyncio.ensure_future(read()), asyncio.ensure_future(self.move.wait())
            await asyncio.wait({reading, moving}, return_when=asyncio.FIRST_COMPLETED)
            moving.cancel()
            if not self.move.is_set():
                return await reading
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            self.move.clear()
            return [b"sunsubscribe", self.channel, 0]

        connection.read_response = read_or_move
        return connection

    channel = b""


async def test_being_unsubscribed_by_the_server_is_a_gap(stores: Stores, event: int) -> None:
    redis = Unsubscribing(stores.settings.redis_url)
    redis.channel = keys(event).channel.encode()
    async with running(World(stores, redis)) as world:
        watch = await world.watch(event)
        redis.move.set()
        await until(lambda: redis.subscriptions == 2)
        await world.hold(event, 3)
        await world.becomes_true(watch)
        await until(lambda: world.watchers[event].catch_ups == 2)


# ---- what is rebuilt or away ----


async def test_a_rebuild_reaches_the_replica(world: World, event: int) -> None:
    watch = await world.watch(event)
    await world.hold(event, 3)
    await world.becomes_true(watch)
    before = watch.replica.position
    assert await rebuild(world.stores, event)
    await until(lambda: watch.replica.position.epoch > before.epoch)
    await world.becomes_true(watch)
    assert watch.replica.statuses[3] == 1
    await world.stores.desk.decide(event, Release("v3", "", ()))
    await world.hold(event, 4)
    await world.becomes_true(watch)
    assert world.watchers[event].catch_ups == 2


async def test_after_a_killed_server_the_map_is_right_once_it_is_rebuilt(
    world: World, event: int, servers: Embedded
) -> None:
    watch = await world.watch(event)
    await world.hold(event, 3)
    await world.becomes_true(watch)
    epoch = watch.replica.position.epoch
    os.kill(servers.pids["valkey"], signal.SIGKILL)
    await asyncio.to_thread(servers.servers["valkey"].process.wait)  # type: ignore[union-attr]
    servers.revive()
    await until(lambda: world.watchers[event].recoveries)
    assert await open_event(world.stores, event)
    await until(lambda: watch.replica.position.epoch > epoch)
    await world.hold(event, 4)
    await world.becomes_true(watch)


async def test_a_screen_that_is_ahead_has_the_head_read_at_once(stores: Stores, event: int) -> None:
    """Rule 23. The head check would find it too, but only a while later."""
    world = World(stores)
    world.feed = Feed(stores.redis, world.source, head_check_ms=60_000)
    async with running(world):
        watch = await world.watch(event)
        await world.hold_unheard(event, 1, 2)
        for _ in range(3):
            world.feed.look(watch)
        await world.becomes_true(watch)
        assert world.source.calls["head"] == 1, "many screens, one question"


async def test_a_server_that_is_away_at_the_start_is_found_later(
    stores: Stores, event: int, servers: Embedded
) -> None:
    servers.servers["valkey"].ask_to_stop()
    servers.servers["valkey"].wait_stopped()
    async with running(World(stores)) as world:
        watcher = world.watchers[event] = Watcher()
        watch = Watch(event, watcher)
        await world.feed.watch(watch)
        await until(lambda: watcher.checks)
        assert watcher.stale
        servers.revive()
        await until(lambda: watcher.recoveries)
        await open_event(stores, event)
        await asyncio.wait_for(watch.live.wait(), 30)
        await until(lambda: not watcher.stale)


async def test_an_event_without_seats_in_redis_asks_to_be_restored(world: World) -> None:
    event_id = await make_event(world.stores.pool)
    watcher = world.watchers[event_id] = Watcher()
    watch = Watch(event_id, watcher)
    await world.feed.watch(watch)
    await until(lambda: watcher.recoveries)
    await open_event(world.stores, event_id)
    await asyncio.wait_for(watch.live.wait(), 30)


# ---- what nobody expects ----


@pytest.mark.parametrize("part", ["snapshot", "replay", "head"])
async def test_a_source_that_fails_unexpectedly_is_asked_again(world: World, event: int, part: str) -> None:
    watch = await world.watch(event)
    world.source.broken = {part}
    before = world.source.calls[part]
    if part == "snapshot":
        await rebuild(world.stores, event)
    else:
        await world.hold_unheard(event, 5)
        await world.hold(event, 6)
    await until(lambda: world.source.calls[part] > before)
    world.source.broken = set()
    await world.becomes_true(watch)
    await until(lambda: watch.live.is_set())


async def test_a_room_that_fails_does_not_stop_the_checks_of_others(world: World, event: int) -> None:
    other = await make_event(world.stores.pool)
    await open_event(world.stores, other)
    await world.watch(event)
    watch = await world.watch(other)
    world.watchers[event].broken = True
    checks = world.watchers[event].checks
    await until(lambda: world.watchers[event].checks > checks)
    await world.hold_unheard(other, 5)
    await world.becomes_true(watch)


async def test_an_event_whose_head_is_slow_does_not_delay_the_others(world: World, event: int) -> None:
    others = [await make_event(world.stores.pool) for _ in range(5)]
    for other in others:
        await open_event(world.stores, other)
        await world.watch(other)
    await world.watch(event)
    world.source.slow = dict.fromkeys(others, 0.5)
    start = asyncio.get_running_loop().time()
    checks = world.watchers[event].checks
    await until(lambda: world.watchers[event].checks >= checks + 2)
    assert asyncio.get_running_loop().time() - start < 2


def test_changes_that_wait_for_a_map_are_bounded() -> None:
    watch = Watch(1, Watcher())
    for version in range(10_000):
        watch.receive(Change(epoch=1, since=version, to=version + 1, seats={}))
    assert len(watch.buffer) <= 4096
    statuses = bytes(4)
    early = Snapshot(run_id="r", position=Position(1, 10), plan_version=1, statuses=statuses)
    late = Snapshot(run_id="r", position=Position(1, 9000), plan_version=1, statuses=statuses)
    assert not watch.replica.install(early, watch.buffer)
    assert watch.replica.install(late, watch.buffer)
    assert watch.replica.position == Position(1, 10_000)
