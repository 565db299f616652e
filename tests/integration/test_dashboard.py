"""The dashboard's websocket: who may look, that the numbers are right, and that nobody's secrets are in it."""

from collections.abc import AsyncIterator

import pytest
from dashboard_world import Watcher, watch
from msgspec.structs import replace
from site_clients import PRICE, Refusal, Site, make_event, order, until, visited_site
from staff_world import make_key, run
from websockets.exceptions import InvalidStatus

from seatmap import protocol
from seatmap.config import Settings
from seatmap.embedded import Embedded
from seatmap.model import Role

HELD, BOOKED = 1, 2


@pytest.fixture
async def event(settings: Settings) -> int:
    return await make_event(settings)


@pytest.fixture
async def site(settings: Settings, event: int) -> AsyncIterator[Site]:
    quick = replace(settings, head_check_ms=200, grace_ms=100, heartbeat_ms=300, hold_seconds=60)
    async with visited_site(quick) as site:
        yield site


@pytest.fixture
async def key(settings: Settings) -> str:
    """Of a program that may look."""
    return (await make_key(settings, Role.viewer))[0]


async def settled(watcher: Watcher, **wanted: object) -> dict[str, object]:
    """What it is told, once it has these values."""
    await until(lambda: all(watcher.last.get(name) == value for name, value in wanted.items()))
    return watcher.last


@pytest.mark.parametrize("role", [Role.viewer, Role.box_office, Role.admin])
async def test_staff_may_look(site: Site, event: int, role: Role) -> None:
    watcher = await watch(site, event, (await make_key(site.settings, role))[0])
    await until(lambda: watcher.last)
    assert [text["type"] for text in watcher.texts[:3]] == ["hello", "history", "dashboard"]
    assert len(watcher.told("history")[0]["holds_per_s"]) == 300
    assert protocol.SNAPSHOT in watcher.kinds()
    await until(lambda: [process["viewers"] for process in watcher.last["processes"]] == [0])


@pytest.mark.parametrize(
    ("role", "headers", "status", "code"),
    [
        (None, {}, 401, b"sign_in_required"),
        (Role.buyer, {}, 403, b"forbidden"),
        (Role.admin, {"Origin": "https://elsewhere.example"}, 403, b"wrong_origin"),
    ],
)
async def test_others_are_refused_in_words(
    site: Site, event: int, role: Role | None, headers: dict[str, str], status: int, code: bytes
) -> None:
    key = "" if role is None else (await make_key(site.settings, role))[0]
    with pytest.raises(InvalidStatus) as refusal:
        await watch(site, event, key, **headers)
    assert refusal.value.response.status_code == status
    assert code in refusal.value.response.body


async def test_an_event_that_is_not_is_refused(site: Site, key: str) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        await watch(site, 999, key)
    assert refusal.value.response.status_code == 404


async def test_who_may_look_no_more_is_shown_out(site: Site, event: int, key: str) -> None:
    watcher = await watch(site, event, key)
    await until(lambda: watcher.last)
    await run(site.settings, "UPDATE api_keys SET revoked_at = now()")
    await watcher.socket.wait_closed()


async def test_the_numbers_are_those_of_what_happened(site: Site, event: int, key: str) -> None:
    watcher = await watch(site, event, key)
    ada, bob = await site.page(event), await site.page(event)
    hold = await ada.ask("hold", seats=[1, 2])
    await bob.ask("hold", seats=[3])
    with pytest.raises(Refusal):
        await bob.ask("hold", seats=[1])
    await ada.ask("book", **order(hold))
    said = await settled(watcher, revenue=2 * PRICE, viewers=2)
    assert said["counts"] == {"available": 37, "held": 1, "booked": 2, "blocked": 0}
    assert said["funnel"] == {"held": 2, "checkout": 1, "booked": 1, "expired": 0}
    assert (said["viewers"], said["currency"], said["stuck_payments"]) == (2, "EUR", 0)
    assert [process["viewers"] for process in said["processes"]] == [2]
    assert 0 < said["command_p99_ms"] < 5000
    assert said["redis"]["ok"]
    assert said["postgres"]["ok"]
    assert (watcher.statuses[1], watcher.statuses[3]) == (BOOKED, HELD)
    # A rate is over after five seconds: it was told meanwhile.
    told = [(text["holds_per_s"], text["books_per_s"]) for text in watcher.told("dashboard")]
    assert (0.6, 0.4) in told
    assert any(text["refusals"] == {"seat_taken": 0.2} for text in watcher.told("dashboard"))


