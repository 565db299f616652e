"""Accounts while a store is away: nobody is taken for somebody else, and the map stays for everybody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from account_world import Person
from checkout_world import stopped, without_postgres
from msgspec.structs import replace
from site_clients import Refusal, Site, make_event, visited_site

from seatmap.config import Settings
from seatmap.embedded import Embedded


@pytest.fixture
async def event(settings: Settings) -> int:
    return await make_event(settings)


@pytest.fixture
async def site(settings: Settings, event: int, tmp_path: Path) -> AsyncIterator[Site]:
    hasty = replace(settings, data=tmp_path, command_timeout_ms=300, ledger_timeout_ms=500)
    async with visited_site(hasty) as site:
        yield site


async def unavailable(person: Person) -> None:
    for ask in (person.get("/api/account/me"), person.sign_in(), person.get("/api/admin/users")):
        with pytest.raises(Refusal) as caught:
            await ask
        assert (caught.value.status, caught.value.problem["temporary"]) == (503, True)


async def known_again(person: Person, user: dict[str, Any]) -> None:
    """It takes a moment until it is noticed that a store is back."""
    async with asyncio.timeout(30):
        while True:
            with suppress(Refusal):
                assert await person.me() == user
                return
            await asyncio.sleep(0.05)


async def test_without_postgres_one_can_still_look_and_hold(
    site: Site, event: int, servers: Embedded
) -> None:
    ada = Person(site)
    user = await ada.sign_up()
    with without_postgres(servers):
        await unavailable(ada)
        assert (await ada.get(f"/api/events/{event}"))["id"] == event
        assert (await ada.post(event, "hold", {"seats": [3]}))["seats"] == [3]
    await known_again(ada, user)


async def test_while_redis_does_not_answer_one_can_still_look(
    site: Site, event: int, servers: Embedded
) -> None:
    ada = Person(site)
    user = await ada.sign_up()
    with stopped(servers):
        await unavailable(ada)
        assert (await ada.get(f"/api/events/{event}"))["id"] == event
    await known_again(ada, user)
