"""`start` and `snapshot`: how soon there is something to see, small and large."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from loadtest.bench_site import Site, free_port, get, new_event, running, served
from loadtest.client import Client
from loadtest.figures import Rounds
from seatmap.ledger import events, jobs
from seatmap.ledger.pool import connection, open_pool
from seatmap.ledger.tasks import GENERATE_SEATS, GenerateSeats
from seatmap.opening import import_plan
from seatmap.plan.demo import arena
from seatmap.plan.public import storable
from seatmap.protocol import SNAPSHOT

STARTS, OPENINGS, ARRIVALS = 7, 3, 10
SEATS = 100_000
PLANS = Path(__file__).resolve().parents[2] / "shared" / "plans"
CLIENT_SECONDS = 30.0


def start(data: Path, rounds: Rounds) -> None:
    """From `seatmap up` to the first 200 of /healthz; on an empty folder once, then on the same again."""
    for number in range(STARTS + 1):
        port = free_port()
        began = time.perf_counter()
        with running(data, PORT=str(port)) as process:
            first = _until(process, f"http://127.0.0.1:{port}/healthz") - began
            ready = _until(process, f"http://127.0.0.1:{port}/readyz") - began
            shown = _until(process, f"http://127.0.0.1:{port}/api/events/1") - began
        if number == 0:
            rounds.add("first_answer_empty_folder", first, "s")
            continue
        rounds.add("first_answer", first, "s", "≤ 3 s")
        rounds.add("ready", ready, "s")
        rounds.add("first_event", shown, "s")


def _until(process: subprocess.Popen[bytes], address: str) -> float:
    """When the address answers with 200."""
    while process.poll() is None:
        if get(address, 2.0) is not None:
            return time.perf_counter()
        time.sleep(0.01)
    raise SystemExit(f"`seatmap up` ended with {process.returncode}.")


async def snapshot(site: Site, rounds: Rounds) -> None:
    """A hall of 100,000 seats, from nothing to its map on a page; and the plan that was given, if it is there."""
    event_id = 0
    for _ in range(OPENINGS):
        event_id = await _open_hall(site, rounds)
    for _ in range(ARRIVALS):
        await _arrive(site, event_id, rounds)
    for plan in sorted(PLANS.glob("*.json")):
        await _import(site, plan, rounds)


async def _open_hall(site: Site, rounds: Rounds) -> int:
    """The worker makes the seats, as it does for people."""
    began = time.perf_counter()
    plan = arena(SEATS)
    body = storable(plan)
    rounds.add("hall_planned", time.perf_counter() - began, "s")
    pool = await open_pool(site.settings, size=1)
    async with connection(pool) as conn, conn.transaction():
        event_id = await events.create_from_plan(conn, new_event(plan), plan.name, body, SEATS)
        await jobs.enqueue(conn, GENERATE_SEATS, GenerateSeats(event_id), event_id)
    async with asyncio.timeout(60):
        while True:
            event = await events.get(pool, event_id)
            if event is not None and event.status == "published":
                break
            await asyncio.sleep(0.02)
    await pool.close()
    rounds.add("hall_published", time.perf_counter() - began, "s")
    await served(site, event_id)
    rounds.add("hall_served", time.perf_counter() - began, "s", "≤ 10 s")
    return event_id


async def _arrive(site: Site, event_id: int, rounds: Rounds) -> None:
    """A page comes: until it has the whole map."""
    arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def frame(payload: bytes) -> None:
        if payload[0] == SNAPSHOT and not arrived.done():
            arrived.set_result(payload)

    began = time.perf_counter()
    client = await Client.connect(site.url, event_id, frame)
    async with asyncio.timeout(CLIENT_SECONDS):
        payload = await arrived
    rounds.add("snapshot_bytes", len(payload), "bytes", "25 kB")
    rounds.add("connect_to_snapshot", (time.perf_counter() - began) * 1000, "ms")
    client.close()


async def _import(site: Site, plan: Path, rounds: Rounds) -> None:
    data = await asyncio.to_thread(plan.read_bytes)
    for _ in range(OPENINGS):
        began = time.perf_counter()
        await import_plan(site.settings, data, event_name="Bench", price=2500, currency="EUR")
        rounds.add("plan_imported_and_published", time.perf_counter() - began, "s")
    for _ in range(OPENINGS):
        began = time.perf_counter()
        command = [sys.executable, "-m", "seatmap", "import-plan", str(plan), "--event", "Bench", "--json"]
        environment = {"SEATMAP_DATA": str(site.settings.data), "PATH": ""}
        imported = await asyncio.create_subprocess_exec(*command, env=environment, stdout=subprocess.DEVNULL)
        if await imported.wait():
            raise SystemExit("`seatmap import-plan` failed.")
        rounds.add("import_plan_command", time.perf_counter() - began, "s", "≤ 2 s")
