"""A cell of the matrix: an event in a database of its own, processes that serve it, a failpoint in one of them."""

import asyncio
import itertools
import os
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import httpx
from msgspec import Struct, structs

from seatmap.checkout.providers.test_card import TestCard
from seatmap.checkout.rebuild import open_event
from seatmap.checkout.stores import Stores, open_stores
from seatmap.config import Settings
from seatmap.embedded import Embedded
from seatmap.errors import Unavailable
from seatmap.model import Role
from tests.chaos.crash.people import Person
from tests.chaos.crash.processes import Process, Zygote
from tests.chaos.crash.show import make_show
from tests.integration.staff_world import bearer, make_key

SECRET = "a crash"
SLEEP_MS = 700  # longer than an order stays undecided before it is settled by others
PATIENCE_S = 60.0
ACTIONS = {"exit": "exit*1", "sleep": f"sleep({SLEEP_MS})*1", "raise": "raise*1"}
EVERYTHING_SOON = {
    "resolve_after_ms": 400,
    "reconcile_ms": 200,
    "head_check_ms": 100,
    "sweep_ms": 50,
    "seats_per_visitor": 10,
}

T = TypeVar("T")

_events = itertools.count(1000, 10)  # ids, so that no two cells share keys in Redis


class Seen(Struct):
    """What a cell came to: seconds from the hit to the last verdict, and to the stores' agreement."""

    settled_s: float = 0.0
    healed_s: float = 0.0
    orders: int = 0
    unknown: int = 0
    in_flight: int = 0  # statements that were under way in Postgres when their process died


class Bench(Struct, frozen=True):
    """What all cells share: the servers, and who starts processes."""

    servers: Embedded
    zygote: Zygote


