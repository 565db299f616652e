"""A mail server on a real socket, as small as the protocol allows: it keeps what it is given, or refuses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Postbox:
    """What was delivered. With `refuses`, every recipient is turned away."""

    def __init__(self) -> None:
        self.port = 0
        self.refuses = False
        self.recipients: list[str] = []
        self.mails: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            writer.write(b"220 test\r\n")
            while line := (await reader.readline()).decode().strip():
                writer.write(await self._answer(line, reader, writer))
                await writer.drain()
                if line.upper() == "QUIT":
                    return
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    async def _answer(self, line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        word = line.split(" ")[0].upper()
        if word == "RCPT":
            if self.refuses:
                return b"451 try again later\r\n"
            self.recipients.append(line.partition(":")[2])
        if word == "DATA":
            writer.write(b"354 go on\r\n")
            self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
        return {"QUIT": b"221 bye\r\n", "STARTTLS": b"502 no\r\n"}.get(word, b"250 ok\r\n")


@asynccontextmanager
async def postbox(host: str = "127.0.0.1") -> AsyncIterator[Postbox]:
    """A mail server without TLS, for as long as the block lasts."""
    box = Postbox()
    server = await asyncio.start_server(box.serve, host, 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()
