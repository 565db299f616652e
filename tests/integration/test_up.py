"""The parent: it starts what is missing, restarts what dies, and leaves nothing behind. The children are stubs."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seatmap import up
from seatmap.config import Settings
from seatmap.errors import Unusable

# Answers every request as web would /healthz; what it is called with is what `up` gives its children.
STUB = """
import os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["DATABASE_URL"].encode())
    def log_message(self, *args): pass
if sys.argv[1] == "worker":
    time.sleep(60)
HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
PARENT = """
import sys
from pathlib import Path
from seatmap import up
from seatmap.config import Settings
real = up.Child.__init__
def stubbed(self, *args):
    real(self, *args)
    self.command = [sys.executable, "-c", sys.argv[2], self.name]
up.Child.__init__ = stubbed
up.run(Settings(data=Path(sys.argv[1]), port=0, demo=False))
"""


@pytest.fixture
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="seatmap test ") as folder:
        yield Path(folder) / "data"


@pytest.fixture
def parent(data: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", PARENT, str(data), STUB]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        yield process
        process.kill()


def eventually(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 20
    while not (result := what()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


def state(data: Path) -> dict[str, Any]:
    try:
        return json.loads((data / "up.json").read_bytes())
    except FileNotFoundError:
        return {}


def gone(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def test_it_says_where_it_is_and_stops_everything_when_asked(
    data: Path, parent: subprocess.Popen[bytes]
) -> None:
    told = eventually(lambda: state(data))
    assert told["pid"] == parent.pid
    assert set(told["pids"]) == {"web", "worker", "valkey", "postgres"}
    assert f"host={data}".replace(" ", "%20") in fetch(told["url"])
    parent.send_signal(signal.SIGINT)
    parent.send_signal(signal.SIGINT)
    _, said = parent.communicate(timeout=20)
    assert parent.returncode == 0
    assert told["url"] in said.decode()
    assert "Traceback" not in said.decode()
    assert all(gone(pid) for pid in told["pids"].values())
    assert not state(data)


def test_whatever_dies_is_started_again(data: Path, parent: subprocess.Popen[bytes]) -> None:
    before = eventually(lambda: state(data))["pids"]
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)

    def all_new() -> bool:
        now = state(data)["pids"]
        return set(now) == set(before) and set(now.values()).isdisjoint(before.values())

    assert eventually(all_new)
    assert eventually(lambda: up_again(state(data)["url"]))
    parent.terminate()
    parent.communicate(timeout=20)
    assert parent.returncode == 0


def up_again(url: str) -> bool:
    try:
        return bool(fetch(url))
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent is gone")
def test_nothing_outlives_a_parent_that_is_killed(data: Path, parent: subprocess.Popen[bytes]) -> None:
    told = eventually(lambda: state(data))
    parent.kill()
    assert eventually(lambda: all(gone(pid) for pid in told["pids"].values()))


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unusable, match=f"Cannot listen on 127.0.0.1:{port}.*set PORT to another port"):
            up.run(Settings(data=tmp_path / "data", port=port))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("venue", "venue")]
)
def test_the_address_shown_is_one_that_a_browser_can_open(host: str, shown: str) -> None:
    assert up._reachable(host) == shown
