"""Rows 5 to 11 of docs/security.md, by raw sockets: who abuses a connection loses it, and nobody else."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace
from raw_socket import Peers, Raw, close_code, frame, frames
from site_clients import Site, make_event, order, until, visited_site

from seatmap.config import Settings
from seatmap.web import bounded

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
COMMAND = b'{"type":"mine","id":"m"}'


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadlines, short enough for a test and long enough for a slow machine."""
    monkeypatch.setattr(bounded, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr(bounded, "BODY_SECONDS", 1.0)
    monkeypatch.setattr(bounded, "STALL_SECONDS", 1.0)


@pytest.fixture
async def event(settings: Settings) -> int:
    return await make_event(settings, 100)


@pytest.fixture
async def site(settings: Settings, event: int) -> AsyncIterator[Site]:
    async with visited_site(settings) as site:
        yield site
        # whatever was done to it, the site still sells
        buyer = site.visitor()
        booked = await buyer.post(event, "book", order(await buyer.post(event, "hold", {"seats": [99]})))
        assert booked["status"] == "confirmed"


@pytest.fixture
async def peers(site: Site) -> AsyncIterator[Peers]:
    peers = Peers(site.url)
    yield peers
    await peers.leave()


# ---- requests that do not end ----


async def drip(raw: Raw, data: bytes) -> None:
    """A byte now and then, for ever."""
    while True:
        await raw.send(data)
        await asyncio.sleep(0.05)


async def ended_while(raw: Raw, data: bytes) -> bytes:
    """What the server says until it ends a connection on which `data` drips."""
    dripping = asyncio.create_task(drip(raw, data))
    try:
        return await raw.rest()
    finally:
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)


@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-a: ",
        b"GET /ws/events/1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n",
    ],
    ids=["nothing", "a letter", "a header", "a handshake"],
)
async def test_a_head_that_never_ends_has_a_deadline(peers: Peers, begin: bytes) -> None:
    raw = await peers.connect()
    await raw.send(begin)
    assert (await raw.rest()).startswith(b"HTTP/1.1 408")


async def test_a_head_that_drips_has_the_same_deadline(peers: Peers) -> None:
    crowd = [await peers.connect() for _ in range(20)]
    for raw in crowd:
        await raw.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-a: ")
    await asyncio.gather(*(ended_while(raw, b"b") for raw in crowd))


async def test_a_body_that_drips_has_a_deadline(peers: Peers) -> None:
    raw = await peers.connect()
    await raw.send(b"POST /api/events/1/hold HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n")
    assert (await ended_while(raw, b" ")).startswith(b"HTTP/1.1 408")


async def test_a_refused_body_is_not_read_for_ever(peers: Peers) -> None:
    raw = await peers.connect()
    head = b"POST /api/events/1/hold HTTP/1.1\r\nHost: a\r\nContent-Length: 900000000\r\n\r\n"
    await raw.send(head)
    assert (await raw.head()).startswith("HTTP/1.1 413")
    await ended_while(raw, b"x" * 1000)


async def test_nothing_but_empty_lines_between_two_requests_has_a_deadline(peers: Peers) -> None:
    raw = await peers.connect()
    await raw.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await raw.head()).startswith("HTTP/1.1 200")
    await ended_while(raw, b"\r\n")


async def test_who_asks_again_and_again_is_never_late(peers: Peers) -> None:
    """The deadlines are each request's own, not the connection's."""
    raw = await peers.connect()
    loop = asyncio.get_running_loop()
    until_when = loop.time() + 3 * bounded.HEAD_SECONDS
    while loop.time() < until_when:
        await raw.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await raw.head()).startswith("HTTP/1.1 200")
        await raw.reader.readexactly(len('{"status":"ok"}'))
        await asyncio.sleep(0.05)


# ---- heads that are too large ----


@pytest.mark.parametrize(
    "headers",
    [
        {f"X-{i}": "a" for i in range(200)},
        {"X-a": "a" * 9000},
        {f"X-{i}": "a" * 7000 for i in range(3)},
        {"Cookie": "a" * 100_000},
    ],
    ids=["many", "a long one", "long ones", "an endless one"],
)
@pytest.mark.parametrize("path", ["/ws/events/1", "/api/events"])
async def test_a_head_has_a_largest_size(peers: Peers, path: str, headers: dict[str, str]) -> None:
    raw = await peers.connect()
    head = raw.handshake(path, **headers)
    if not path.startswith("/ws"):
        head = head.replace(b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"")
    raw.writer.write(head)
    assert (await raw.rest()).startswith(b"HTTP/1.1 431")


async def test_a_head_without_end_is_cut_off(peers: Peers) -> None:
    raw = await peers.connect()
    await raw.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-a: ")
    await raw.flood(b"a" * 10_000)


async def test_as_much_as_a_browser_sends_is_taken(peers: Peers) -> None:
    await peers.websocket(Cookie="a" * 6000, **{f"X-{i}": "a" for i in range(80)})


# ---- websockets ----


@pytest.mark.parametrize("kind", [PING, PONG])
async def test_a_flood_of_control_frames_ends_the_connection(peers: Peers, kind: int) -> None:
    raw = await peers.websocket()
    await raw.flood(frame(kind, b"p" * 125) * 500)


