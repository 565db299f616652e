"""What matters most asks for the password again: whoever signed in a while ago, before money or power moves."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from account_world import PASSWORD, Person, sql
from msgspec.structs import replace
from redis.asyncio import Redis
from site_clients import Refusal, Site, make_event, order, result, visited_site
from staff_world import bearer, make_key

from seatmap.config import Settings
from seatmap.model import Role


@pytest.fixture
async def site(settings: Settings, tmp_path: Path) -> AsyncIterator[Site]:
    await make_event(settings)
    async with visited_site(replace(settings, data=tmp_path)) as site:
        yield site


async def staff(site: Site, role: str = "admin") -> Person:
    """Somebody with a role and a password, who has just signed in."""
    person = Person(site)
    await person.sign_up()
    await sql(site.settings, "UPDATE users SET role = $2 WHERE email = $1", person.address, role)
    return person


async def wait(site: Site, seconds: float = 901) -> None:
    """The passwords of all sessions were given that long ago."""
    async with Redis.from_url(site.settings.redis_url) as redis:
        for key in await redis.keys("*:session:*"):
            kept = msgspec.json.decode(await redis.get(key))
            kept["proved_at"] = time.time() - seconds
            await redis.set(key, msgspec.json.encode(kept), keepttl=True)


async def call(person: Person, method: str, path: str, body: Any = None) -> dict[str, Any]:
    content = None if body is None else msgspec.json.encode(body)
    return result(await person.http.request(method, f"/api/admin{path}", content=content))


KEY = {"name": "Door scanner", "scopes": ["read"]}


async def test_a_password_of_long_ago_is_asked_for_again(site: Site) -> None:
    ada, eve = await staff(site), await staff(site, "buyer")
    other = await sql(site.settings, "SELECT id FROM users WHERE email = $1", eve.address)
    change = ("PATCH", f"/users/{other[0][0]}", {"role": "viewer"})
    await call(ada, "POST", "/api-keys", KEY)
    await wait(site, 899)
    await call(ada, "POST", "/api-keys", KEY)
    await wait(site)
    for critical in (change, ("POST", "/api-keys", KEY), ("POST", "/events/1/cancel", {"reason": "x"})):
        with pytest.raises(Refusal, match="password_needed"):
            await call(ada, *critical)
    assert len((await call(ada, "GET", "/api-keys"))["api_keys"]) == 2
    assert (await call(ada, "GET", "/events/1"))["status"] == "published"
    await call(ada, "POST", "/events/1/pause")  # can be taken back

    before = ada.http.cookies["session"]
    with pytest.raises(Refusal, match="wrong_credentials"):
        await ada.sign_in("not my password")
    with pytest.raises(Refusal, match="password_needed"):
        await call(ada, *change)
    await ada.sign_in(PASSWORD)
    assert ada.http.cookies["session"] != before
    assert (await call(ada, *change))["role"] == "viewer"
    await call(ada, "POST", "/events/1/cancel", {"reason": "x"})


async def test_looking_around_does_not_make_it_younger(site: Site) -> None:
    ada = await staff(site)
    await wait(site)
    await call(ada, "GET", "/api-keys")
    with pytest.raises(Refusal, match="password_needed"):
        await call(ada, "POST", "/api-keys", KEY)


async def test_the_role_is_asked_for_first(site: Site) -> None:
    viewer = await staff(site, "viewer")
    await wait(site)
    with pytest.raises(Refusal, match="forbidden"):
        await call(viewer, "POST", "/api-keys", KEY)


async def test_only_money_that_goes_back_asks(site: Site) -> None:
    await sql(site.settings, "UPDATE events SET payment_methods = '{free,test_card}'")
    seller = await staff(site, "box_office")
    bought = []
    for method, seats in (("free", [2, 3]), ("test_card", [4, 5])):
        page = await site.page(1)
        made = await page.ask("book", **order(await page.ask("hold", seats=seats), payment_method=method))
        bought.append(f"/orders/{made['id']}")
    free, paid = bought
    session = made["checkout"]["url"].partition("session=")[2]
    await seller.http.post(f"/api/payments/test-card/{session}", json={"outcome": "approve"})
    await wait(site)
    await call(seller, "POST", f"{free}/refund", {"seats": [2]})
    await call(seller, "POST", f"{free}/cancel", {})
    for verb, body in (("refund", {"seats": [4]}), ("cancel", {}), ("retry-payment", None)):
        with pytest.raises(Refusal, match="password_needed"):
            await call(seller, "POST", f"{paid}/{verb}", body)

    async def refund() -> dict[str, Any]:
        headers = {"idempotency-key": "k"}
        answer = await seller.http.post(f"/api/admin{paid}/refund", json={"seats": [4]}, headers=headers)
        return result(answer)

    with pytest.raises(Refusal, match="password_needed"):
        await refund()
    seen = await call(seller, "GET", paid)
    assert (seen["status"], seen["payments"][0]["refunded"]) == ("confirmed", 0)
    await seller.sign_in()
    assert (await refund())["payments"][0]["refunded"] > 0, "being asked is no answer that is kept"


async def test_a_program_has_no_password_to_give(site: Site) -> None:
    key, _ = await make_key(site.settings, Role.admin)
    program = Person(site, **bearer(key))
    await wait(site)
    await call(program, "POST", "/api-keys", KEY)
    await call(program, "POST", "/events/1/cancel", {"reason": "x"})
