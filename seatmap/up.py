"""`seatmap up`: the one parent of everything. Servers, schema, demo, web and worker, in this order.

A child that dies is started again, at first at once and then ever less often. Children and servers are in
sessions of their own, so that Ctrl-C reaches this process alone, which stops them in order; should it be
killed, the kernel tells them (see `embedded.privileges.child_setup`).
"""

import asyncio
import contextlib
import importlib.util
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich.console import Console

from seatmap import migrate, open_files
from seatmap.children import FIRST_PAUSE, LONGEST_PAUSE, Child
from seatmap.config import Settings
from seatmap.embedded import Embedded
from seatmap.embedded.server import Server
from seatmap.errors import Unusable

console = Console(stderr=True, highlight=False)


def run(settings: Settings) -> None:
    """Start everything and stay until Ctrl-C or SIGTERM."""
    settings = msgspec.structs.replace(settings, data=settings.data.absolute(), port=_free_port(settings))
    open_files.raise_limit()
    # Until the event loop takes the signals over they must unwind the `with`, which stops the servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    servers = Embedded(settings.data, redis=not settings.redis_url, postgres=not settings.database_url)
    with contextlib.suppress(KeyboardInterrupt), servers:
        settings = msgspec.structs.replace(
            settings,
            redis_url=settings.redis_url or servers.redis_url,
            database_url=settings.database_url or servers.database_url,
        )
        migrate.apply(settings.database_url)
        asyncio.run(Parent(settings, servers).run())


class Parent:
    """Looks after the children and the servers until it is told to stop."""

    def __init__(self, settings: Settings, servers: Embedded) -> None:
        self.settings = settings
        self.servers = servers
        self.stopping = asyncio.Event()
        self.children = [Child(name, settings, self.stopping, self.tell_state) for name in ("web", "worker")]
        self.url = f"http://{_reachable(settings.host)}:{settings.port}"
        self._serving = False

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sign, self.stopping.set)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
            loop.add_signal_handler(signal.SIGHUP, self.stopping.set)
        try:
            async with asyncio.TaskGroup() as group:
                for child in self.children:
                    group.create_task(child.keep())
                for server in self.servers.servers.values():
                    group.create_task(self._keep_server(server))
                group.create_task(self._welcome())
        finally:
            self._state_file.unlink(missing_ok=True)

    async def _welcome(self) -> None:
        """Say where the map is, once it can be seen and has something on it."""
        demo = asyncio.create_task(self._make_demo())
        while not await _healthy(_reachable(self.settings.host), self.settings.port):
            if await self._stopped_within(0.03):
                demo.cancel()
                return
        self._serving = True
        self.tell_state()
        stopping = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({demo, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not demo.done():
            demo.cancel()
            return
        if error := demo.exception():
            console.print(f"The demo was not made: {error}", style="yellow", markup=False)
        self._print_banner()

    async def _make_demo(self) -> None:
        if not self.settings.demo or importlib.util.find_spec("seatmap.demo") is None:
            return
        from seatmap import demo  # late: it draws in most of the package, and web is faster without

        await demo.make(self.settings)

    async def _keep_server(self, server: Server) -> None:
        """Web and worker reconnect by themselves, to the same socket, once it is back."""
        pause = FIRST_PAUSE
        while not await self._stopped_within(0.1):
            if server.running:
                continue
            console.print(f"{server.name} ended; starting it again.", style="yellow")
            try:
                server.spawn()
                while not server.ready():
                    if await self._stopped_within(0.02):
                        return
                pause = FIRST_PAUSE
                self.tell_state()
            except Unusable as error:
                console.print(error.detail, style="red", markup=False)
                await self._stopped_within(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)
        return self.stopping.is_set()

    def tell_state(self) -> None:
        """Write up.json, for tests and tools: where this is and which processes belong to it."""
        if not self._serving:
            return
        pids = {child.name: child.pid for child in self.children if child.pid} | self.servers.pids
        state = {"url": self.url, "pid": os.getpid(), "pids": pids}
        half = self._state_file.with_suffix(".new")
        half.write_bytes(msgspec.json.encode(state))
        half.replace(self._state_file)

    @property
    def _state_file(self) -> Path:
        return self.settings.data / "up.json"

    def _print_banner(self) -> None:
        started = ", ".join(server.name for server in self.servers.servers.values())
        console.print(f"\n[bold]Seatmap is running[/]   [bold cyan]{self.url}[/]")
        if started:
            console.print(f"{started} and their data are in {self.settings.data}", style="dim", markup=False)
        console.print("Ctrl-C stops everything; nothing booked is lost.\n", style="dim")


def _free_port(settings: Settings) -> int:
    """The port to use, after a look whether it can be had; 0 stands for any that is free."""
    with _address_problems(settings):
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])


@contextlib.contextmanager
def _address_problems(settings: Settings) -> Iterator[None]:
    where = f"{settings.host}:{settings.port}"
    try:
        yield
    except socket.gaierror as error:
        raise Unusable(f"HOST={settings.host!r} is no address of this machine: {error.strerror}.") from None
    except PermissionError:
        raise Unusable(f"This user may not listen on {where}: set PORT to one above 1023.") from None
    except OSError as error:
        raise Unusable(
            f"Cannot listen on {where} ({error.strerror}): stop what uses it, or set PORT to another port."
        ) from None


def _reachable(host: str) -> str:
    """Where a browser on this machine finds what listens on `host`."""
    if host in ("", "0.0.0.0"):
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host


async def _healthy(host: str, port: int) -> bool:
    """Whether web answers GET /healthz with 200."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(host.strip("[]"), port)
            try:
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b" 200" in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
