"""SWAP on a real Redis: the last step of a rebuild, which is also how an event is opened."""

from collections.abc import AsyncIterator

import pytest
from booking_world import World, opened

from seatmap.embedded import Embedded


@pytest.fixture
async def world(servers: Embedded) -> AsyncIterator[World]:
    async with opened(servers, booked={18: "sold"}) as world:
        yield world
        await world.check()


async def test_no_key_of_an_open_event_ever_ends_by_itself(world: World) -> None:
    """Staged keys have an end, which RENAME would carry along (keys of an event are never absent)."""
    for key in world.keys[:-1]:
        assert await world.redis.command("TTL", key) == -1, key