class Cell:
    """See the module. `armed` is web or worker, `spec` what SEATMAP_FAILPOINTS says there."""

    def __init__(self, bench: Bench, point: str, action: str, armed: str, changes: dict[str, Any]) -> None:
        self.bench = bench
        self.point, self.action, self.armed = point, action, armed
        self.seen = Seen()
        self.told: dict[Any, str] = {}  # order id → booked, cancelled or the code of its refusal
        self.closed = False  # an admin was told that the event is cancelled
        self.at_the_hit: Callable[[Cell], Awaitable[None]] | None = None
        self.was_hit = asyncio.Event()
        self.hit_at = 0.0
        self._changes = changes
        self._turn = asyncio.Lock()
        self._processes: list[Process] = []
        self._running: dict[str, Process] = {}
        self._stack = AsyncExitStack()
        self.people: list[Person] = []

    # ---- its beginning and its end ----

    async def __aenter__(self) -> "Cell":
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _open(self) -> None:
        servers = self.bench.servers
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="seatmap-cell-"))
        self.folder = Path(folder)
        name = f"cell_{uuid4().hex}"
        await as_admin(servers, f"CREATE DATABASE {name} TEMPLATE seatmap")
        self._stack.push_async_callback(as_admin, servers, f"DROP DATABASE {name} WITH (FORCE)")
        self.settings = Settings(
            redis_url=servers.redis_url,
            database_url=servers.database_url.replace("/seatmap?", f"/{name}?", 1),
            data=self.folder,
            port=free_port(),
            secret=SECRET,
            demo=False,
            **(EVERYTHING_SOON | self._changes),
        )
        self.url = f"http://127.0.0.1:{self.settings.port}"
        self.patient = structs.replace(self.settings, command_timeout_ms=10_000, ledger_timeout_ms=30_000)
        self.stores: Stores = await self._stack.enter_async_context(open_stores(self.patient, connections=4))
        self._hands = await asyncpg.connect(self.settings.database_url)
        self._stack.push_async_callback(self._hands.close)
        self._stack.push_async_callback(self._kill_all)
        self.event_id = await make_show(self._hands, next(_events))
        await open_event(self.stores, self.event_id)
        self.admin = self.person(bearer(await self._key()))
        self.card = TestCard(self.stores.pool, SECRET.encode())
        self._watching = self.spawn(self._watch())
        await self.start("web")

    async def _key(self) -> str:
        """An admin's; tried again where this process was so slow that Postgres gave its transaction up."""
        while True:
            try:
                secret, _ = await make_key(self.settings, Role.admin, f"{uuid4().hex}@example.org")
            except Unavailable:
                continue
            return secret

    async def _kill_all(self) -> None:
        for person in self.people:
            await person.close()
        for process in self._processes:
            await process.kill()

    # ---- its processes ----

    async def start(self, name: str) -> None:
        """A process; armed if it is the one that is to be, and was not yet hit."""
        spec = (
            f"{self.point}={ACTIONS[self.action]}" if name == self.armed and not self.was_hit.is_set() else ""
        )
        given = {
            field.encode_name: str(getattr(self.settings, field.name))
            for field in structs.fields(Settings)
            if field.default != getattr(self.settings, field.name)
        }
        environment = {"PATH": os.environ["PATH"], **given, "SEATMAP_FAILPOINTS": spec}
        log = self.folder / f"{len(self._processes)}-{name}.log"
        process = await self.bench.zygote.start(name, environment, log)
        self._processes.append(process)
        self._running[name] = process
        if name == "web":
            await self._healthy(process)

    async def _healthy(self, process: Process) -> None:
        async with httpx.AsyncClient() as http:
            while True:
                try:
                    if (await http.get(f"{self.url}/healthz")).status_code == 200:
                        return
                except httpx.TransportError:
                    if process.ended.done():
                        assert f"failpoint {self.point}:" in process.text(), (
                            f"web did not start:\n{process.text()}"
                        )
                        return
                await asyncio.sleep(0.02)

    async def start_worker(self) -> None:
        """If it is to be hit, alone: web does the same things by itself, only more slowly."""
        if "worker" not in self._running:
            if self.armed == "worker":
                self.pause_web()
            await self.start("worker")

    def pause_web(self) -> None:
        """Until the failpoint was reached."""
        os.kill(self._running["web"].pid, signal.SIGSTOP)

    async def _watch(self) -> None:
        """Wait for the failpoint to be reached; then be the parent that starts dead processes again."""
        process = await self._reached()
        self.hit_at = time.monotonic()
        if self.action == "exit":
            assert await process.ended == 137, process.text()
            self.seen.in_flight += await self._in_flight()
        self.was_hit.set()
        if self.armed == "worker":
            os.kill(self._running["web"].pid, signal.SIGCONT)
        if self.at_the_hit is not None:
            await self.at_the_hit(self)
        if self.action == "exit":
            await self.start(process.name)
        await self.start_worker()

    async def _reached(self) -> Process:
        while True:
            process = self._hit()
            if process is not None:
                return process
            await asyncio.sleep(0.01)

    def _hit(self) -> Process | None:
        process = self._running.get(self.armed)
        return process if process is not None and f"failpoint {self.point}:" in process.text() else None

    async def _in_flight(self) -> int:
        rows = await self.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(rows[0][0])

    async def healed(self) -> None:
        """Once the failpoint was hit, and whoever died is back. Fails if it is not reached."""
        done, _ = await asyncio.wait({self._watching}, timeout=PATIENCE_S)
        assert done, f"{self.point} was not reached; {self.logs()}"
        await self._watching

    def logs(self) -> str:
        """What all its processes said."""
        return "\n".join(f"--- {process.log.name}\n{process.text()}" for process in self._processes)

    # ---- what happens in it ----

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Something that goes on beside, and ends with the cell."""
        task = asyncio.create_task(work)
        self._stack.push_async_callback(ended, task)
        return task

    def person(self, headers: dict[str, str] | None = None) -> Person:
        person = Person(self, headers)
        self.people.append(person)
        return person

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[Any]:
        """A connection to Postgres without any of the product's time limits."""
        async with self._turn:
            yield self._hands

    async def sql(self, statement: str, *arguments: Any) -> list[Any]:
        async with self.alone() as conn:
            return list(await conn.fetch(statement, *arguments))

    @asynccontextmanager
    async def in_postgres(self) -> AsyncIterator[None]:
        """Where the failpoint is in the middle of a statement, that waits for a lock until the point is reached."""
        if not self.point.endswith(".in_postgres"):
            yield
            return
        conn = await asyncpg.connect(self.settings.database_url)
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute("SELECT FROM events WHERE id = $1 FOR UPDATE", self.event_id)

        async def let_go() -> None:
            await self.was_hit.wait()
            await transaction.rollback()

        letting_go = asyncio.create_task(let_go())
        try:
            yield
        finally:
            await ended(letting_go)
            await conn.close()


async def ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for it; what it raised is told by whoever waits for its result."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


async def as_admin(servers: Embedded, statement: str) -> None:
    conn = await asyncpg.connect(servers.database_url.replace("/seatmap?", "/postgres?", 1))
    try:
        await conn.execute(statement)
    finally:
        await conn.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
