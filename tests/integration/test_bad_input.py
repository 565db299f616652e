"""Every bad input, over websocket and HTTP: its own code, status and sentence, and nothing changed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from msgspec.structs import replace
from site_clients import Page, Refusal, Site, Visitor, make_event, order, visited_site
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from seatmap.config import Settings
from seatmap.errors import REFUSALS
from seatmap.protocol import MESSAGE_BYTES_MAX

LIMIT = 4
WAIT_SECONDS = 30.0
SEATS = 130


class Line:
    """One visitor's way to send commands: a websocket or HTTP."""

    def __init__(self, visitor: Visitor, event: int, page: Page | None) -> None:
        self.visitor = visitor
        self.event = event
        self.page = page

    async def send(self, command: str, /, **fields: Any) -> dict[str, Any]:
        if self.page is not None:
            return await self.page.ask(command, **fields)
        return await self.visitor.post(self.event, command, fields)

    async def send_raw(self, message: bytes) -> dict[str, Any]:
        """Text that is not even JSON."""
        if self.page is not None:
            return await self.page.ask_raw(message.decode())
        return await self.visitor.post(self.event, "hold", message)


class World:
    """A visitor on a line with a hold of seats 0 and 1, and somebody else with one of seat 9."""

    def __init__(self, site: Site, event: int, me: Line, mine: dict[str, Any], other: Visitor) -> None:
        self.site = site
        self.event = event
        self.me = me
        self.mine = mine
        self.other = other
        self.others: dict[str, Any] = {}

    async def state(self) -> list[Any]:
        """All that a bad input must leave as it is."""
        told = [
            await visitor.get(f"/api/events/{self.event}/mine") for visitor in (self.me.visitor, self.other)
        ]
        seats = await self.map(at_least=max(mine["version"] for mine in told))
        kept = [seats["epoch"], seats["version"], seats["statuses"]]
        for visitor, mine in zip((self.me.visitor, self.other), told, strict=True):
            kept += [mine["hold_id"], mine["seats"], mine["checkout"], mine["extendable"]]
            kept.append(await visitor.get("/api/orders"))
        return kept

    async def map(self, *, at_least: int) -> dict[str, Any]:
        """The map, once it has come as far as Redis was: it follows by messages."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                seats = await self.other.get(f"/api/events/{self.event}/seats?compact=1")
                if seats["version"] >= at_least:
                    return dict(seats)
                await asyncio.sleep(0.01)

    async def refused(self, trying: Awaitable[Any], *, same_position: bool = True) -> Refusal:
        """The refusal of `trying`, which must be complete and must have changed nothing."""
        before = await self.state()
        with pytest.raises(Refusal) as refusal:
            await trying
        after = await self.state()
        if not same_position:
            before[1] = after[1] = None
        assert before == after
        check(refusal.value, http=self.me.page is None)
        return refusal.value


def check(refusal: Refusal, *, http: bool) -> None:
    """A refusal has all that a program and a person need."""
    problem = refusal.problem
    status, title, _ = REFUSALS[refusal.code]
    assert (problem["status"], problem["title"]) == (status, title)
    assert problem["type"] == f"/docs/problems#{refusal.code}"
    assert problem["temporary"] is False
    assert problem["detail"].endswith(".")
    assert len(problem["detail"]) > 15
    if http:
        assert (refusal.status, refusal.content_type) == (status, "application/problem+json")


@pytest.fixture(params=["websocket", "http"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def line(site: Site, event: int, way: str) -> Line:
    visitor = site.visitor()
    page = await visitor.page(event) if way == "websocket" else None
    if page is None:
        await visitor.get(f"/api/events/{event}/mine")  # for the cookie, which a refusal does not bring
    return Line(visitor, event, page)


@pytest.fixture
async def event(settings: Settings) -> int:
    return await make_event(settings, SEATS, seats_per_visitor=LIMIT)


@pytest.fixture
async def site(settings: Settings, event: int) -> AsyncIterator[Site]:
    async with visited_site(replace(settings, hold_seconds=60)) as site:
        yield site


@pytest.fixture
async def world(site: Site, event: int, way: str) -> World:
    me, other = await line(site, event, way), site.visitor()
    mine = await me.send("hold", seats=[0, 1])
    world = World(site, event, me, mine, other)
    world.others = await other.post(event, "hold", {"seats": [9]})
    return world


# ---- seats ----


@pytest.mark.parametrize("seat", [SEATS, -1, 1 << 24, 1 << 31, 1 << 53, 1 << 63, 1 << 64, 10**30, -(10**30)])
async def test_a_seat_that_the_event_does_not_have(world: World, seat: int) -> None:
    refusal = await world.refused(world.me.send("hold", seats=[2, seat]))
    assert refusal.code in ("seat_out_of_range", "invalid")
    assert refusal.code == "seat_out_of_range" or abs(seat) >= 1 << 53
    assert "seat" in refusal.problem["detail"]


async def test_the_sentence_says_which_seats_there_are(world: World) -> None:
    refusal = await world.refused(world.me.send("hold", seats=[SEATS]))
    assert f"0 to {SEATS - 1}" in refusal.problem["detail"]
    assert refusal.problem["seats"] == [SEATS]


@pytest.mark.parametrize("command", ["hold", "release"])
async def test_a_seat_twice_in_one_command(world: World, command: str) -> None:
    fields = {"hold_id": world.mine["hold_id"], "seats": [1, 0, 1]}
    refusal = await world.refused(world.me.send(command, **fields))
    assert (refusal.code, refusal.problem["seats"]) == ("seat_repeated", [1])
    assert "Hall, row A, seat 2" in refusal.problem["detail"]


async def test_no_seat_at_all(world: World) -> None:
    assert (await world.refused(world.me.send("hold", seats=[]))).code == "no_seats"


async def test_more_seats_than_one_visitor_may_have(world: World) -> None:
    refusal = await world.refused(world.me.send("hold", seats=[2, 3, 4]))
    assert (refusal.code, refusal.problem["limit"]) == ("too_many_seats", LIMIT)
    assert str(LIMIT) in refusal.problem["detail"]


async def test_more_seats_than_one_command_may_name(world: World) -> None:
    refusal = await world.refused(world.me.send("hold", seats=list(range(10, 111))))
    assert refusal.code == "too_many_seats"
    assert "100" in refusal.problem["detail"]


async def test_a_seat_that_somebody_else_holds(world: World) -> None:
    refusal = await world.refused(world.me.send("hold", seats=[2, 9]))
    assert (refusal.code, refusal.problem["seats"]) == ("seat_taken", [9])
    assert "Hall, row A, seat 10" in refusal.problem["detail"]


# ---- holds ----


@pytest.mark.parametrize("command", ["hold", "release", "extend", "book"])
async def test_somebody_elses_hold(world: World, command: str) -> None:
    fields: dict[str, Any] = {"hold_id": world.others["hold_id"]}
    if command != "extend":
        fields["seats"] = [2] if command == "hold" else [9]
    if command == "book":
        fields = order(world.others)
    assert (await world.refused(world.me.send(command, **fields))).code == "not_your_hold"


@pytest.mark.parametrize("command", ["hold", "extend", "book"])
@pytest.mark.parametrize("hold_id", ["1-999", "999-1", "nonsense", "|", "-", "é🎭"])
async def test_a_hold_that_there_is_not(world: World, command: str, hold_id: str) -> None:
    fields: dict[str, Any] = {"hold_id": hold_id}
    if command == "hold":
        fields["seats"] = [2]
    if command == "book":
        fields = order({"hold_id": hold_id, "seats": [0, 1]})
    assert (await world.refused(world.me.send(command, **fields))).code == "hold_expired"


async def test_a_book_of_other_seats_than_the_hold(world: World) -> None:
    trying = world.me.send("book", **order(world.mine, seats=[0], total=1500))
    assert (await world.refused(trying)).code == "hold_changed"


async def test_a_book_for_another_total(world: World) -> None:
    # BEGIN and FINISH are two changes that cancel each other.
    trying = world.me.send("book", **order(world.mine, total=1))
    assert (await world.refused(trying, same_position=False)).code == "price_changed"


async def test_a_total_that_no_store_could_keep(world: World) -> None:
    trying = world.me.send("book", **order(world.mine, total=10**30))
    assert (await world.refused(trying)).code == "invalid"


async def test_an_order_id_again_for_other_seats(world: World) -> None:
    first = order(world.mine)
    await world.me.send("book", **first)
    again = await world.me.send("hold", seats=[5])
    trying = world.me.send("book", **order(again, order_id=first["order_id"]))
    assert (await world.refused(trying, same_position=False)).code == "order_reused"


async def test_an_order_id_of_somebody_else(world: World) -> None:
    theirs = order(world.others)
    await world.other.post(world.event, "book", theirs)
    trying = world.me.send("book", **order(world.mine, order_id=theirs["order_id"]))
    assert (await world.refused(trying, same_position=False)).code == "order_reused"


async def test_a_cancel_of_an_order_that_i_do_not_have(world: World) -> None:
    theirs = await world.other.post(world.event, "book", order(world.others))
    for order_id in (str(uuid4()), theirs["id"]):
        trying = world.me.send("cancel", order_id=order_id)
        assert (await world.refused(trying)).code == "order_not_found"


async def test_an_expired_hold(settings: Settings, event: int, way: str) -> None:
    async with visited_site(replace(settings, hold_seconds=1, grace_ms=0, head_check_ms=100)) as site:
        me = await line(site, event, way)
        mine = await me.send("hold", seats=[0])
        world = World(site, event, me, mine, site.visitor())
        for _ in range(100):
            if not (await me.visitor.get(f"/api/events/{event}/mine"))["seats"]:
                break
            await asyncio.sleep(0.05)
        for command, fields in (
            ("book", order(mine)),
            ("extend", {"hold_id": mine["hold_id"]}),
            ("hold", {"hold_id": mine["hold_id"], "seats": [1]}),
        ):
            assert (await world.refused(me.send(command, **fields))).code == "hold_expired"


# ---- events, epochs ----


@pytest.mark.parametrize(
    "window",
    [{"on_sale_from": timedelta(days=1)}, {"on_sale_until": timedelta(days=-1)}],
    ids=["not yet", "ended"],
)
async def test_an_event_that_is_not_on_sale(settings: Settings, way: str, window: dict[str, Any]) -> None:
    fields = {name: datetime.now(UTC) + away for name, away in window.items()}
    event = await make_event(settings, **fields)
    async with visited_site(settings) as site:
        me = await line(site, event, way)
        world = World(site, event, me, {}, site.visitor())
        assert (await world.refused(me.send("hold", seats=[0]))).code == "not_on_sale"


@pytest.mark.parametrize("epoch", [999, 1 << 40, 10**30])
async def test_another_epoch_than_the_maps(world: World, epoch: int) -> None:
    refusal = await world.refused(world.me.send("hold", seats=[2], epoch=epoch))
    assert refusal.code in ("wrong_epoch", "invalid")
    if refusal.code == "wrong_epoch":
        assert refusal.problem["epoch"] < 999
    # and nobody else suffers from it
    await world.other.post(world.event, "hold", {"seats": [8], "epoch": world.mine["epoch"]})


@pytest.mark.parametrize("event", ["999999", "0", "-1", "x", "1.5", "９", "9" * 30, "1%00"])
async def test_an_event_that_there_is_not(site: Site, event: str) -> None:
    with pytest.raises(Refusal) as refusal:
        await site.visitor().post(event, "hold", {"seats": [1]})
    assert refusal.value.code == "event_not_found"
    check(refusal.value, http=True)
    with pytest.raises(InvalidStatus) as denied:
        await connect(f"{site.url.replace('http', 'ws')}/ws/events/{event}")
    response = denied.value.response
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
    assert msgspec.json.decode(response.body or b"")["code"] == "event_not_found"


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_a_page_of_another_site(site: Site, event: int, origin: str) -> None:
    with pytest.raises(Refusal) as refusal:
        await site.visitor().post(event, "hold", {"seats": [1]}, Origin=origin)
    assert refusal.value.code == "wrong_origin"
    check(refusal.value, http=True)
    with pytest.raises(InvalidStatus) as denied:
        await connect(f"{site.url.replace('http', 'ws')}/ws/events/{event}", origin=origin)  # type: ignore[arg-type]
    assert denied.value.response.status_code == 403


# ---- messages ----


@pytest.mark.parametrize("text", [b"{", b"hello", b"", b'{"seats": [1', b'{"seats": [\x00]}', b"[" * 8000])
async def test_a_message_that_is_no_json(world: World, text: bytes) -> None:
    refusal = await world.refused(world.me.send_raw(text))
    assert refusal.code in ("malformed", "invalid")  # an array or an empty body is JSON enough to be wrong


@pytest.mark.parametrize(
    "fields",
    [
        {"seats": "1"},
        {"seats": ["1"]},
        {"seats": [1.5]},
        {"seats": [True]},
        {"seats": None},
        {"seats": {"0": 1}},
        {},
        {"seats": [2], "hold_id": 7},
        {"seats": [2], "epoch": "1"},
        {"seats": [2], "epoch": -1},
        {"seats": [2], "free": True},
    ],
)
async def test_fields_of_the_wrong_type(world: World, fields: dict[str, Any]) -> None:
    assert (await world.refused(world.me.send("hold", **fields))).code == "invalid"


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "nobody"},
        {"email": "a\0@b"},
        {"name": "A\0"},
        {"name": ""},
        {"name": "n" * 201},
        {"total": -1},
        {"order_id": "1"},
    ],
)
async def test_an_order_with_a_wrong_field(world: World, wrong: dict[str, Any]) -> None:
    assert (await world.refused(world.me.send("book", **order(world.mine, **wrong)))).code == "invalid"


async def test_a_message_that_is_too_large(world: World) -> None:
    refusal = await world.refused(world.me.send_raw(b" " * (MESSAGE_BYTES_MAX + 1)))
    assert refusal.code == "too_large"
    assert str(MESSAGE_BYTES_MAX) in refusal.problem["detail"]


async def test_an_unknown_command(world: World) -> None:
    if world.me.page is not None:
        refusal = await world.refused(world.me.send("steal", seats=[9]))
        assert refusal.code == "unknown_command"
        assert "steal" in refusal.problem["detail"]
    else:
        refusal = await world.refused(world.me.send("steal", seats=[9]))
        assert refusal.code == "not_found"
        assert "steal" in refusal.problem["detail"]


async def test_a_binary_message(site: Site, event: int) -> None:
    page = await site.page(event)
    with pytest.raises(Refusal) as refusal:
        await page.ask_raw(b'{"type": "mine"}')
    assert refusal.value.code == "malformed"
    await page.ask("mine")


@pytest.mark.parametrize(
    ("message", "code"),
    [(b"x" * 70_000, 1009), (b"\xff\xfe", 1007)],
    ids=["far too large", "not UTF-8"],
)
async def test_what_is_no_message_ends_the_connection_with_its_code(
    site: Site, event: int, message: bytes, code: int
) -> None:
    page = await site.page(event)
    await page.socket.send(message, text=True)
    async with asyncio.timeout(30):
        await page.socket.wait_closed()
    assert page.socket.close_code == code
