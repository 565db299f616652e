"""A peer that speaks the bytes it likes, and the server's answers as they are."""

import asyncio
import struct

from websockets.frames import Close

WAIT_SECONDS = 30.0


class Raw:
    """One TCP connection to a site."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self.reader = reader
        self.writer = writer
        self.host = host

    def handshake(self, path: str, **headers: str) -> bytes:
        own = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        return (
            f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{own}\r\n"
        ).encode()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def flood(self, data: bytes, *, reading: bool = True) -> None:
        """Send for as long as the server takes it; fails if it takes all."""
        answers = asyncio.create_task(self.rest() if reading else asyncio.sleep(WAIT_SECONDS))
        if not reading:
            self.writer.transport.pause_reading()  # type: ignore[attr-defined]
        try:
            while not answers.done():
                async with asyncio.timeout(WAIT_SECONDS):
                    await self.send(data)
                await asyncio.sleep(0)
            assert reading, "the server took it all"
        except ConnectionError:
            return
        finally:
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)

    async def head(self) -> str:
        """An answer's head."""
        async with asyncio.timeout(WAIT_SECONDS):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def until(self, told: bytes) -> None:
        """Read on until the server has said this."""
        async with asyncio.timeout(WAIT_SECONDS):
            await self.reader.readuntil(told)

    async def rest(self) -> bytes:
        """All that still comes, to the connection's end; fails if that does not come."""
        found = b""
        async with asyncio.timeout(WAIT_SECONDS):
            try:
                while data := await self.reader.read(65_536):
                    found += data
            except ConnectionError:
                pass
        return found


class Peers:
    """All such peers of a site, who leave with the test."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._all: list[Raw] = []

    async def connect(self) -> Raw:
        host, _, port = self._url.rpartition("//")[2].partition(":")
        raw = Raw(*await asyncio.open_connection(host, int(port)), f"{host}:{port}")
        self._all.append(raw)
        return raw

    async def websocket(self, path: str = "/ws/events/1", **headers: str) -> Raw:
        """A connection after its handshake."""
        raw = await self.connect()
        await raw.send(raw.handshake(path, **headers))
        assert (await raw.head()).startswith("HTTP/1.1 101")
        return raw

    async def leave(self) -> None:
        """Close all connections, whatever is unsent."""
        for raw in self._all:
            raw.writer.transport.abort()
            await asyncio.gather(raw.writer.wait_closed(), return_exceptions=True)
        self._all.clear()


def frame(
    opcode: int, payload: bytes = b"", *, last: bool = True, masked: bool = True, bits: int = 0
) -> bytes:
    """A client's frame; its mask is zeros."""
    size = len(payload)
    mask = 0x80 if masked else 0
    head = bytes([(0x80 if last else 0) | bits | opcode])
    if size < 126:
        head += bytes([mask | size])
    elif size < 65_536:
        head += bytes([mask | 126]) + struct.pack("!H", size)
    else:
        head += bytes([mask | 127]) + struct.pack("!Q", size)
    return head + (bytes(4) if masked else b"") + payload


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """(opcode, payload) of the whole frames that a server sent."""
    found = []
    while len(data) >= 2:
        opcode, size, at = data[0] & 0x0F, data[1] & 0x7F, 2
        if size == 126:
            size, at = struct.unpack_from("!H", data, 2)[0], 4
        elif size == 127:
            size, at = struct.unpack_from("!Q", data, 2)[0], 10
        found.append((opcode, data[at : at + size]))
        data = data[at + size :]
    return found


def close_code(data: bytes) -> int | None:
    """The code of the close frame among what a server sent."""
    return next((Close.parse(payload).code for opcode, payload in frames(data) if opcode == 8), None)
