"""Sessions over the real site: their ids and cookies, how they end, and what ends with them; guessing; CSRF."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from account_world import PASSWORD, Person, mails_to, new_address, sql, token_in
from msgspec.structs import replace
from redis.asyncio import Redis
from site_clients import Page, Refusal, Site, make_event, until, visited_site

from seatmap.config import Settings


@pytest.fixture
async def event(settings: Settings) -> int:
    return await make_event(settings)


@pytest.fixture
async def site(settings: Settings, event: int, tmp_path: Path) -> AsyncIterator[Site]:
    async with visited_site(replace(settings, data=tmp_path)) as site:
        yield site


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Any]:
    async with Redis.from_url(settings.redis_url) as client:
        yield client


def session_of(person: Person) -> str:
    return str(person.http.cookies["session"])


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while True:
            if await true():
                return
            await asyncio.sleep(0.05)


async def me_with(site: Site, session: str) -> Any:
    """Who the site takes somebody with this session cookie for."""
    async with httpx.AsyncClient(base_url=site.url, cookies={"session": session}) as http:
        return (await http.get("/api/account/me")).json()["user"]


# ---- ids and cookies ----


async def test_a_planted_id_is_not_taken_over_at_sign_in(site: Site) -> None:
    ada, planted = Person(site), "A" * 43
    await ada.sign_up()
    await ada.ask("sign-out")
    ada.http.cookies.set("session", planted, domain="127.0.0.1", path="/")
    await ada.sign_in()
    assert session_of(ada) != planted
    assert await me_with(site, planted) is None


async def test_each_sign_in_gives_a_new_id_and_ends_the_old(site: Site) -> None:
    ada = Person(site)
    await ada.sign_up()
    first = session_of(ada)
    await ada.sign_in()
    assert session_of(ada) != first
    assert len(session_of(ada)) == 43  # 256 bits in base64
    assert await me_with(site, first) is None
    assert await ada.me() is not None


async def test_redis_does_not_know_the_ids(site: Site, redis: Any) -> None:
    ada = Person(site)
    await ada.sign_up()
    for key in await redis.keys("*"):
        assert session_of(ada).encode() not in key
        if await redis.type(key) == b"string":
            assert session_of(ada).encode() not in await redis.get(key)


@pytest.mark.parametrize(("scheme", "name"), [("http", "session"), ("https", "__Host-session")])
async def test_the_cookies_flags(site: Site, scheme: str, name: str) -> None:
    ada = Person(site)
    await ada.sign_up()
    for call in ("sign-in", "sign-out"):
        answer = await ada.http.post(
            f"/api/account/{call}",
            json={"email": ada.address, "password": PASSWORD},
            headers={"X-Forwarded-Proto": scheme},
        )
        (cookie,) = [text for text in answer.headers.get_list("set-cookie") if text.startswith(f"{name}=")]
        flags = {part.strip() for part in cookie.split(";")[1:]}
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= flags
        assert ("Secure" in flags) == (scheme == "https")
        assert not any(flag.startswith("Domain") for flag in flags)
        assert ("Max-Age=0" in flags) == (call == "sign-out")
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("session", ["", "x", "é" * 43, "A" * 43, '"; Path=/', "A" * 5000])
async def test_a_session_that_never_was_is_nobody(site: Site, session: str) -> None:
    answer = await Person(site).http.get(
        "/api/account/me", headers=[(b"cookie", b"session=" + session.encode())]
    )
    assert answer.json() == {"user": None}


# ---- how sessions end ----


async def test_sign_out_ends_this_session_only(site: Site) -> None:
    ada = Person(site)
    await ada.sign_up()
    elsewhere = Person(site, ada.address)
    await elsewhere.sign_in()
    kept = session_of(ada)
    await ada.ask("sign-out")
    assert await me_with(site, kept) is None
    assert await elsewhere.me() is not None


async def test_sign_out_everywhere_ends_all(site: Site) -> None:
    ada = Person(site)
    await ada.sign_up()
    elsewhere = Person(site, ada.address)
    await elsewhere.sign_in()
    await ada.ask("sign-out-everywhere")
    assert await elsewhere.me() is None
    with pytest.raises(Refusal) as caught:
        await elsewhere.ask("sign-out-everywhere")
    assert (caught.value.code, caught.value.status) == ("sign_in_required", 401)


async def test_all_sessions_end_even_if_redis_was_not_told(site: Site) -> None:
    ada = Person(site)
    await ada.sign_up()
    await sql(site.settings, "UPDATE users SET generation = generation + 1")
    assert await ada.me() is None


async def test_a_new_password_ends_the_sessions_of_before(site: Site) -> None:
    ada = Person(site)
    await ada.sign_up()
    forgetful = Person(site, ada.address)
    await forgetful.ask("reset-request", email=ada.address)
    token = token_in((await mails_to(site.settings, ada.address))[-1], "reset")
    await forgetful.ask("reset", token=token, password="a seat in the gallery")
    assert await forgetful.me() is not None
    assert await ada.me() is None


async def test_a_wiped_redis_is_a_clean_sign_out(site: Site, redis: Any) -> None:
    ada = Person(site)
    await ada.sign_up()
    await redis.flushall()
    assert await ada.me() is None
    assert await ada.sign_in() is not None


async def test_a_session_ends_after_a_while_without_requests(settings: Settings, tmp_path: Path) -> None:
    brief = replace(settings, data=tmp_path, session_idle_seconds=1)
    async with visited_site(brief) as site, Redis.from_url(settings.redis_url) as redis:
        ada = Person(site)
        await ada.sign_up()

        async def gone() -> bool:  # asked of Redis: asking the site would be a request
            return not await redis.keys("*:session:*")

        await eventually(gone)
        assert await ada.me() is None


async def test_a_session_ends_in_any_case_however_busy(settings: Settings, tmp_path: Path) -> None:
    brief = replace(settings, data=tmp_path, session_seconds=2)
    async with visited_site(brief) as site:
        ada = Person(site)
        await ada.sign_up()

        async def ended() -> bool:
            return await ada.me() is None

        await eventually(ended)


async def closed(page: Page) -> None:
    async with asyncio.timeout(30):
        await page.socket.wait_closed()


async def test_the_sockets_of_a_session_close_with_it_and_no_others(site: Site, event: int) -> None:
    ada = Person(site)
    await ada.sign_up()
    elsewhere, guest = Person(site, ada.address), Person(site)
    await elsewhere.sign_in()
    here = await ada.page(event)
    there, stranger = await elsewhere.page(event), await guest.page(event)
    await ada.ask("sign-out")
    await closed(here)
    await stranger.ask("hold", seats=[3])
    await there.ask("hold", seats=[4])
    await elsewhere.ask("sign-out-everywhere")
    await closed(there)
    await stranger.ask("hold", seats=[5])
    back = await ada.page(event)  # as a visitor
    await until(lambda: back.frames)


# ---- guessing, and other sites ----


async def test_guessing_is_throttled_where_it_comes_from_and_locks_nobody_out(site: Site) -> None:
    ada = Person(site)
    await ada.sign_up()
    mallory = Person(site, ada.address, **{"X-Forwarded-For": "203.0.113.9"})
    codes = []
    for _ in range(60):
        answer = await mallory.http.post(
            "/api/account/sign-in", json={"email": ada.address, "password": "is it this one?"}
        )
        codes.append(answer.status_code)
        if answer.status_code == 429:
            assert answer.json()["code"] == "too_many_attempts"
            assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert codes[:10] == [401] * 10
    assert codes.count(401) <= 12  # one more each half minute, should this take so long
    assert set(codes) == {401, 429}
    with pytest.raises(Refusal) as caught:
        await mallory.sign_in()  # not even with the right one, from there
    assert caught.value.code == "too_many_attempts"
    assert await Person(site, ada.address).sign_in()


async def test_one_address_cannot_try_many_accounts(site: Site) -> None:
    mallory, codes = Person(site), []
    while "too_many_attempts" not in codes:
        assert len(codes) < 100
        mallory.address = new_address()
        with pytest.raises(Refusal) as caught:
            await mallory.sign_in()
        codes.append(caught.value.code)
    assert codes[:30] == ["wrong_credentials"] * 30


async def test_a_success_forgives_the_failures_before_it(site: Site) -> None:
    ada = Person(site)
    await ada.sign_up()
    for _ in range(2):
        for _ in range(8):
            with pytest.raises(Refusal) as caught:
                await ada.sign_in("not this one")
            assert caught.value.code == "wrong_credentials"
        await ada.sign_in()


async def test_a_mailbox_is_not_flooded(site: Site) -> None:
    ada = Person(site)
    for _ in range(3):
        await ada.ask("reset-request", email=ada.address)
    with pytest.raises(Refusal) as caught:
        await ada.ask("reset-request", email=ada.address)
    assert (caught.value.code, caught.value.status) == ("too_many_attempts", 429)
    assert len(await mails_to(site.settings, ada.address)) == 3


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=["elsewhere", "null", "cross-site", "same-site"],
)
async def test_other_sites_cannot_sign_anybody_in_or_out(site: Site, headers: dict[str, str]) -> None:
    ada = Person(site)
    await ada.sign_up()
    for call, body in (("sign-out", {}), ("sign-in", {"email": ada.address, "password": PASSWORD})):
        answer = await ada.http.post(
            f"/api/account/{call}", json=body, headers={**headers, "Content-Type": "text/plain"}
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_origin")
        assert "set-cookie" not in answer.headers
    assert await ada.me() is not None


async def test_nothing_happens_by_get(site: Site) -> None:
    ada = Person(site)
    await ada.sign_up()
    for call in ("sign-out", "sign-out-everywhere", "sign-in", "verify"):
        assert (await ada.http.get(f"/api/account/{call}")).status_code == 405
    assert await ada.me() is not None
