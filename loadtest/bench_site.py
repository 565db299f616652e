"""A Seatmap of a bench's own: a fresh data folder, a free port, each process on the core it was given."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener
from uuid import uuid4

import msgspec
from msgspec import Struct

from loadtest.machine import cpu_seconds, pin
from seatmap import config
from seatmap.config import Settings
from seatmap.embedded import attach
from seatmap.ledger import api_keys, events, seats, users
from seatmap.ledger.events import NewEvent, Price
from seatmap.ledger.pool import connection, open_pool
from seatmap.model import Plan, Role
from seatmap.plan.public import storable

START_SECONDS = 60.0
PRICE = 2500  # of every seat of an event that a bench makes, in cents
ENOUGH = 1_000_000  # seats per visitor: no limit

# A bench is one address with few visitors, each of whom asks for a thousand.
NO_LIMITS = {
    f"SEATMAP_{name}": "1000000"
    for name in (
        "SOCKET_MESSAGES_PER_S",
        "VISITOR_REQUESTS_PER_S",
        "ADDRESS_REQUESTS_PER_S",
        "VISITOR_CONNECTIONS",
        "ADDRESS_CONNECTIONS",
    )
}

_open = build_opener(ProxyHandler({})).open


class Site(Struct, frozen=True):
    """A running `seatmap up`. `pids` are those of web, worker, valkey and postgres."""

    url: str
    settings: Settings
    pids: dict[str, int]

    def cpu(self) -> dict[str, float]:
        """Seconds of processor that each part has used so far."""
        return {name: cpu_seconds(pid) for name, pid in self.pids.items()}


def where(bench: str) -> str:
    """How the processes of a bench are placed, in words."""
    if bench == "start":
        return "no process is kept on a core"
    if len(os.sched_getaffinity(0)) < 2:
        return "one core for everything"
    return "web on core 0; client, Valkey, Postgres and worker on core 1"


@contextmanager
def folder() -> Iterator[Path]:
    """A data folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="seatmap-bench-", ignore_cleanup_errors=True) as found:
        yield Path(found) / "data"


@contextmanager
def running(data: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """`seatmap up` on a data folder, not waited for; stopped at the end."""
    ours = ("REDIS_URL", "DATABASE_URL", "HOST", "PORT")
    clean = {
        name: value
        for name, value in os.environ.items()
        if name in config.OTHER_VARIABLES or not (name in ours or name.startswith("SEATMAP_"))
    }
    settings = {"SEATMAP_DATA": str(data), "SEATMAP_LOG_LEVEL": "warning"}
    with subprocess.Popen(
        [sys.executable, "-m", "seatmap", "up"],
        env=clean | settings | environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def site(data: Path, *, demo: bool = False) -> Iterator[Site]:
    """A whole site that serves, pinned as `where` says."""
    with running(data, PORT="0", SEATMAP_DEMO=str(demo).lower(), **NO_LIMITS) as process:
        state = _state(data, process)
        _place(state["pids"])
        settings = attach(config.load({"SEATMAP_DATA": str(data)}))
        yield Site(state["url"], settings, state["pids"])


def free_port() -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(address: str, timeout: float = 30.0) -> Any:
    """What a GET answers, from JSON; None where the site does not answer with 200."""
    with suppress(URLError, OSError, msgspec.DecodeError), _open(address, timeout=timeout) as response:
        return msgspec.json.decode(response.read())
    return None


def _state(data: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with suppress(FileNotFoundError):
            state: dict[str, Any] = msgspec.json.decode((data / "up.json").read_bytes())
            return state
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"`seatmap up` does not serve on {data}.")
        time.sleep(0.02)


def _place(pids: dict[str, int]) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return
    os.sched_setaffinity(0, {cores[1]})
    for name, pid in pids.items():
        pin(pid, cores[0] if name == "web" else cores[1])


@asynccontextmanager
async def opened(site: Site, plan: Plan) -> AsyncIterator[int]:
    """An event on a plan, on sale and served, in which nobody meets a limit; its id."""
    pool = await open_pool(site.settings, size=1)
    try:
        async with connection(pool) as conn, conn.transaction():
            event_id = await events.create_from_plan(
                conn, new_event(plan), plan.name, storable(plan), len(plan.seats)
            )
            await seats.generate(conn, event_id, plan.seats, await seats.categories(conn, event_id))
            await events.publish_within(conn, event_id)
    finally:
        await pool.close()
    await served(site, event_id)
    yield event_id


def new_event(plan: Plan) -> NewEvent:
    """An event on the plan at one price."""
    return NewEvent(
        name="Bench",
        starts_at=datetime.now(UTC) + timedelta(days=30),
        currency="EUR",
        seats_per_visitor=ENOUGH,
        prices=tuple(Price(name=name, price=PRICE) for name in plan.categories),
    )


async def served(site: Site, event_id: int) -> None:
    """Wait until the event's map can be had."""
    async with asyncio.timeout(START_SECONDS):
        address = f"{site.url}/api/events/{event_id}/seats?compact=1"
        while True:
            if await asyncio.to_thread(get, address) is not None:
                return
            await asyncio.sleep(0.02)


async def viewers_key(site: Site) -> str:
    """An API key that may look."""
    return await staff_key(site, Role.viewer)


async def staff_key(site: Site, role: Role) -> str:
    """An API key that may what the role may."""
    pool = await open_pool(site.settings, size=1)
    try:
        async with connection(pool) as conn, conn.transaction():
            account = await users.ensure(conn, f"{uuid4().hex}@example.org")
            user = await users.set_role(conn, account.user.id, role)
        return (await api_keys.create(pool, "bench", frozenset(api_keys.SCOPES), user))[0]
    finally:
        await pool.close()
