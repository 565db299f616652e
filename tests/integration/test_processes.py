"""What web processes tell each other, through a Redis that refuses to write."""

import pytest
from redis.exceptions import ResponseError

from seatmap.config import Settings
from seatmap.connections import Redis
from seatmap.live.processes import Processes
from seatmap.live.pulse import Told


async def test_nothing_follows_a_word_that_was_refused(settings: Settings) -> None:
    """Its answer would still be on its way when somebody else is given the connection."""
    redis = Redis(settings.redis_url, timeout_s=5, connections=1)
    told = Told(pid=1, beat=1, viewers=0, refused={}, waits={})
    try:
        await redis.command("CONFIG", "SET", "maxmemory", "1")
        await redis.command("CONFIG", "RESETSTAT")
        with pytest.raises(ResponseError, match="maxmemory"):
            await Processes(redis, 1, "one").tell(told)
        assert b"cmdstat_expire" not in await redis.command("INFO", "commandstats")
    finally:
        await redis.command("CONFIG", "SET", "maxmemory", "0")
        await redis.close()