async def test_a_few_pings_are_answered(peers: Peers) -> None:
    raw = await peers.websocket()
    await raw.send(frame(PING, b"hello") * 20 + frame(CLOSE))
    assert frames(await raw.rest()).count((PONG, b"hello")) == 20


async def test_a_message_in_endless_pieces_ends_the_connection(peers: Peers) -> None:
    raw = await peers.websocket()
    await raw.send(frame(TEXT, b"a", last=False))
    await raw.flood(frame(0, b"", last=False) * 5000)


async def test_a_command_in_a_few_pieces_is_understood(peers: Peers) -> None:
    raw = await peers.websocket()
    pieces = [COMMAND[i : i + 2] for i in range(0, len(COMMAND), 2)]
    await raw.send(frame(TEXT, pieces[0], last=False) + frame(PING))
    for piece in pieces[1:]:
        await raw.send(frame(0, piece, last=False))
    await raw.send(frame(0))
    await raw.until(b'"id":"m"')


async def test_very_many_messages_at_once_end_the_connection(peers: Peers) -> None:
    raw = await peers.websocket()
    await raw.flood(frame(TEXT, b"") * 10_000)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (frame(TEXT, b"x" * 65_537), 1009),
        (frame(TEXT, b"x" * 40_000, last=False) + frame(0, b"x" * 40_000), 1009),
        (frame(TEXT, COMMAND, masked=False), 1002),
        (frame(TEXT, COMMAND, bits=0x40), 1002),
        (frame(3, COMMAND), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, b"x", last=False), 1002),
        (frame(0, COMMAND), 1002),
        (frame(TEXT, b"\xff\xfe"), 1007),
        (b"\x81\xff" + b"\xff" * 8, 1002),
    ],
    ids=[
        "too large",
        "too large in pieces",
        "no mask",
        "compressed",
        "a reserved opcode",
        "a large ping",
        "a ping in pieces",
        "a piece of nothing",
        "no UTF-8",
        "a size beyond all sizes",
    ],
)
async def test_what_no_client_may_send_ends_the_connection(peers: Peers, message: bytes, code: int) -> None:
    raw = await peers.websocket()
    await raw.send(message)
    assert close_code(await raw.rest()) in (code, 1009)


async def test_compression_is_never_agreed_on(peers: Peers) -> None:
    raw = await peers.connect()
    offer = "permessage-deflate; client_max_window_bits=12"
    await raw.send(raw.handshake("/ws/events/1", Sec_WebSocket_Extensions=offer))
    answer = await raw.head()
    assert answer.startswith("HTTP/1.1 101")
    assert "sec-websocket-extensions" not in answer.lower()


async def test_frames_before_the_handshakes_answer_do_no_harm(peers: Peers) -> None:
    raw = await peers.connect()
    await raw.send(raw.handshake("/ws/events/999"))
    raw.writer.write(frame(TEXT, COMMAND) * 100 + frame(PING) * 100)
    assert (await raw.rest()).startswith(b"HTTP/1.1 404")


# ---- readers that do not read ----


async def test_who_never_reads_the_answers_is_cut_off(site: Site, peers: Peers, settings: Settings) -> None:
    large = await make_event(settings, 20_000)
    raw = await peers.connect()
    path = f"/api/events/{large}/plan"
    await site.visitor().get(path)
    ask = f"GET {path} HTTP/1.1\r\nHost: {raw.host}\r\n\r\n".encode()
    await raw.flood(ask, reading=False)  # each answer is large; the kernel takes the first few


async def test_who_never_reads_the_frames_is_cut_off_and_leaves_nothing(site: Site, peers: Peers) -> None:
    page = await site.page(1)
    await until(lambda: page.viewers == 1 or page.frames)
    before = len(asyncio.all_tasks())
    crowd = [await peers.websocket() for _ in range(10)]
    asked = frame(TEXT, b'{"type":"nonsense","id":"x"}')
    await asyncio.gather(*(raw.flood(asked, reading=False) for raw in crowd))
    await peers.leave()
    await until(lambda: len(asyncio.all_tasks()) <= before)
    hold = await page.ask("hold", seats=[1])
    assert hold["seats"] == [1]


# ---- limits ----


@pytest.fixture
def strict(settings: Settings) -> Settings:
    return replace(settings, socket_messages_per_s=5, visitor_connections=3)


async def test_too_many_commands_are_refused_and_then_end_the_connection(
    strict: Settings, event: int
) -> None:
    async with visited_site(strict) as site:
        peers = Peers(site.url)
        raw = await peers.websocket()
        for _ in range(200):
            raw.writer.write(frame(TEXT, COMMAND))
        told = frames(await raw.rest())
        replies = [payload for opcode, payload in told if opcode == TEXT and b'"reply"' in payload]
        refused = [reply for reply in replies if b'"too_many_requests"' in reply]
        assert 20 <= len(replies) - len(refused) < 100
        assert all(b'"id":"m"' in reply and b'"retry_after":1' in reply for reply in refused)
        assert len(refused) >= 100
        assert told[-1][0] == CLOSE
        await peers.leave()
        # whoever waits may go on
        page = await site.page(event)
        assert (await page.ask("hold", seats=[1]))["seats"] == [1]
