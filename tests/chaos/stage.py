"""The real processes of a run: two stores, a proxy on every way to them, two webs, two workers.

Everything is started here and ended here, each by its own pid; the kernel ends them should we be killed.
"""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from seatmap import config, migrate
from seatmap.config import Settings
from seatmap.embedded.locate import Places
from seatmap.embedded.postgres import Postgres
from seatmap.embedded.privileges import child_setup
from seatmap.embedded.server import Server
from seatmap.embedded.valkey import Valkey

WEBS, WORKERS = ("web1", "web2"), ("worker1", "worker2")
STORES = ("redis", "postgres")
READY_SECONDS = 60.0
AGAIN_SECONDS = 0.1

# Short, so that nothing waits: a hold, an undecided order and a claim all run out within a run.
SETTINGS = {
    "SEATMAP_HOLD_SECONDS": "6",
    "SEATMAP_EXTEND_SECONDS": "3",
    "SEATMAP_GRACE_MS": "500",
    "SEATMAP_PAY_SECONDS": "10",
    "SEATMAP_COMMAND_TIMEOUT_MS": "1000",
    "SEATMAP_LEDGER_TIMEOUT_MS": "1500",
    "SEATMAP_RESOLVE_AFTER_MS": "2500",
    "SEATMAP_RECONCILE_MS": "3000",  # long enough for what is wrong to be met before it is mended
    "SEATMAP_HEAD_CHECK_MS": "500",
    "SEATMAP_HEARTBEAT_MS": "1000",
    "SEATMAP_RECONNECT_MS": "300",
    "SEATMAP_DEMO": "false",
}


class ShimmedValkey(Valkey):
    """Valkey whose clock can be pushed, through a library that is loaded before libc."""

    def __init__(self, places: Places, shim: Path | None, clock: Path) -> None:
        super().__init__(places)
        self._shim = shim
        self._clock = clock

    def launch(self, command: list[str]) -> None:
        if self._shim is not None:
            command = ["/usr/bin/env", f"LD_PRELOAD={self._shim}", f"CLK_FILE={self._clock}", *command]
        super().launch(command)


class Service:
    """A process of Seatmap, started again whenever it ends, until it is to end."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.extra: dict[str, str] = {}  # for its next lives: failpoints
        self.lives = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._log = folder / f"{name}.log"
        self._environment = environment
        self._words = ["web" if name in WEBS else "worker"]

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        self.lives += 1
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "seatmap", *self._words],
                env=self._environment | self.extra,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=child_setup(signal.SIGKILL),
            )

    def signal(self, sign: signal.Signals) -> None:
        if self.running and self.process is not None:
            self.process.send_signal(sign)

    def end(self) -> None:
        """Ended when this returns."""
        if self.process is None:
            return
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Stage:
    """All of them, in one folder."""

    def __init__(self, folder: Path, shim: Path | None) -> None:
        self.folder = folder
        self.places = Places.of(folder / "data")
        self.clock = self.places.data / "clock"
        self.valkey = ShimmedValkey(self.places, shim, self.clock)
        self.postgres = Postgres(self.places, durable=True)
        self.services: dict[str, Service] = {}
        self.ports: list[int] = []
        self.proxy: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def settings(self) -> Settings:
        """To reach the stores directly, past every proxy; else those of the processes: a rebuild hands them on."""
        own = {
            "REDIS_URL": self.places.redis_url,
            "DATABASE_URL": self.places.database_url,
            "SEATMAP_DATA": str(self.places.data),
        }
        return config.load(SETTINGS | own)

    async def start(self) -> None:
        """Stores, schema, proxies; webs and workers, until they serve."""
        self.places.data.mkdir(mode=0o711, parents=True)
        self.clock.write_bytes(bytes(8))
        for store in (self.valkey, self.postgres):
            store.spawn()
        for store in (self.valkey, self.postgres):
            await ready(store)
        await asyncio.to_thread(migrate.apply, self.places.database_url)
        links = await self._start_proxy()
        self.ports = [_free_port() for _ in WEBS]
        for name in (*WEBS, *WORKERS):
            environment = _clean_environment() | SETTINGS | {"SEATMAP_DATA": str(self.places.data)}
            environment["REDIS_URL"] = f"redis://127.0.0.1:{links[f'{name}-redis']}"
            at = f"127.0.0.1:{links[f'{name}-postgres']}"
            environment["DATABASE_URL"] = f"postgresql://postgres@{at}/seatmap?sslmode=disable"
            if name in WEBS:
                environment["PORT"] = str(self.ports[WEBS.index(name)])
            self.services[name] = Service(name, self.folder, environment)
            self.services[name].start()
        self._keeping = asyncio.create_task(self._keep())
        for name in WEBS:
            await self.serving(name)

    async def serving(self, name: str, seconds: float = READY_SECONDS) -> None:
        """Returns when a web accepts connections."""
        port = self.ports[WEBS.index(name)]
        async with asyncio.timeout(seconds):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                except OSError:
                    await asyncio.sleep(0.05)

    def link(self, name: str, mode: str, **how: Any) -> None:
        """Set the mode of a process's way to a store, named like web1-redis."""
        assert self.proxy is not None
        assert self.proxy.stdin is not None
        self.proxy.stdin.write(json.dumps({"link": name, "mode": mode, **how}).encode() + b"\n")

    async def stop(self) -> None:
        """End everything, each by its pid."""
        if self._keeping is not None:
            self._keeping.cancel()
        for service in self.services.values():
            await asyncio.to_thread(service.end)
        if self.proxy is not None:
            assert self.proxy.stdin is not None
            self.proxy.stdin.close()
            try:
                await asyncio.wait_for(self.proxy.wait(), 5)
            except TimeoutError:
                self.proxy.kill()
                await self.proxy.wait()
        for store in (self.valkey, self.postgres):
            if store.process is not None:
                store.process.send_signal(signal.SIGCONT)
            store.ask_to_stop()
        for store in (self.valkey, self.postgres):
            await asyncio.to_thread(store.wait_stopped)

    async def _start_proxy(self) -> dict[str, int]:
        sockets = {"redis": self.places.valkey_socket, "postgres": self.places.postgres_socket}
        links = {f"{name}-{store}": str(sockets[store]) for name in (*WEBS, *WORKERS) for store in STORES}
        with (self.folder / "proxy.log").open("ab") as log:
            self.proxy = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.chaos.proxy"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self.proxy.stdin is not None
        assert self.proxy.stdout is not None
        self.proxy.stdin.write(json.dumps({"links": links}).encode() + b"\n")
        ports: dict[str, int] = msgspec.json.decode(await self.proxy.stdout.readline())
        return ports

    async def _keep(self) -> None:
        """Start again what has ended."""
        while True:
            for service in self.services.values():
                if not service.running:
                    service.start()
            await asyncio.sleep(AGAIN_SECONDS)


async def ready(store: Server) -> None:
    """Returns when a store takes commands; it may take a second life for that."""
    async with asyncio.timeout(READY_SECONDS):
        while not store.ready():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _free_port() -> int:
    """One that no outgoing connection is given, or a client could meet itself where a web has died."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _clean_environment() -> dict[str, str]:
    ours = ("REDIS_URL", "DATABASE_URL", "HOST", "PORT")
    return {
        name: value for name, value in os.environ.items() if not (name in ours or name.startswith("SEATMAP_"))
    }
