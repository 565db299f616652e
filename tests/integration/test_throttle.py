"""Tries are counted in Redis for all processes, and what it refused is remembered for as long as it would say so."""

from collections.abc import AsyncIterator

import pytest

from seatmap.config import Settings
from seatmap.connections import Redis
from seatmap.errors import Refused
from seatmap.web.throttle import Bucket, Throttle

TRIES = Bucket("tries", burst=3, seconds=60)


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    redis = Redis(settings.redis_url, timeout_s=5)
    yield redis
    await redis.close()


async def taken(throttle: Throttle, who: str = "ada") -> int:
    """How many tries are let through until one is refused."""
    for count in range(100):
        try:
            await throttle.take(TRIES, who)
        except Refused as refusal:
            if refusal.code == "too_many_attempts" and 0 < refusal.extra["retry_after"] <= 60:
                return count
            raise
    raise AssertionError("all were let through")


async def test_all_processes_count_together(redis: Redis) -> None:
    assert await taken(Throttle(redis)) == 3
    assert await taken(Throttle(redis)) == 0
    assert await taken(Throttle(redis), "bob") == 3


async def test_a_refusal_is_repeated_without_asking_redis(redis: Redis) -> None:
    throttle = Throttle(redis)
    await taken(throttle)
    await redis.command("FLUSHALL")
    assert await taken(throttle) == 0
    assert await taken(Throttle(redis)) == 3


async def test_a_refusal_is_remembered_no_longer_than_it_holds(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    throttle = Throttle(redis)
    await taken(throttle)
    await redis.command("FLUSHALL")
    monkeypatch.setattr("seatmap.web.throttle.time.monotonic", lambda: 1e12)
    assert await taken(throttle) == 3


async def test_what_is_forgiven_is_forgotten_here_too(redis: Redis) -> None:
    throttle = Throttle(redis)
    await taken(throttle)
    await throttle.forget(TRIES, "ada")
    assert await taken(throttle) == 3


async def test_only_so_much_is_remembered(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seatmap.web.throttle.REMEMBERED_MAX", 10)
    throttle = Throttle(redis)
    for i in range(20):
        assert await taken(throttle, f"visitor {i}") == 3
    assert len(throttle._refused) <= 10
    assert await taken(throttle, "visitor 19") == 0
