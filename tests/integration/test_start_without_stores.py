"""A web or a worker that starts while a store is down: it waits, says so, and heals."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from checkout_world import until
from running_site import clean_environment
from site_clients import make_event

from seatmap.checkout.stores import open_stores
from seatmap.config import Settings
from seatmap.embedded import Embedded
from seatmap.errors import Recovering


@contextmanager
def process(settings: Settings, name: str, port: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """`seatmap NAME`, which has to end with 0 when it is told to; what a worker logs can be read."""
    errors = subprocess.PIPE if name == "worker" else None
    environment = clean_environment() | {
        "REDIS_URL": settings.redis_url,
        "DATABASE_URL": settings.database_url,
        "PORT": str(port),
    }
    with subprocess.Popen([sys.executable, "-m", "seatmap", name], env=environment, stderr=errors) as running:
        try:
            yield running
            assert running.poll() is None, f"{name} ended by itself"
            running.send_signal(signal.SIGTERM)
            assert running.wait(30) == 0
        finally:
            running.kill()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def stop(servers: Embedded, name: str) -> None:
    servers.servers[name].ask_to_stop()
    servers.servers[name].wait_stopped()


async def answers(http: httpx.AsyncClient, path: str, status: int) -> dict[str, object]:
    """What the path answers once its status is this one."""
    found: dict[str, object] = {}

    async def so() -> bool:
        try:
            answer = await http.get(path)
        except httpx.TransportError:
            return False
        found.update(answer.json())
        return answer.status_code == status

    await until(so)
    return found


@pytest.mark.parametrize("signalled", [False, True], ids=["healed", "stopped"])
async def test_a_web_waits_for_postgres(settings: Settings, servers: Embedded, signalled: bool) -> None:
    event = await make_event(settings)
    stop(servers, "postgres")
    port = free_port()
    with process(settings, "web", port):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            await answers(http, "/healthz", 200)
            assert (await answers(http, "/readyz", 503))["postgres"] == "away"
            problem = await answers(http, f"/api/events/{event}", 503)
            assert (problem["code"], problem["temporary"]) == ("unavailable", True)
            answer = await http.post(f"/api/events/{event}/hold", json={"seats": [1]})
            assert answer.status_code == 503
            if signalled:
                return
            servers.revive()
            await answers(http, "/readyz", 200)
            assert (await http.post(f"/api/events/{event}/hold", json={"seats": [1]})).status_code == 200


@pytest.mark.parametrize(("store", "said"), [("postgres", b"not working yet"), ("valkey", b"Redis is away")])
async def test_a_worker_waits_for_a_store(
    settings: Settings, servers: Embedded, store: str, said: bytes
) -> None:
    event = await make_event(settings)
    stop(servers, store)
    with process(settings, "worker") as worker:
        assert worker.stderr is not None
        while said not in await asyncio.to_thread(worker.stderr.readline):
            assert worker.poll() is None
        servers.revive()
        async with open_stores(settings, connections=2) as stores:

            async def opened() -> bool:
                try:
                    await stores.state.snapshot(event)
                except Recovering:
                    return False
                return True

            await until(opened)
