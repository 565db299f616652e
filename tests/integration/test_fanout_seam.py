"""The seam between the hub and uvicorn: FanoutProtocol uses what uvicorn does not promise to keep."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import uvicorn
from msgspec.structs import replace
from raw_socket import Peers
from running_site import _Server
from site_clients import Page, make_event, order, until, visited_site
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.server import ServerProtocol

from seatmap.config import Settings
from seatmap.live import hub
from seatmap.live.replica import frame
from seatmap.web.drain import AT_ONCE, drain
from seatmap.web.handover import EXTENSION, FanoutProtocol, HttpProtocol, screen_of
from seatmap.web.screens import AsgiScreen, DirectScreen, PageScreen, attend
from seatmap.web.serve import listen

App = Callable[[Any, Any, Any], Awaitable[None]]


class Ear:
    """Hears what a page says, and whether it left."""

    def __init__(self) -> None:
        self.heard_texts: list[str | None] = []
        self.has_left = 0

    def heard(self, text: str | None) -> None:
        self.heard_texts.append(text)

    def left(self) -> None:
        self.has_left += 1


class Stage:
    """An application that opens the best screen for each connection and lets the test drive it."""

    def __init__(self) -> None:
        self.screens: list[PageScreen] = []
        self.ears: list[Ear] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        screen, ear = screen_of(websocket), Ear()
        self.screens.append(screen)
        self.ears.append(ear)
        await attend(screen, ear)


@asynccontextmanager
async def serving(app: App, protocol: type[WebSocketsSansIOProtocol], **options: Any) -> AsyncIterator[str]:
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        ws=protocol,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
        **options,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def attended(
    protocol: type[WebSocketsSansIOProtocol],
) -> AsyncIterator[tuple[PageScreen, ClientConnection, Ear]]:
    """A screen, the client that looks at it, and what that said."""
    stage = Stage()
    async with serving(stage, protocol) as url, connect(url, compression=None) as client:
        await until(lambda: stage.screens)
        yield stage.screens[0], client, stage.ears[0]


@asynccontextmanager
async def staged(
    protocol: type[WebSocketsSansIOProtocol],
) -> AsyncIterator[tuple[PageScreen, ClientConnection]]:
    """A screen, and the client that looks at it."""
    async with attended(protocol) as (screen, client, _):
        yield screen, client


PROTOCOLS = [FanoutProtocol, WebSocketsSansIOProtocol]


@pytest.mark.parametrize(
    ("protocol", "kind"), [(FanoutProtocol, DirectScreen), (WebSocketsSansIOProtocol, AsgiScreen)]
)
async def test_the_door_is_used_where_there_is_one(protocol: Any, kind: type[PageScreen]) -> None:
    async with staged(protocol) as (screen, _):
        assert type(screen) is kind


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("size", [0, 125, 126, 70_000])
async def test_a_frame_arrives_as_it_was_shown(protocol: Any, size: int) -> None:
    async with staged(protocol) as (screen, client):
        payload = bytes(i % 251 for i in range(size))
        screen.show(frame(payload))
        screen.tell("Parkett, Reihe Ä 🎭".encode())
        assert await client.recv() == payload
        assert await client.recv() == "Parkett, Reihe Ä 🎭"
        await until(lambda: screen.backlog() == 0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_frames_and_texts_keep_their_order(protocol: Any) -> None:
    async with staged(protocol) as (screen, client):
        for i in range(100):
            await until(lambda: screen.backlog() == 0)
            screen.show(frame(bytes([i])))
            screen.tell(str(i).encode())
        assert [await client.recv() for _ in range(200)] == [
            part for i in range(100) for part in (bytes([i]), str(i))
        ]


async def test_pings_are_answered_between_frames_written_through_the_door() -> None:
    async with staged(FanoutProtocol) as (screen, client):
        for _ in range(3):
            screen.show(frame(b"frame"))
            await asyncio.wait_for(await client.ping(), 30)
            assert await client.recv() == b"frame"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_screen_whose_page_left_is_gone_and_takes_no_more(protocol: Any) -> None:
    async with staged(protocol) as (screen, client):
        assert screen.backlog() == 0
        await client.close()
        await until(lambda: screen.backlog() < 0)
        screen.show(frame(b"x"))
        screen.tell(b"x")
        screen.abort()


async def test_a_page_that_leaves_in_its_handshake_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    ended = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        websocket = WebSocket(scope, receive, send)
        scope["extensions"][EXTENSION].transport.abort()
        try:
            await websocket.accept()
            with pytest.raises(WebSocketDisconnect):
                screen_of(websocket)
        finally:
            ended.set()

    async with serving(application, FanoutProtocol) as url:
        peers = Peers(url)
        page = await peers.connect()
        await page.send(page.handshake("/"))
        await ended.wait()
        await peers.leave()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_page_that_is_refused_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await WebSocket(scope, receive, send).send_denial_response(Response(status_code=503))

    async with serving(application, FanoutProtocol) as url:
        peers = Peers(url)
        page = await peers.connect()
        await page.send(page.handshake("/"))
        assert (await page.head()).startswith("HTTP/1.1 503")
        await peers.leave()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_an_aborted_screen_ends_its_connection_at_once() -> None:
    async with staged(FanoutProtocol) as (screen, client):
        screen.abort()
        assert screen.backlog() < 0
        async with asyncio.timeout(30):
            await client.wait_closed()


async def test_private_messages_to_a_page_that_does_not_read_are_bounded() -> None:
    stage = Stage()
    async with serving(stage, FanoutProtocol) as url:
        with unread(url) as connection:
            await shake_hands(connection, url)
            await until(lambda: stage.screens)
            screen, text = stage.screens[0], b"x" * 65_536
            for _ in range(200):  # 13 MB, of which the kernel takes a few
                screen.tell(text)
                await asyncio.sleep(0)
            assert screen.backlog() < 0
            await until(lambda: stage.ears[0].has_left)


async def test_nothing_of_uvicorns_is_left_once_a_connection_is_handed_over() -> None:
    """Canary: they are most of an idle viewer's memory, and must not wait for the collector."""
    gc.collect()
    gc.disable()
    try:
        async with staged(FanoutProtocol) as (screen, client):
            screen.tell(b"open")
            assert await client.recv() == "open"
            await asyncio.sleep(0)
            kinds = (FanoutProtocol, HttpProtocol, ServerProtocol, WebSocket)
            left = [one for one in gc.get_objects() if isinstance(one, kinds)]
            assert left == []
    finally:
        gc.enable()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_a_page_says_is_heard_in_order(protocol: Any) -> None:
    async with attended(protocol) as (_, client, ear):
        said = ["a", "Ä 🎭", "x" * 200, "x" * 60_000, "z"]
        for text in said:
            await client.send(text)
        await client.send(b"binary")
        await client.send(iter(["in ", "pieces"]))
        await client.close()
        await until(lambda: ear.has_left)
        assert ear.heard_texts == [*said, None, "in pieces"]


