"""The real web application on a free port, in this process; or a whole `seatmap up` in processes of its own."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette

from seatmap.config import Settings
from seatmap.web.app import open_app
from seatmap.web.handover import FanoutProtocol, HttpProtocol
from seatmap.web.serve import listen


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # they are the test runner's


@asynccontextmanager
async def running_site(settings: Settings) -> AsyncIterator[str]:
    """Serve `settings` until the block ends; the site's url."""
    async with open_app(settings) as app, served(app, settings.forwarded_allow_ips) as url:
        yield url


@asynccontextmanager
async def served(app: Starlette, forwarded_allow_ips: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve an application until the block ends; its url."""
    listener = listen("127.0.0.1", 0)
    server = _Server(
        uvicorn.Config(
            app,
            http=HttpProtocol,
            ws=FanoutProtocol,
            ws_per_message_deflate=False,
            ws_ping_interval=None,
            lifespan="off",
            log_config=None,
            access_log=False,
            forwarded_allow_ips=forwarded_allow_ips,
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@contextmanager
def running_up(data: Path, **environment: str) -> Iterator[dict[str, Any]]:
    """`seatmap up` on a data folder and a free port, with its demo; what it wrote into up.json."""
    with subprocess.Popen(
        [sys.executable, "-m", "seatmap", "up"],
        env=clean_environment() | {"SEATMAP_DATA": str(data), "PORT": "0"} | environment,
        start_new_session=True,
    ) as process:
        try:
            yield wait_for_state(data, process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def clean_environment() -> dict[str, str]:
    """The environment without anybody's settings, but with the choice of the servers' programs."""
    ours = ("REDIS_URL", "DATABASE_URL", "HOST", "PORT")
    chosen = ("SEATMAP_VALKEY_SERVER", "SEATMAP_PG_BIN")
    return {
        name: value
        for name, value in os.environ.items()
        if name in chosen or not (name in ours or name.startswith("SEATMAP_"))
    }


def state_of(data: Path) -> dict[str, Any] | None:
    """What `up` says about itself: url, pid, pids by name. None while it does not."""
    with contextlib.suppress(FileNotFoundError):
        state: dict[str, Any] = msgspec.json.decode((data / "up.json").read_bytes())
        return state
    return None


def wait_for_state(data: Path, process: subprocess.Popen[bytes], seconds: float = 60) -> dict[str, Any]:
    """The state, as soon as there is one."""
    deadline = time.monotonic() + seconds
    while (state := state_of(data)) is None:
        assert process.poll() is None, f"`seatmap up` ended with {process.returncode}"
        assert time.monotonic() < deadline, f"`seatmap up` does not serve after {seconds:g} s"
        time.sleep(0.05)
    return state
