"""A TCP proxy between our processes and the stores: `python -m tests.chaos.proxy`, told over stdin what to do.

The first line in is {"links": {name: path of a unix socket}}; the answer, the first line out, {name: port}.
Then each line {"link": …, "mode": …, …} sets a link's mode. A partition *holds* bytes, as TCP would, and healing
delivers them late or resets the connection; so a command that everybody has given up on may still arrive.
"""

import asyncio
import json
import random
import sys
from contextlib import suppress
from typing import Any

MODES = ("pass", "delay", "blackhole", "lose_replies", "lose_requests", "reset", "slice", "throttle")
REQUESTS, REPLIES = 0, 1
HELD = {"blackhole": (REQUESTS, REPLIES), "lose_requests": (REQUESTS,), "lose_replies": (REPLIES,)}
SLICED_BYTES = 256  # of each read that go in pieces; the rest follows at once, or nothing would ever be done


class Link:
    """One process's way to one store: a listener, its connections, and the mode they are all in."""

    def __init__(self, upstream: str) -> None:
        self.port = 0
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._mode = "pass"
        self._delay_s = self._jitter_s = 0.0
        self._bytes_per_s = 0
        self._open = (asyncio.Event(), asyncio.Event())
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        for event in self._open:
            event.set()

    async def listen(self) -> int:
        """Begin to accept; the port."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def close(self) -> None:
        """End everything that goes this way."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set(
        self,
        mode: str,
        *,
        delay_ms: float = 0,
        jitter_ms: float = 0,
        bytes_per_s: int = 0,
        drop: bool = False,
    ) -> None:
        """Change the mode. `drop` resets what is connected, so that held bytes are lost and not late."""
        if mode not in MODES:
            raise ValueError(f"a link has no mode {mode}: {', '.join(MODES)}")
        self._mode = mode
        self._delay_s, self._jitter_s, self._bytes_per_s = delay_ms / 1000, jitter_ms / 1000, bytes_per_s
        if drop or mode == "reset":
            for writer in list(self._writers):
                writer.transport.abort()
        for direction, event in enumerate(self._open):
            if direction in HELD.get(mode, ()):
                event.clear()
            else:
                event.set()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            if self._mode == "reset":
                writer.transport.abort()
                return
            await self._open[REQUESTS].wait()
            try:
                up_reader, up_writer = await asyncio.open_unix_connection(self._upstream)
            except OSError:
                writer.transport.abort()
                return
            self._writers.add(up_writer)
            try:
                await self._join(reader, writer, up_reader, up_writer)
            finally:
                self._writers.discard(up_writer)
                up_writer.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        """Until both sides have said their last: a request whose sender left is still delivered."""
        requests = asyncio.create_task(self._pump(reader, up_writer, REQUESTS))
        replies = asyncio.create_task(self._pump(up_reader, writer, REPLIES))
        await asyncio.wait({requests, replies}, return_when=asyncio.FIRST_COMPLETED)
        if not requests.done():  # the server is gone
            requests.cancel()
        elif not replies.done():  # the client is gone; the server notices by its end of stream
            with suppress(OSError):
                up_writer.write_eof()
            await asyncio.wait({replies}, timeout=1)
            replies.cancel()
        await asyncio.gather(requests, replies, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: int) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self._mode != "pass":
                    await self._suffer(data, writer, direction)
                else:
                    writer.write(data)
                await writer.drain()
            await self._open[direction].wait()

    async def _suffer(self, data: bytes, writer: asyncio.StreamWriter, direction: int) -> None:
        """Hand on `data` as the mode has it."""
        if self._mode == "delay":
            await asyncio.sleep(self._delay_s + random.random() * self._jitter_s)
        elif self._mode == "throttle":
            await asyncio.sleep(len(data) / max(self._bytes_per_s, 1))
        elif self._mode == "slice":
            for at in range(min(len(data), SLICED_BYTES)):
                writer.write(data[at : at + 1])
                await asyncio.sleep(0)
            data = data[SLICED_BYTES:]
        await self._open[direction].wait()
        writer.write(data)


async def serve() -> None:
    """Until stdin ends, which it does when whoever started us is gone."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin.buffer
    )
    first: dict[str, Any] = json.loads(await lines.readline())
    links = {name: Link(path) for name, path in first["links"].items()}
    ports = {name: await link.listen() for name, link in links.items()}
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    while line := await lines.readline():
        order: dict[str, Any] = json.loads(line)
        links[order.pop("link")].set(order.pop("mode"), **order)


def main() -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


if __name__ == "__main__":
    main()