async def test_what_a_page_says_before_it_has_its_answer_is_heard() -> None:
    stage, doors, go_on = Stage(), [], asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        doors.append(scope["extensions"][EXTENSION])
        await go_on.wait()
        await stage(scope, receive, send)

    async with serving(slow, FanoutProtocol) as url:
        with unread(url) as connection:
            await shake_hands(connection, url)
            await until(lambda: doors)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(connection, masked(b"early") + masked(b"half of it")[:5])
            await until(lambda: doors[0]._early)
            go_on.set()
            await until(lambda: stage.screens)
            await loop.sock_sendall(connection, masked(b"half of it")[5:])
            await until(lambda: stage.ears[0].heard_texts == ["early", "half of it"])


async def test_goodbyes_are_said_by_both() -> None:
    async with attended(FanoutProtocol) as (screen, client, ear):
        assert isinstance(screen, DirectScreen)
        screen.close(1012)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert (client.close_code, screen.backlog()) == (1012, -1)
        await until(lambda: ear.has_left == 1)
    async with attended(FanoutProtocol) as (_, client, ear):
        await client.close(4000, "enough")
        assert client.close_code == 4000
        await until(lambda: ear.has_left == 1)


async def test_before_an_end_all_are_sent_away_in_turn_and_told_when_to_come_back() -> None:
    stage = Stage()
    async with serving(stage, FanoutProtocol) as url, AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(connect(url, compression=None)) for _ in range(2 * AT_ONCE + 1)
        ]
        await until(lambda: len(stage.screens) == len(clients))
        screens = [screen for screen in stage.screens if isinstance(screen, DirectScreen)]
        draining = asyncio.create_task(drain(screens, 1500))
        await asyncio.sleep(0)
        assert sum(screen.backlog() < 0 for screen in screens) == AT_ONCE, "not all at once"
        await draining
        for client in clients:
            await asyncio.wait_for(client.wait_closed(), 30)
        assert {(client.close_code, client.close_reason) for client in clients} == {(1012, "1500")}


