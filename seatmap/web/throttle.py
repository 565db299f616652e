"""How often something may be tried: token buckets in Redis, shared by all web processes."""

import hashlib
import ipaddress
import math
import time
from functools import lru_cache

from msgspec import Struct
from starlette.requests import HTTPConnection

from seatmap.connections import Redis, evaluate
from seatmap.errors import Refused
from seatmap.web.sessions import PREFIX

# The moment at which the bucket is full again stands for its level; Redis' own clock, as all processes share it.
# KEYS: the bucket. ARGV: ms per token, tokens at most. Answers 0, or in how many ms there is a token again.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + ARGV[1]
local wait = full_at - now - ARGV[1] * ARGV[2]
if wait > 0 then return math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', string.format('%.0f', full_at - now))
return 0
"""
_SHA = hashlib.sha1(_TAKE.encode(), usedforsecurity=False).hexdigest()


REMEMBERED_MAX = 10_000


class Bucket(Struct, frozen=True):
    """`burst` tries at once, then one each `seconds`."""

    name: str
    burst: int
    seconds: int


class Throttle:
    """Counts tries, by whatever text names who tries what."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        # Until when Redis would say the same: most tries of a flood are refused without asking it.
        self._refused: dict[str, float] = {}

    async def take(self, bucket: Bucket, *who: str) -> None:
        """One try. Refuses with too_many_attempts and `retry_after` in seconds; a refused try costs nothing."""
        key, now = _key(bucket, who), time.monotonic()
        until = self._refused.get(key, 0.0)
        if until <= now:
            until = now + await self._ask(bucket, key)
            if until == now:
                return
            self._remember(key, until, now)
        raise Refused("too_many_attempts", retry_after=math.ceil(until - now))

    async def _ask(self, bucket: Bucket, key: str) -> float:
        """0, or in how many seconds there is a token again."""
        async with self._redis.connection() as connection:
            wait = await evaluate(connection, _TAKE, _SHA, [key], [bucket.seconds * 1000, bucket.burst])
        return float(wait) / 1000

    def _remember(self, key: str, until: float, now: float) -> None:
        if len(self._refused) >= REMEMBERED_MAX:
            self._refused = {key: until for key, until in self._refused.items() if until > now}
        if len(self._refused) < REMEMBERED_MAX:
            self._refused[key] = until

    async def forget(self, bucket: Bucket, *who: str) -> None:
        """The tries so far do not count any more."""
        key = _key(bucket, who)
        self._refused.pop(key, None)
        await self._redis.command("DEL", key)


def _key(bucket: Bucket, who: tuple[str, ...]) -> str:
    told = hashlib.sha256("\0".join(who).encode()).hexdigest()
    return f"{PREFIX}:tries:{bucket.name}:{told}"


def address_of(request: HTTPConnection) -> str:
    """Who asks, as far as the network says; an IPv6 customer has a whole /64."""
    client = request.scope.get("client")
    return _network(client[0]) if client else ""


@lru_cache(4096)
def _network(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]  # whatever a trusted proxy says
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
    return host