async def test_holds_that_end_by_themselves_are_counted(settings: Settings, event: int, key: str) -> None:
    short = replace(settings, head_check_ms=100, grace_ms=0, hold_seconds=1)
    async with visited_site(short) as site:
        watcher, ada = await watch(site, event, key), await site.page(event)
        await ada.ask("hold", seats=[1])
        await settled(watcher, funnel={"held": 1, "checkout": 0, "booked": 0, "expired": 1})


async def test_every_held_seat_has_an_age(site: Site, event: int, key: str) -> None:
    ada = await site.page(event)
    await ada.ask("hold", seats=[4, 5])
    watcher = await watch(site, event, key)
    frame = await until(lambda: next((f for f in watcher.frames if f[0] == protocol.AGES), None))
    assert int.from_bytes(frame[12:16], "little") == 2
    assert [int.from_bytes(frame[at : at + 4], "little") for at in (16, 20)] == [4 << 8, 5 << 8]


async def test_two_processes_know_of_each_other(settings: Settings, event: int, key: str, site: Site) -> None:
    async with visited_site(site.settings) as other:
        there = await other.page(event)
        here = await site.page(event)
        await there.ask("hold", seats=[1])
        with pytest.raises(Refusal):
            await here.ask("hold", seats=[1])
        with pytest.raises(Refusal):
            await there.ask("hold", seats=[99])
        watcher = await watch(site, event, key)
        said = await settled(watcher, viewers=2)
        assert [process["viewers"] for process in said["processes"]] == [1, 1]
        await until(lambda: watcher.last["refusals"] == {"seat_taken": 0.2, "seat_out_of_range": 0.2})
    await settled(watcher, viewers=1)  # a process that is gone is forgotten


async def test_nothing_private_is_told(site: Site, event: int, key: str) -> None:
    watcher = await watch(site, event, key)
    ada = await site.page(event)
    hold = await ada.ask("hold", seats=[1])
    bought = order(hold)
    await ada.ask("book", **bought)
    second = await ada.ask("hold", seats=[2])
    await settled(watcher, revenue=PRICE, counts={"available": 38, "held": 1, "booked": 1, "blocked": 0})
    said = watcher.raw
    for secret in (
        ada.cookie.partition(".")[0],
        hold["hold_id"],
        second["hold_id"],
        bought["order_id"],
        bought["order_id"].replace("-", ""),
        bought["name"],
        bought["email"],
    ):
        assert secret
        assert secret.encode() not in said
    assert {text["type"] for text in watcher.texts} == {"hello", "history", "dashboard"}


async def test_it_takes_no_commands(site: Site, event: int, key: str) -> None:
    watcher = await watch(site, event, key)
    for message in ({"type": "hold", "id": "x", "seats": [1]}, "nonsense", b"\x00"):
        with pytest.raises(Refusal):
            await watcher.ask_raw(message, "x" if isinstance(message, dict) else "")
    await watcher.ask_raw({"type": "sync", "id": "s", "epoch": 0, "version": 0}, "s")
    await until(lambda: watcher.kinds().count(protocol.SNAPSHOT) >= 2)


@pytest.mark.parametrize(("server", "part"), [("valkey", "redis"), ("postgres", "postgres")])
async def test_a_store_that_is_away_is_shown(
    site: Site, event: int, key: str, servers: Embedded, server: str, part: str
) -> None:
    watcher = await watch(site, event, key)
    await until(lambda: watcher.last and watcher.last[part]["ok"])
    servers.servers[server].ask_to_stop()
    servers.servers[server].wait_stopped()
    await until(lambda: not watcher.last[part]["ok"])
    servers.revive()
    await until(lambda: watcher.last[part]["ok"])