async def test_the_window_of_the_return_grows_with_the_crowd() -> None:
    async with attended(FanoutProtocol) as (screen, client, _):
        assert isinstance(screen, DirectScreen)
        await drain([screen] * 200, 0)
        await client.wait_closed()
        assert client.close_reason == "100"


async def test_who_never_answers_our_goodbye_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seatmap.web.bounded.CLOSE_SECONDS", 0.1)
    stage = Stage()
    async with serving(stage, FanoutProtocol) as url:
        with unread(url) as connection:
            await shake_hands(connection, url)
            await until(lambda: stage.screens)
            screen = stage.screens[0]
            assert isinstance(screen, DirectScreen)
            screen.close()
            await until(lambda: stage.ears[0].has_left)


def unread(url: str) -> socket.socket:
    """A connection on which nobody reads, with small buffers."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    return connection


async def shake_hands(connection: socket.socket, url: str, path: str = "/") -> None:
    """The websocket's handshake by hand, of which not even the answer is read."""
    host, port = url.rpartition("//")[2].split(":")
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (host, int(port)))
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await loop.sock_sendall(connection, request.encode())


# ---- the whole site on it ----


async def sell(ada: Page, bob: Page) -> None:
    hold = await ada.ask("hold", seats=[1])
    await bob.shows(1, 1)
    await ada.ask("book", **order(hold))
    await bob.shows(1, 2)
    await bob.ask("hold", seats=[2])
    await ada.shows(2, 1)


async def test_the_site_works_without_the_door(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("running_site.FanoutProtocol", WebSocketsSansIOProtocol)
    event = await make_event(settings)
    async with visited_site(settings) as site:
        ada, bob = await site.page(event), await site.page(event)
        await until(lambda: ada.frames and bob.frames, 3)
        await sell(ada, bob)


async def test_a_page_that_never_reads_is_cut_off_and_delays_nobody(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "LAG_SECONDS_MAX", 0.5)
    event = await make_event(settings, 100_000)  # 25 kB each time that it asks for the map
    async with visited_site(replace(settings, heartbeat_ms=200)) as site:
        ada, bob = await site.page(event), await site.page(event)
        await until(lambda: ada.viewers == 2)
        with unread(site.url) as connection:
            await shake_hands(connection, site.url, f"/ws/events/{event}")
            await until(lambda: ada.viewers == 3)
            sync = masked(b'{"type":"sync"}')
            asking = asyncio.create_task(ask_for_ever(connection, sync))
            began = asyncio.get_running_loop().time()
            await sell(ada, bob)
            assert asyncio.get_running_loop().time() - began < 5
            seat = 10
            while ada.viewers != 2:  # something has to change for a screen to lag behind
                await ada.ask("release", hold_id=(await ada.ask("hold", seats=[seat]))["hold_id"])
                seat += 1
                assert seat < 2000, "it was never cut off"
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


async def ask_for_ever(connection: socket.socket, message: bytes) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(connection, message)
        await asyncio.sleep(0.001)


def masked(text: bytes) -> bytes:
    """A client's text message; its mask is zeros."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text
