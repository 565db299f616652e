"""What people build first for holds: a Starlette route that runs a small Lua script through redis-py.

`python -m loadtest.peer_starlette PORT REDIS_URL` serves it; `holds` measures it, on the site's own Redis.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from redis.asyncio import BlockingConnectionPool, Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from loadtest.bench_site import Site, free_port
from loadtest.figures import Rounds
from loadtest.machine import pin

CONNECTIONS = 64
SEATS = 100_000
START_SECONDS = 20.0
WARM_SECONDS, ROUND_SECONDS, ROUNDS = 1.0, 3.0, 5

# Two seats, one hold; both or neither; told to whoever listens.
HOLD = """
for i = 2, #ARGV do if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then return 0 end end
for i = 2, #ARGV do redis.call('HSET', KEYS[1], ARGV[i], ARGV[1]) end
redis.call('PUBLISH', KEYS[2], table.concat(ARGV, ' '))
return 1
"""


def app(redis_url: str) -> Starlette:
    """One route: POST /hold/{first seat}."""
    redis = Redis(connection_pool=BlockingConnectionPool.from_url(redis_url, max_connections=32))
    hold = redis.register_script(HOLD)

    async def post(request: Request) -> JSONResponse:
        await request.body()
        seat = int(request.path_params["seat"])
        done = await hold(keys=["peer:seats", "peer:changes"], args=["somebody", seat, seat + 1])
        return JSONResponse({"held": bool(done)})

    return Starlette(routes=[Route("/hold/{seat:int}", post, methods=["POST"])])


class Asker(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[bytes]
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    async def ask(self, path: str) -> bytes:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(f"POST {path} HTTP/1.1\r\nHost: peer\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._buffer.endswith(b"}"):
            self._answer.set_result(self._buffer)
            self._buffer = b""

    def connection_lost(self, error: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(ConnectionError("the peer closed the connection"))

    def close(self) -> None:
        self._transport.abort()


async def holds(site: Site, rounds: Rounds) -> None:
    """Holds of two seats each, through 64 connections; the route's process has core 0, everything else core 1."""
    async with _serving(site) as port:
        loop = asyncio.get_running_loop()
        askers = [(await loop.create_connection(Asker, "127.0.0.1", port))[1] for _ in range(CONNECTIONS)]
        waits: list[float] = []
        stop, seats = False, iter(range(0, 10**9, 2))

        async def go_on(asker: Asker) -> None:
            while not stop:
                began = time.perf_counter()
                await asker.ask(f"/hold/{next(seats)}")
                waits.append((time.perf_counter() - began) * 1000)

        tasks = [asyncio.create_task(go_on(asker)) for asker in askers]
        await asyncio.sleep(WARM_SECONDS)
        for _ in range(ROUNDS):
            waits, began = [], time.perf_counter()
            await asyncio.sleep(ROUND_SECONDS)
            rounds.add(
                "starlette_redis_py_per_s", len(waits) / (time.perf_counter() - began), "1/s", "a peer"
            )
            rounds.spread("starlette_redis_py", waits, "ms")
        stop = True
        await asyncio.gather(*tasks)
        for asker in askers:
            asker.close()


@asynccontextmanager
async def _serving(site: Site) -> AsyncIterator[int]:
    port = free_port()
    words = [sys.executable, "-m", "loadtest.peer_starlette", str(port), site.settings.redis_url]
    process = await asyncio.create_subprocess_exec(*words)
    try:
        pin(process.pid, 0)
        async with asyncio.timeout(START_SECONDS):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield port
    finally:
        process.terminate()
        await process.wait()


if __name__ == "__main__":
    uvicorn.run(
        app(sys.argv[2]),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
