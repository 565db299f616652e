"""Real Valkey and real Postgres from wheels, for development and small venues.

    with Embedded(Path("data")) as servers:
        servers.redis_url, servers.database_url

They listen on unix sockets only, live in one data folder, end with the process that started them however it
ends, and lose nothing that was acknowledged when they or their machine's processes are killed.
"""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from seatmap.config import Settings
from seatmap.embedded.locate import Places
from seatmap.embedded.postgres import Postgres
from seatmap.embedded.server import Server, answers
from seatmap.embedded.valkey import Valkey
from seatmap.errors import Unusable

__all__ = ["Embedded", "attach"]


class Embedded:
    """Both servers, or one of them, on a data folder that nobody else uses meanwhile.

    `durable=False` is for tests: it spares the disk, so a power cut may lose everything.
    """

    def __init__(
        self, data: Path, *, redis: bool = True, postgres: bool = True, durable: bool = True
    ) -> None:
        self.data = data.absolute()
        self.durable = durable
        self.servers: dict[str, Server] = {}
        self._wanted = {"valkey": redis, "postgres": postgres}
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def places(self) -> Places:
        return Places.of(self.data)

    @property
    def redis_url(self) -> str:
        return self.places.redis_url

    @property
    def database_url(self) -> str:
        return self.places.database_url

    @property
    def pids(self) -> dict[str, int]:
        """Of the servers that run, by name."""
        return {name: server.pid for name, server in self.servers.items() if server.pid}

    def start(self) -> None:
        """Start both side by side and wait for them; from the main thread (see `child_setup`)."""
        try:
            self._make_folder()
            self._take_lock()
            self._make_short_folder()
            if self._wanted["valkey"]:
                self.servers["valkey"] = Valkey(self.places)
            if self._wanted["postgres"]:
                self.servers["postgres"] = Postgres(self.places, durable=self.durable)
            for server in self.servers.values():
                server.spawn()
            for server in self.servers.values():
                server.wait_ready()
        except BaseException:
            self.stop()
            raise

    def revive(self) -> None:
        """Start those again that have ended."""
        for server in self.servers.values():
            if not server.running:
                server.spawn()
                server.wait_ready()

    def stop(self) -> None:
        with _signals_ignored():
            for server in self.servers.values():
                server.ask_to_stop()
            for server in self.servers.values():
                server.wait_stopped()
            self.servers.clear()
            if self._lock is not None:
                self._remove_short_folder()
                self._lock.close()
                self._lock = None

    def _make_folder(self) -> None:
        try:
            # Root's servers run as somebody else, who has to pass through.
            self.data.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unusable(
                f"The data folder {self.data} cannot be made ({error.strerror}): "
                "set SEATMAP_DATA to a folder that this user may write to."
            ) from None

    def _take_lock(self) -> None:
        try:
            lock = (self.data / "lock").open("a+")
        except OSError as error:
            raise Unusable(
                f"The data folder {self.data} cannot be used ({error.strerror}): "
                "set SEATMAP_DATA to a folder that this user may write to."
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            pid = lock.read().strip() or "unknown"
            lock.close()
            raise Unusable(
                f"{self.data} is in use by another Seatmap (process {pid}): stop that one, "
                "or set SEATMAP_DATA to another folder."
            ) from None
        if os.geteuid() == 0:  # the folder's owner may want to start it next time
            owner = self.data.stat()
            os.chown(lock.fileno(), owner.st_uid, owner.st_gid)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _make_short_folder(self) -> None:
        short = self.places.short
        if short is None:
            return
        short.mkdir(mode=0o711, exist_ok=True)
        if short.is_symlink() or short.lstat().st_uid not in (os.geteuid(), self.data.stat().st_uid):
            raise Unusable(
                f"{short} belongs to somebody else: set SEATMAP_DATA to a folder with a shorter path."
            )

    def _remove_short_folder(self) -> None:
        places = self.places
        if places.short is None:
            return
        for folder in (places.valkey_sockets, places.postgres_sockets, places.short):
            try:
                folder.rmdir()
            except OSError:  # not made, or not empty because a server was killed: the next start clears it
                return


def attach(settings: Settings) -> Settings:
    """`settings`, with the addresses of the servers that a running `up` has on the same data folder."""
    places = Places.of(settings.data)
    redis_url, database_url = settings.redis_url, settings.database_url
    if not redis_url and answers(places.valkey_socket, b"PING\r\n", b"+PONG"):
        redis_url = places.redis_url
    if not database_url and answers(places.postgres_socket):
        database_url = places.database_url
    if not (redis_url and database_url):
        raise Unusable(
            f"Nothing is running on {settings.data}: start `seatmap up`, or set REDIS_URL and DATABASE_URL."
        )
    return msgspec.structs.replace(settings, redis_url=redis_url, database_url=database_url)


@contextmanager
def _signals_ignored() -> Iterator[None]:
    """A second Ctrl-C (runners forward one besides the terminal's own) must not break an orderly stop."""
    before = {}
    try:
        for sign in (signal.SIGINT, signal.SIGTERM):
            before[sign] = signal.signal(sign, signal.SIG_IGN)
    except ValueError:  # not in the main thread, where signals do not arrive anyway
        pass
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
