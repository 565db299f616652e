"""Serving: the listening socket, uvicorn's settings, and the life of the web process."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from seatmap import open_files
from seatmap.config import Settings
from seatmap.errors import Unusable
from seatmap.web.drain import drain
from seatmap.web.entrance import Entrance
from seatmap.web.handover import FanoutProtocol, HttpProtocol
from seatmap.web.screens import DirectScreen

UNSENT_LOW_WATER_BYTES = 16 * 1024
DEAD_PEER_MS = 20_000
BEAT_SECONDS = 1.0

log = logging.getLogger(__name__)


async def serve(settings: Settings, beat: int = -1) -> None:
    """Serve until SIGINT or SIGTERM, from the moment that Postgres answers; until then, say that it does not.

    `beat` is a pipe to a parent with further such processes on the same port: it hears each second that this one
    is well. Raises Unusable if the address cannot be had.
    """
    if (files := open_files.raise_limit()) < open_files.ENOUGH:
        log.warning(
            "this process may open %d files only, and each screen is one: see `seatmap doctor`", files
        )
    listener = listen(settings.host, settings.port, shared=beat >= 0)
    if beat >= 0:
        _beat(beat)
    entrance = Entrance(settings)
    opening = asyncio.ensure_future(entrance.run())
    first_answer = asyncio.ensure_future(entrance.answers.wait())
    await asyncio.wait({opening, first_answer}, return_when=asyncio.FIRST_COMPLETED)
    first_answer.cancel()
    server = _Server(settings, entrance)
    host, port = listener.getsockname()[:2]
    log.info("serving on http://%s:%s", f"[{host}]" if ":" in host else host, port)
    _calm_the_collector()
    # What could not be opened for another reason than a store that is away ends the process.
    opening.add_done_callback(lambda _: setattr(server, "should_exit", True))
    if not opening.done():
        await server.serve(sockets=[listener])
    entrance.close()
    await opening


def _beat(pipe: int) -> None:
    """Say that the event loop runs, now and each second."""
    loop = asyncio.get_running_loop()

    def beat() -> None:
        with suppress(OSError):  # a parent that is gone or does not read
            os.write(pipe, b".")
        loop.call_later(BEAT_SECONDS, beat)

    os.set_blocking(pipe, False)
    beat()


class _Server(uvicorn.Server):
    """uvicorn's own, which would end the process by the signal again before the application is closed.

    It also would close all websockets in one moment, whose pages would come back in the next.
    """

    def __init__(self, settings: Settings, app: ASGIApp) -> None:
        super().__init__(_config(settings, app))
        self._reconnect_ms = settings.reconnect_ms

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for sign in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(sign, self.handle_exit, sign, None)
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        connections = self.server_state.connections
        await drain([one for one in connections if isinstance(one, DirectScreen)], self._reconnect_ms)
        await super().shutdown(sockets)


def _config(settings: Settings, app: ASGIApp) -> uvicorn.Config:
    # One line per connection would be most of the log.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        ws=FanoutProtocol,
        ws_per_message_deflate=False,
        ws_ping_interval=None,  # the hub's heartbeat is one for all
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_graceful_shutdown=5,
    )


def _calm_the_collector() -> None:
    """Keep what lives for ever out of every collection, and collect less often.

    Measured: with Python's defaults the slowest hundredth of bookings took 122 ms, with these 50 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """The listening socket. Raises Unusable if the address cannot be had."""
    listener = bind(host, port, shared=shared)
    listener.listen(4096)
    listener.setblocking(False)
    return listener


def bind(host: str, port: int, *, shared: bool) -> socket.socket:
    """A socket that has the address, `shared` with others; what is set on it holds for what it accepts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if sys.platform == "linux":
        # Without these a screen that does not read hides megabytes in the kernel and looks healthy.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LOW_WATER_BYTES)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Unusable(
            f"Cannot listen on {host} port {port}: {error.strerror}. Set HOST or PORT to another one."
        ) from None
    return listener


def run(settings: Settings, beat: int = -1) -> None:
    """The web process, from its start to its end; see `serve`."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, beat))
