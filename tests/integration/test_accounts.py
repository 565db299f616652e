"""The life of an account over the real site: mails, guest orders, and what nobody learns about others."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from account_world import PASSWORD, Person, mails_to, new_address, sql, token_in
from argon2 import PasswordHasher, extract_parameters
from msgspec.structs import replace
from site_clients import Refusal, Site, make_event, order, visited_site

from seatmap.config import Settings
from seatmap.web import passwords
from seatmap.web.passwords import Passwords

OTHER_PASSWORD = "a seat in the gallery"


@pytest.fixture
async def event(settings: Settings) -> int:
    return await make_event(settings)


@pytest.fixture
async def site(settings: Settings, event: int, tmp_path: Path) -> AsyncIterator[Site]:
    async with visited_site(replace(settings, data=tmp_path, public_url="https://seats.example")) as site:
        yield site


async def test_the_life_of_an_account(site: Site) -> None:
    ada = Person(site)
    assert await ada.me() is None
    user = await ada.sign_up()
    assert (user["email"], user["name"], user["role"]) == (ada.address, "Ada Lovelace", "buyer")
    assert user["verified"] is True
    assert await ada.me() == user
    assert await ada.ask("sign-out") == {}
    assert await ada.me() is None
    assert await ada.sign_in() == user
    await ada.ask("sign-out")

    await ada.ask("reset-request", email=ada.address.upper())
    token = token_in((await mails_to(site.settings, ada.address))[-1], "reset")
    assert (await ada.ask("reset", token=token, password=OTHER_PASSWORD))["user"] == user
    assert await ada.me() == user
    again = Person(site, ada.address)
    with pytest.raises(Refusal) as caught:
        await again.sign_in(PASSWORD)
    assert (caught.value.code, caught.value.status) == ("wrong_credentials", 401)
    assert await again.sign_in(OTHER_PASSWORD) == user


async def test_links_lead_to_the_public_address_and_keep_their_secret_from_servers(site: Site) -> None:
    ada = Person(site)
    await ada.ask("sign-up", email=ada.address, name="Ada", password=PASSWORD)
    (mail,) = await mails_to(site.settings, ada.address)
    assert "\nhttps://seats.example/account#verify=" in mail.get_content()
    assert PASSWORD not in mail.get_content()


# ---- links ----


async def refused(person: Person, call: str, **body: str) -> str:
    with pytest.raises(Refusal) as caught:
        await person.ask(call, **body)
    return caught.value.code


async def test_a_link_is_good_once(site: Site) -> None:
    ada = Person(site)
    await ada.sign_up()
    token = token_in((await mails_to(site.settings, ada.address))[0], "verify")
    assert await refused(Person(site), "verify", token=token) == "token_invalid"


async def test_a_link_is_good_for_a_while(site: Site) -> None:
    ada = Person(site)
    await ada.ask("sign-up", email=ada.address, name="Ada", password=PASSWORD)
    token = token_in((await mails_to(site.settings, ada.address))[0], "verify")
    await sql(site.settings, "UPDATE account_tokens SET expires_at = now() - interval '1 second'")
    assert await refused(ada, "verify", token=token) == "token_invalid"
    assert await ada.me() is None


async def test_a_link_is_good_for_one_purpose(site: Site) -> None:
    ada = Person(site)
    await ada.ask("sign-up", email=ada.address, name="Ada", password=PASSWORD)
    verify = token_in((await mails_to(site.settings, ada.address))[0], "verify")
    assert await refused(ada, "reset", token=verify, password=OTHER_PASSWORD) == "token_invalid"
    await ada.ask("verify", token=verify)
    await ada.ask("reset-request", email=ada.address)
    reset = token_in((await mails_to(site.settings, ada.address))[-1], "reset")
    assert await refused(ada, "verify", token=reset) == "token_invalid"


async def test_no_link_of_before_survives_a_new_password(site: Site) -> None:
    ada = Person(site)
    await ada.sign_up()
    for _ in range(2):
        await ada.ask("reset-request", email=ada.address)
    first, second = [token_in(mail, "reset") for mail in (await mails_to(site.settings, ada.address))[-2:]]
    await ada.ask("reset", token=second, password=OTHER_PASSWORD)
    assert await refused(ada, "reset", token=first, password=PASSWORD) == "token_invalid"


async def test_secrets_are_not_kept_in_the_ledger(site: Site) -> None:
    ada = Person(site)
    await ada.sign_up()
    token = token_in((await mails_to(site.settings, ada.address))[0], "verify")
    kept = str(
        await sql(site.settings, "SELECT t.*, u.* FROM account_tokens t JOIN users u ON u.id = t.user_id")
    )
    assert token not in kept
    assert PASSWORD not in kept


async def test_a_strangers_sign_up_cannot_choose_the_owners_password(site: Site) -> None:
    mallory = Person(site)
    await mallory.ask("sign-up", email=mallory.address, name="Mallory", password="mallory was here")
    ada = Person(site, mallory.address)
    user = await ada.sign_up()
    assert user["name"] == "Ada Lovelace"
    assert await refused(mallory, "sign-in", email=ada.address, password="mallory was here") == (
        "wrong_credentials"
    )
    old = token_in((await mails_to(site.settings, ada.address))[0], "verify")
    assert await refused(mallory, "verify", token=old) == "token_invalid"


# ---- what nobody learns ----


async def test_known_and_unknown_addresses_get_the_same_answers(site: Site) -> None:
    ada, nobody = Person(site), new_address()
    await ada.sign_up()
    unconfirmed = new_address()
    await Person(site).ask("sign-up", email=unconfirmed, name="Bob", password=PASSWORD)
    asker = Person(site)
    await asker.me()  # and has the visitor's cookie
    for call, body in (
        ("sign-in", {"password": "not the password"}),
        ("sign-up", {"password": OTHER_PASSWORD, "name": "Eve"}),
        ("reset-request", {}),
    ):
        answers = []
        for address in (ada.address, nobody, unconfirmed):
            answer = await asker.http.post(f"/api/account/{call}", json={"email": address, **body})
            answers.append((answer.status_code, answer.text, sorted(answer.headers)))
        assert answers[0] == answers[1] == answers[2], call
    assert await ada.sign_in() is not None  # another's sign-up changed nothing


async def test_unknown_addresses_cost_a_hash_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ada, compared = Person(site), []
    await ada.sign_up()

    class Watched(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes):  # type: ignore[no-untyped-def]  # noqa: A002
            compared.append(extract_parameters(str(hash)))
            return super().verify(hash, password)

    monkeypatch.setattr(passwords, "_hasher", Watched())
    for address in (ada.address, new_address()):
        assert await refused(ada, "sign-in", email=address, password="nobody's password") == (
            "wrong_credentials"
        )
    assert len(compared) == 2
    assert compared[0] == compared[1]


async def test_every_request_for_a_mail_sends_one(site: Site) -> None:
    ada, nobody = Person(site), new_address()
    await ada.sign_up()
    for call, body in (("sign-up", {"password": PASSWORD, "name": "Eve"}), ("reset-request", {})):
        for address in (ada.address, nobody):
            before = len(await mails_to(site.settings, address))
            await ada.ask(call, email=address, **body)
            assert len(await mails_to(site.settings, address)) == before + 1


# ---- passwords ----


@pytest.mark.parametrize(
    "password", ["short", "password123", "aaaaaaaaaaaa", "x" * 257, "someone@example.org"]
)
async def test_a_password_that_anybody_would_try_is_refused(site: Site, password: str) -> None:
    someone = Person(site, "someone@example.org")
    found = await refused(someone, "sign-up", email=someone.address, name="S", password=password)
    assert found == "password_refused"
    assert await mails_to(site.settings, someone.address) == []


async def test_a_password_may_be_long_and_is_compared_to_its_end(site: Site) -> None:
    ada, long = Person(site), "å few wörds " * 21
    await ada.sign_up(long)
    assert await refused(ada, "sign-in", email=ada.address, password=long[:-1]) == "wrong_credentials"
    assert await ada.sign_in(long)


async def test_a_hash_by_weaker_rules_is_replaced_at_sign_in(site: Site) -> None:
    ada = Person(site)
    await ada.sign_up()
    weak = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    await sql(site.settings, "UPDATE users SET password_hash = $1", weak)
    await ada.sign_in()
    ((kept,),) = await sql(site.settings, "SELECT password_hash FROM users")
    assert kept != weak
    assert not Passwords.is_worn(kept)
    await ada.sign_in()


# ---- guest orders ----


async def test_a_verified_address_claims_its_guest_orders(site: Site, event: int) -> None:
    guest, ada = site.visitor(), Person(site)
    hold = await guest.post(event, "hold", {"seats": [3]})
    booked = await guest.post(event, "book", order(hold, email=ada.address.upper()))
    other = await guest.post(event, "hold", {"seats": [5]})
    await guest.post(event, "book", order(other, email="somebody@else.example"))

    await ada.ask("sign-up", email=ada.address, name="Ada", password=PASSWORD)
    assert (await ada.get("/api/orders"))["orders"] == []
    token = token_in((await mails_to(site.settings, ada.address))[0], "verify")
    await ada.ask("verify", token=token)
    assert [found["id"] for found in (await ada.get("/api/orders"))["orders"]] == [booked["id"]]
    assert (await ada.get(f"/api/orders/{booked['id']}"))["status"] == "confirmed"

    cancelled = await ada.post(event, "cancel", {"order_id": booked["id"]})
    assert cancelled["status"] == "cancelled"
    assert (await guest.get(f"/api/orders/{booked['id']}"))["status"] == "cancelled"


async def test_what_a_guest_buys_later_under_a_verified_address_is_its_accounts(
    site: Site, event: int
) -> None:
    guest, ada, eve = site.visitor(), Person(site), Person(site)
    await ada.sign_up()
    await eve.ask("sign-up", email=eve.address, name="Eve", password=PASSWORD)  # and proves it by nothing
    booked = {}
    for seat, person in ((3, ada), (5, eve)):
        hold = await guest.post(event, "hold", {"seats": [seat]})
        booked[person] = await guest.post(event, "book", order(hold, email=person.address.upper()))
    assert [found["id"] for found in (await ada.get("/api/orders"))["orders"]] == [booked[ada]["id"]]
    assert (await ada.post(event, "cancel", {"order_id": booked[ada]["id"]}))["status"] == "cancelled"
    for person, mine in ((ada, eve), (eve, eve)):
        with pytest.raises(Refusal, match="order_not_found"):
            await person.get(f"/api/orders/{booked[mine]['id']}")


async def test_nobody_elses_account_sees_or_cancels_an_order(site: Site, event: int) -> None:
    ada, eve = Person(site), Person(site)
    await ada.sign_up()
    await eve.sign_up()
    hold = await ada.post(event, "hold", {"seats": [3]})
    booked = await ada.post(event, "book", order(hold, email=ada.address))
    assert (await eve.get("/api/orders"))["orders"] == []
    for ask in (
        eve.get(f"/api/orders/{booked['id']}"),
        eve.post(event, "cancel", {"order_id": booked["id"]}),
    ):
        with pytest.raises(Refusal) as caught:
            await ask
        assert caught.value.code == "order_not_found"
    assert (await ada.get(f"/api/orders/{booked['id']}"))["status"] == "confirmed"
