"""The product as a user starts it: `seatmap up` in a folder of its own, on a free port."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

START_SECONDS = 60.0


class Product:
    """A running `seatmap up`."""

    def __init__(self, data: Path) -> None:
        self.data = data
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once the demo can be seen."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SEATMAP_")}
        kept = {"SEATMAP_VALKEY_SERVER", "SEATMAP_PG_BIN"} & os.environ.keys()
        environ |= {name: os.environ[name] for name in kept}
        environ |= {"PORT": str(self.port), "SEATMAP_DATA": str(self.data), "SEATMAP_RECONNECT_MS": "200"}
        self.data.mkdir(exist_ok=True)
        with (self.data / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "seatmap", "up"], env=environ, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if len(self.events()) == 2:
                return
            time.sleep(0.05)
        raise AssertionError(f"the product did not start:\n{(self.data / 'up.log').read_text()[-3000:]}")

    def stop(self) -> None:
        """As Ctrl-C does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        assert self._process.wait(30) == 0

    def kill(self) -> None:
        """kill -9 of everything at once: parent, children and servers."""
        assert self._process is not None
        state = json.loads((self.data / "up.json").read_text())
        for pid in [self._process.pid, *state["pids"].values()]:
            os.kill(pid, signal.SIGKILL)
        self._process.wait(30)

    def events(self) -> list[dict[str, Any]]:
        """The events with a map, as the API lists them; none while it does not answer."""
        try:
            return [event for event in self.get("/api/events")["events"] if event["counts"]]
        except (urllib.error.URLError, OSError):
            return []

    def get(self, path: str) -> Any:
        """A JSON answer."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)
