"""Two web hosts, each with a network of its own (a network namespace), one Redis and one Postgres between them."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import redis
from running_site import clean_environment
from site_clients import Site, make_event, until

from seatmap.config import Settings
from seatmap.embedded.locate import valkey_server

HOSTS = (1, 2)
PORT, STORE_PORT = 8000, 6390
SECONDS = 60.0
NAME = f"sm{os.getpid()}"


def ip(*words: object) -> None:
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True)


def can_have_networks() -> bool:
    if os.geteuid() or not shutil.which("ip"):
        return False
    with suppress(subprocess.CalledProcessError):
        ip("netns", "add", f"{NAME}try")
        ip("netns", "del", f"{NAME}try")
        return True
    return False


pytestmark = pytest.mark.skipif(
    not can_have_networks(), reason="network namespaces need root, the program ip, and a kernel that lets us"
)


@contextmanager
def host(number: int) -> Iterator[str]:
    """A network namespace with two links to ours: people come by the first (10.213), the stores are at the second."""
    name = f"{NAME}h{number}"
    ip("netns", "add", name)
    try:
        for kind, net in (("p", 213), ("s", 214)):
            link = f"{NAME}{kind}{number}"[-15:]
            ip("link", "add", link, "type", "veth", "peer", "name", f"{kind}0", "netns", name)
            ip("addr", "add", f"10.{net}.{number}.1/30", "dev", link)
            ip("link", "set", link, "up")
            ip("-n", name, "addr", "add", f"10.{net}.{number}.2/30", "dev", f"{kind}0")
            ip("-n", name, "link", "set", f"{kind}0", "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        ip("netns", "del", name)


@contextmanager
def store(folder: Path) -> Iterator[None]:
    """A Valkey at our end of the hosts' second links."""
    addresses = [f"10.214.{number}.1" for number in HOSTS]
    words = ["--port", str(STORE_PORT), "--bind", *addresses, "--protected-mode", "no", "--save", ""]
    program = [str(valkey_server()), *words, "--dir", str(folder)]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL) as process:
        try:
            with redis.Redis(addresses[0], STORE_PORT) as client:
                deadline = time.monotonic() + SECONDS
                while True:
                    with suppress(redis.ConnectionError):
                        client.ping()
                        break
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
            yield
        finally:
            process.kill()


@contextmanager
def web(name: str, number: int, settings: Settings) -> Iterator[str]:
    """A web process on a host; its url."""
    environment = clean_environment() | {
        "REDIS_URL": f"redis://10.214.{number}.1:{STORE_PORT}",
        "DATABASE_URL": settings.database_url,
        "HOST": f"10.213.{number}.2",
        "PORT": str(PORT),
    }
    command = ["ip", "netns", "exec", name, sys.executable, "-m", "seatmap", "web"]
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        try:
            yield f"http://10.213.{number}.2:{PORT}"
        finally:
            process.kill()


async def served(site: Site) -> None:
    async def answers() -> bool:
        with suppress(Exception):
            return (await site.visitor().http.get("/readyz")).status_code == 200
        return False

    deadline = time.monotonic() + SECONDS
    while not await answers():
        assert time.monotonic() < deadline


async def test_two_hosts_show_the_same_map_and_one_that_was_cut_off_catches_up(
    settings: Settings, tmp_path: Path
) -> None:
    event = await make_event(settings, 40)
    with ExitStack() as stack:
        names = {number: stack.enter_context(host(number)) for number in HOSTS}
        stack.enter_context(store(tmp_path))
        sites = [Site(stack.enter_context(web(names[n], n, settings)), settings) for n in HOSTS]
        try:
            for site in sites:
                await served(site)
            ada, bob = [await site.page(event) for site in sites]
            await ada.ask("hold", seats=[1])
            await bob.shows(1, 1, SECONDS)
            await bob.ask("hold", seats=[2])
            await ada.shows(2, 1, SECONDS)
            ip("-n", names[1], "link", "set", "s0", "down")
            await until(lambda: ada.stale, SECONDS)
            await bob.ask("hold", seats=[3])
            await bob.shows(3, 1, SECONDS)
            assert ada.statuses[3] == 0
            ip("-n", names[1], "link", "set", "s0", "up")
            await ada.shows(3, 1, SECONDS)
            await until(lambda: not ada.stale, SECONDS)
            await ada.ask("hold", seats=[4])
            await bob.shows(4, 1, SECONDS)
        finally:
            for site in sites:
                await site.close()
