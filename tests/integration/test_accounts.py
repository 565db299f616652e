"""The life of an account over the real site: mails, sessions, guest orders, and what stays secret."""

from collections.abc import AsyncIterator

import pytest
from account_world import Person
from msgspec.structs import replace
from site_clients import Site, make_event, visited_site

from seatmap.config import Settings


@pytest.fixture
async def event(settings: Settings) -> int:
    return await make_event(settings)


@pytest.fixture
async def site(settings: Settings, event: int, tmp_path) -> AsyncIterator[Site]:  # type: ignore[no-untyped-def]
    async with visited_site(replace(settings, data=tmp_path, public_url="https://seats.example")) as site:
        yield site


async def test_the_life_of_an_account(site: Site) -> None:
    ada = Person(site)
    assert await ada.me() is None
    user = await ada.sign_up()
    assert (user["email"], user["name"], user["role"], user["verified"]) == (
        ada.address,
        "Ada Lovelace",
        "buyer",
        True,
    )
    assert await ada.me() == user
    assert await ada.ask("sign-out") == {}
    assert await ada.me() is None
    assert await ada.sign_in() == user
    assert await ada.me() == user
