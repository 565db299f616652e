"""API keys: told once, kept as a hash, never more than their maker may, ended at once."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from site_clients import Refusal, Site, Visitor, result, visited_site
from staff_world import bearer, make_key, run

from seatmap.config import Settings
from seatmap.model import Role

PATH = "/api/admin/api-keys"


@pytest.fixture
async def site(settings: Settings) -> AsyncIterator[Site]:
    async with visited_site(settings) as site:
        yield site


@pytest.fixture
async def admin(site: Site) -> Visitor:
    secret, _ = await make_key(site.settings, Role.admin)
    visitor = site.visitor()
    visitor.http.headers.update(bearer(secret))
    return visitor


async def made(admin: Visitor, *scopes: str) -> dict[str, Any]:
    return result(await admin.http.post(PATH, json={"name": "Scanner", "scopes": scopes}))


async def with_key(site: Site, secret: str, path: str) -> dict[str, Any]:
    return result(await site.visitor().http.get(path, headers=bearer(secret)))


async def test_a_key_is_told_once_and_kept_as_a_hash(site: Site, admin: Visitor) -> None:
    new = await made(admin, "read", "sell")
    assert new["key"].startswith("sk_")
    listed = await admin.get(PATH)
    assert listed["api_keys"][0]["scopes"] == ["read", "sell"]
    assert listed["api_keys"][0]["created_by"] == "admin@example.org"
    assert new["key"] not in str(listed)
    rows = await run(site.settings, "SELECT * FROM api_keys")
    assert all(new["key"].removeprefix("sk_") not in str(tuple(row)) for row in rows)


async def test_a_scope_gives_its_role_and_no_more(site: Site, admin: Visitor) -> None:
    for scope, role in (("read", "viewer"), ("sell", "box_office")):
        new = await made(admin, scope)
        with pytest.raises(Refusal, match="forbidden") as refused:
            await with_key(site, new["key"], PATH)
        assert f"yours is {role}" in refused.value.problem["detail"]
    new = await made(admin, "admin")
    assert (await with_key(site, new["key"], PATH))["api_keys"][0]["last_used_at"] is not None


async def test_a_key_that_reads_changes_nothing_of_its_makers(site: Site, admin: Visitor) -> None:
    reads, sells = [(await made(admin, scope))["key"] for scope in ("read", "sell")]
    for path in ("/api/account/sign-out-everywhere", "/api/events/1/cancel"):
        with pytest.raises(Refusal, match="forbidden") as refused:
            result(await site.visitor().http.post(path, json={}, headers=bearer(reads)))
        assert "may read" in refused.value.problem["detail"]
    result(await site.visitor().http.post("/api/account/sign-out-everywhere", headers=bearer(sells)))
    assert (await with_key(site, reads, "/api/account/me"))["user"]["role"] == "viewer"


async def test_a_revoked_key_ends_at_once(site: Site, admin: Visitor) -> None:
    new = await made(admin, "admin")
    await with_key(site, new["key"], PATH)
    address = f"{PATH}/{new['api_key']['id']}"
    for _ in range(2):
        assert result(await admin.http.delete(address)) == {}
    for path in (PATH, "/api/events"):
        with pytest.raises(Refusal, match="sign_in_required"):
            await with_key(site, new["key"], path)
    logged = await run(site.settings, "SELECT verb FROM audit_log WHERE object = 'api_key' ORDER BY id")
    assert [row["verb"] for row in logged] == ["create", "create", "revoke"]


async def test_a_key_falls_with_its_maker(site: Site, admin: Visitor) -> None:
    new = await made(admin, "admin")
    await run(site.settings, "UPDATE users SET role = 'buyer'")
    with pytest.raises(Refusal, match="forbidden"):
        await with_key(site, new["key"], PATH)
    await run(site.settings, "UPDATE users SET deleted_at = now()")
    with pytest.raises(Refusal, match="sign_in_required"):
        await with_key(site, new["key"], PATH)


@pytest.mark.parametrize("secret", ["sk_", "sk_no", "sk_" + "a" * 43, "sk_" + "a" * 5000])
async def test_what_is_no_key_is_refused(site: Site, secret: str) -> None:
    with pytest.raises(Refusal, match="sign_in_required"):
        await with_key(site, secret, PATH)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "Scanner", "scopes": []},
        {"name": "Scanner", "scopes": ["all"]},
        {"name": "", "scopes": ["read"]},
        {"name": "Scanner"},
        {"name": "Scanner", "scopes": ["read"], "more": 1},
    ],
)
async def test_a_key_must_be_named_and_bounded(admin: Visitor, body: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match="invalid"):
        result(await admin.http.post(PATH, json=body))


async def test_ending_a_key_that_is_none(admin: Visitor) -> None:
    for number in ("999999", "x"):
        with pytest.raises(Refusal, match="not_found"):
            result(await admin.http.delete(f"{PATH}/{number}"))
