"""The proxy of the chaos suite does to bytes what each mode says."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.proxy import Link

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]


class Upstream:
    """A server that repeats what it hears, and remembers it."""

    def __init__(self) -> None:
        self.heard = b""
        self.news = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            self.heard += data
            self.news.set()
            writer.write(data)
        writer.close()

    async def hears(self, what: bytes) -> None:
        async with asyncio.timeout(10):
            while what not in self.heard:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Upstream]:
    told = Upstream()
    server = await asyncio.start_unix_server(told.serve, tmp_path / "up")
    yield told
    server.close()


@pytest.fixture
async def link(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Link]:
    link = Link(str(tmp_path / "up"))
    yield link
    await link.close()


@pytest.fixture
async def connected(link: Link) -> AsyncIterator[Callable[[], Awaitable[Streams]]]:
    opened: list[Streams] = []

    async def connect() -> Streams:
        opened.append(await asyncio.open_connection("127.0.0.1", link.port or await link.listen()))
        return opened[-1]

    yield connect
    for _, writer in opened:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def say(streams: Streams, text: bytes) -> bytes:
    streams[1].write(text)
    async with asyncio.timeout(10):
        return await streams[0].readexactly(len(text))


@pytest.mark.parametrize("mode", ["pass", "delay", "slice", "throttle"])
async def test_a_slow_way_loses_nothing(link: Link, connected: Connect, mode: str) -> None:
    streams = await connected()
    link.set(mode, delay_ms=20, bytes_per_s=20_000)
    began = time.monotonic()
    text = bytes(range(256)) * 2
    assert await say(streams, text) == text
    if mode in ("delay", "throttle"):
        assert time.monotonic() - began > 0.035  # there and back


async def test_what_is_held_arrives_late(link: Link, upstream: Upstream, connected: Connect) -> None:
    streams = await connected()
    assert await say(streams, b"one") == b"one"
    link.set("blackhole")
    streams[1].write(b"two")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(streams[0].read(1), 0.2)
    assert upstream.heard == b"one"
    link.set("pass")
    assert await asyncio.wait_for(streams[0].readexactly(3), 10) == b"two"


async def test_a_request_is_delivered_though_its_sender_has_left(
    link: Link, upstream: Upstream, connected: Connect
) -> None:
    streams = await connected()
    assert await say(streams, b"one") == b"one"
    link.set("lose_requests")
    streams[1].write(b"two")
    await streams[1].drain()
    streams[1].close()
    link.set("pass")
    await upstream.hears(b"onetwo")


async def test_only_the_answers_are_lost(link: Link, upstream: Upstream, connected: Connect) -> None:
    streams = await connected()
    assert await say(streams, b"one") == b"one"
    link.set("lose_replies")
    streams[1].write(b"two")
    await upstream.hears(b"onetwo")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(streams[0].read(1), 0.2)
    link.set("pass", drop=True)
    assert await asyncio.wait_for(ended(streams), 10)


async def test_a_reset_ends_what_is_connected_and_what_comes(link: Link, connected: Connect) -> None:
    streams = await connected()
    assert await say(streams, b"one") == b"one"
    link.set("reset")
    assert await asyncio.wait_for(ended(streams), 10)
    assert await asyncio.wait_for(ended(await connected()), 10)
    link.set("pass")
    assert await say(await connected(), b"two") == b"two"


async def ended(streams: Streams) -> bool:
    """Whether the connection is over, by an end or by a reset."""
    try:
        return await streams[0].read() == b""
    except ConnectionError:
        return True


def test_there_is_no_other_mode() -> None:
    with pytest.raises(ValueError, match="no mode sideways"):
        Link("nowhere").set("sideways")
