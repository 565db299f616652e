"""Roles: the first admin by hand, and what admins change of others."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from account_world import PASSWORD, Person, sql
from msgspec.structs import replace
from running_site import clean_environment
from site_clients import Refusal, Site, result, visited_site

from seatmap.admins import create_admin
from seatmap.config import Settings


@pytest.fixture
async def site(settings: Settings, tmp_path: Path) -> AsyncIterator[Site]:
    async with visited_site(replace(settings, data=tmp_path)) as site:
        yield site


@pytest.fixture
async def admin(site: Site) -> Person:
    """Somebody who was made an admin by hand, signed in."""
    admin = Person(site)
    await create_admin(site.settings, admin.address, "Grace", PASSWORD)
    await admin.sign_in()
    return admin


async def change(admin: Person, user_id: int, role: str) -> dict[str, Any]:
    return result(await admin.http.patch(f"/api/admin/users/{user_id}", json={"role": role}))


async def refused(call: Any) -> tuple[str, int]:
    with pytest.raises(Refusal) as caught:
        await call
    return caught.value.code, caught.value.status


async def test_an_admin_lists_and_finds_accounts(site: Site, admin: Person) -> None:
    people = [Person(site) for _ in range(3)]
    for person in people:
        await person.sign_up(name="Zoë Straße")
    await people[0].ask("sign-up", email="waiting@example.org", name="W", password=PASSWORD)
    everybody = await admin.get("/api/admin/users")
    assert [user["role"] for user in everybody["users"]] == ["admin", "buyer", "buyer", "buyer", "buyer"]
    assert [user["verified"] for user in everybody["users"]] == [True, True, True, True, False]
    assert everybody["next"] is None
    found = await admin.get("/api/admin/users?q=zoë&limit=2")
    assert [user["email"] for user in found["users"]] == [person.address for person in people[:2]]
    rest = await admin.get(f"/api/admin/users?q=zoë&limit=2&cursor={found['next']}")
    assert [user["email"] for user in rest["users"]] == [people[2].address]
    assert rest["next"] is None
    assert (await admin.get("/api/admin/users?q=%25"))["users"] == []


async def test_a_new_role_is_written_down_and_needs_a_new_sign_in(site: Site, admin: Person) -> None:
    bob = Person(site)
    user = await bob.sign_up()
    assert (await change(admin, user["id"], "admin"))["role"] == "admin"
    assert await bob.me() is None
    assert (await bob.sign_in())["role"] == "admin"
    assert len((await bob.get("/api/admin/users"))["users"]) == 2
    me = await admin.me()
    assert me is not None
    written = await sql(site.settings, "SELECT user_id, verb, object, details FROM audit_log ORDER BY id")
    assert written[-1] == (me["id"], "change_role", f"user {user['id']}", '{"role": "admin"}')

    await change(admin, user["id"], "viewer")
    assert await refused(bob.get("/api/admin/users")) == ("sign_in_required", 401)
    await bob.sign_in()
    assert await refused(bob.get("/api/admin/users")) == ("forbidden", 403)


@pytest.mark.parametrize("role", ["buyer", "viewer", "box_office"])
async def test_only_admins_see_and_change_accounts(site: Site, admin: Person, role: str) -> None:
    bob = Person(site)
    user = await bob.sign_up()
    await change(admin, user["id"], role)
    await bob.sign_in()
    assert await refused(bob.get("/api/admin/users")) == ("forbidden", 403)
    assert await refused(change(bob, user["id"], "admin")) == ("forbidden", 403)
    me = await bob.me()
    assert me is not None
    assert me["role"] == role


async def test_the_last_admin_stays_one(site: Site, admin: Person) -> None:
    me = await admin.me()
    assert me is not None
    assert await refused(change(admin, me["id"], "buyer")) == ("last_admin", 409)
    bob = Person(site)
    user = await bob.sign_up()
    await change(admin, user["id"], "admin")
    assert (await change(admin, me["id"], "buyer"))["role"] == "buyer"
    await bob.sign_in()
    assert await refused(change(bob, user["id"], "box_office")) == ("last_admin", 409)


async def test_what_cannot_be_changed(admin: Person) -> None:
    assert await refused(change(admin, 999999, "viewer")) == ("user_not_found", 404)
    assert await refused(change(admin, 1, "owner")) == ("invalid", 422)
    assert await refused(admin.get("/api/admin/users?limit=201")) == ("invalid", 422)


# ---- by hand ----


def by_hand(settings: Settings, *arguments: str, password: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "seatmap", "create-admin", *arguments, "--password-stdin"],
        env=clean_environment() | {"REDIS_URL": settings.redis_url, "DATABASE_URL": settings.database_url},
        input=f"{password}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_the_command_makes_an_admin_who_can_sign_in(site: Site) -> None:
    grace = Person(site)
    done = by_hand(site.settings, grace.address, "--name", "Grace Hopper", password=PASSWORD)
    assert (done.returncode, done.stdout) == (0, f"{grace.address} is an admin.\n")
    user = await grace.sign_in()
    assert (user["name"], user["role"], user["verified"]) == ("Grace Hopper", "admin", True)


async def test_the_command_makes_an_admin_of_an_account_and_ends_its_sessions(site: Site) -> None:
    ada = Person(site)
    await ada.sign_up()
    assert by_hand(site.settings, ada.address, password="another password").returncode == 0
    assert await ada.me() is None
    user = await ada.sign_in("another password")
    assert (user["name"], user["role"]) == ("Ada Lovelace", "admin")


@pytest.mark.parametrize(
    ("address", "password", "said"),
    [("grace@example.org", "password123", "too easy to guess"), ("grace", PASSWORD, "email should be")],
    ids=["password", "address"],
)
async def test_the_command_says_what_it_cannot_do(site: Site, address: str, password: str, said: str) -> None:
    done = by_hand(site.settings, address, password=password)
    assert done.returncode == 1
    assert said in done.stderr
    assert await sql(site.settings, "SELECT * FROM users") == []
