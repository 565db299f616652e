"""The Idempotency-Key header: one request has one effect and one answer, however often it is sent."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from site_clients import Refusal, Site, Visitor, make_event, order, result, visited_site
from staff_world import bearer, make_key, run

from seatmap.config import Settings
from seatmap.errors import Refused
from seatmap.ledger import idempotency
from seatmap.ledger.idempotency import Answer
from seatmap.ledger.pool import Pool, open_pool
from seatmap.model import Role

HOLD = "/api/events/1/hold"


@pytest.fixture
async def site(settings: Settings) -> AsyncIterator[Site]:
    await make_event(settings)
    async with visited_site(settings) as site:
        yield site


@pytest.fixture
async def ada(site: Site) -> Visitor:
    visitor = site.visitor()
    await visitor.get("/api/events/1/mine")  # from here on she has her cookie
    return visitor


async def send(visitor: Visitor, key: str, body: dict[str, Any], path: str = HOLD) -> httpx.Response:
    return await visitor.http.post(path, json=body, headers={"idempotency-key": key})


async def rows(site: Site) -> list[Any]:
    return await run(site.settings, "SELECT * FROM idempotency_keys")


async def test_the_same_request_gets_the_same_answer_and_happens_once(ada: Visitor) -> None:
    first = await send(ada, "k", {"seats": [4]})
    await ada.post(1, "release", {"hold_id": first.json()["hold_id"]})
    again = await send(ada, "k", {"seats": [4]})
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (
        None,
        "true",
    )
    assert (await ada.get("/api/events/1/mine"))["seats"] == []


async def test_a_refusal_is_an_answer_too(site: Site, ada: Visitor) -> None:
    await site.visitor().post(1, "hold", {"seats": [4]})
    first, again = [await send(ada, '"k"', {"seats": [4]}) for _ in range(2)]
    assert first.status_code == 409
    assert first.json()["code"] == "seat_taken"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["content-type"] == "application/problem+json"


async def test_another_request_with_the_key_is_refused(ada: Visitor) -> None:
    hold = result(await send(ada, "k", {"seats": [4]}))
    for path, body in ((HOLD, {"seats": [5]}), ("/api/events/1/book", order(hold))):
        with pytest.raises(Refusal, match="idempotency_mismatch"):
            result(await send(ada, "k", body, path))


async def test_a_key_is_its_callers_own(site: Site, ada: Visitor) -> None:
    await send(ada, "k", {"seats": [4]})
    bob = site.visitor()
    await bob.get("/api/events/1/mine")
    assert result(await send(bob, "k", {"seats": [5]}))["seats"] == [5]
    assert result(await send(ada, "other", {"seats": [6]}))["seats"] == [4, 6]


async def test_many_at_once_have_one_effect(ada: Visitor) -> None:
    answers = await asyncio.gather(*(send(ada, "k", {"seats": [4]}) for _ in range(8)))
    told = [answer.json().get("code", "done") for answer in answers]
    assert set(told) <= {"done", "idempotency_in_flight"}
    done = [answer.content for answer in answers if answer.status_code == 200]
    assert len(set(done)) == 1
    assert result(await send(ada, "k", {"seats": [4]}))["seats"] == [4]


@pytest.mark.parametrize("key", ["", '""', "k" * 256])
async def test_a_key_has_a_length(site: Site, ada: Visitor, key: str) -> None:
    with pytest.raises(Refusal, match="invalid"):
        result(await send(ada, key, {"seats": [4]}))
    assert await rows(site) == []


async def test_what_was_not_understood_uses_no_key_up(site: Site, ada: Visitor) -> None:
    with pytest.raises(Refusal, match="invalid"):
        result(await send(ada, "k", {"seats": "all"}))
    assert result(await send(ada, "k", {"seats": [4]}))["seats"] == [4]


async def test_no_secret_is_kept(site: Site) -> None:
    """Neither a new API key, nor a password, nor what introduces a visitor."""
    secret, _ = await make_key(site.settings, Role.admin)
    staff = site.visitor()
    headers = bearer(secret) | {"idempotency-key": "k"}
    body = {"name": "Scanner", "scopes": ["read"]}
    keys = [
        result(await staff.http.post("/api/admin/api-keys", json=body, headers=headers)) for _ in range(2)
    ]
    assert keys[0]["key"] != keys[1]["key"]
    await staff.http.post(
        "/api/account/sign-in", json={"email": "a@example.org", "password": "x"}, headers=headers
    )
    assert await rows(site) == []


async def test_a_body_that_is_read_as_it_is_tells_requests_apart(site: Site) -> None:
    secret, _ = await make_key(site.settings, Role.admin)
    headers = bearer(secret) | {"idempotency-key": "k"}
    staff = site.visitor()
    for body, code in ((b"{}", "plan_invalid"), (b"[]", "idempotency_mismatch")):
        with pytest.raises(Refusal, match=code):
            result(await staff.http.post("/api/admin/plans", content=body, headers=headers))


# ---- the ledger's part ----


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[Pool]:
    pool = await open_pool(settings)
    yield pool
    await pool.close()


async def age(pool: Pool, interval: str) -> None:
    await pool.execute(f"UPDATE idempotency_keys SET created_at = now() - interval '{interval}'")


async def test_the_second_waits_for_the_first_and_then_takes_over(pool: Pool) -> None:
    assert await idempotency.begin(pool, "ada", "k", b"f") is None
    with pytest.raises(Refused, match="is under way"):
        await idempotency.begin(pool, "ada", "k", b"f")
    await age(pool, "61 seconds")
    with pytest.raises(Refused, match="another request"):
        await idempotency.begin(pool, "ada", "k", b"other")
    assert await idempotency.begin(pool, "ada", "k", b"f") is None
    with pytest.raises(Refused, match="is under way"):
        await idempotency.begin(pool, "ada", "k", b"f")


async def test_an_answer_is_kept_for_a_day(pool: Pool) -> None:
    await idempotency.begin(pool, "ada", "k", b"f")
    await idempotency.finish(pool, "ada", "k", Answer(200, "text/plain", b"hello"))
    await idempotency.give_up(pool, "ada", "k")  # too late: there is an answer
    await age(pool, "23 hours")
    assert await idempotency.begin(pool, "ada", "k", b"f") == Answer(200, "text/plain", b"hello")
    await age(pool, "25 hours")
    assert await idempotency.begin(pool, "bob", "k", b"f") is None  # whoever comes sweeps
    assert await idempotency.begin(pool, "ada", "k", b"other") is None


async def test_who_gave_up_may_ask_again(pool: Pool) -> None:
    await idempotency.begin(pool, "ada", "k", b"f")
    await idempotency.give_up(pool, "ada", "k")
    assert await idempotency.begin(pool, "ada", "k", b"other") is None
