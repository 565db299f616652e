"""The two stores, opened together: what every edge needs to sell seats."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct, field

from seatmap.booking.desk import Desk
from seatmap.booking.state import State
from seatmap.config import Settings
from seatmap.connections import Redis
from seatmap.ledger.pool import Pool, open_pool
from seatmap.tasks import end


class Stores(Struct, frozen=True):
    """Redis, as connections, as the desk that decides and as state; Postgres as a pool."""

    settings: Settings
    redis: Redis
    desk: Desk
    state: State
    pool: Pool
    counts: Counter[str] = field(default_factory=Counter)  # what had to be mended, for metrics.COUNTED

    @property
    def clock_difference_s(self) -> float | None:
        """The clock of Redis minus that of Postgres; None before both have told theirs."""
        redis, postgres = self.redis.breaker.clock_s, self.pool.breaker.clock_s
        return None if redis is None or postgres is None else redis - postgres


@asynccontextmanager
async def open_stores(settings: Settings, *, connections: int = 8) -> AsyncIterator[Stores]:
    """Both stores for as long as the block lasts. Raises Unavailable if Postgres does not answer."""
    redis = Redis(settings.redis_url, timeout_s=settings.command_timeout_ms / 1000, connections=connections)
    pool = await open_pool(settings, size=connections)
    watching = [asyncio.ensure_future(breaker.run()) for breaker in (redis.breaker, pool.breaker)]
    try:
        desk = Desk(redis, timeout_ms=settings.command_timeout_ms)
        yield Stores(settings=settings, redis=redis, desk=desk, state=State(redis), pool=pool)
    finally:
        pool.terminate()
        try:
            await end(watching)
        finally:
            await redis.close()
