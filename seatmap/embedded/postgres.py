"""Postgres ≥ 15 on a unix socket."""

import os
import re
import shutil
import signal
import subprocess
import time
from functools import cached_property
from pathlib import Path

from seatmap.embedded.locate import DATABASE, Places, postgres_programs
from seatmap.embedded.privileges import child_setup, identity_for
from seatmap.embedded.server import ENVIRONMENT, Server, answers, stop_leftover
from seatmap.errors import Unusable


class Postgres(Server):
    name = "Postgres"
    setting = "DATABASE_URL"
    stop_signal = signal.SIGINT  # "fast": ends the sessions and writes a checkpoint
    last_signal = signal.SIGQUIT  # "immediate": as a crash, but with nothing left running

    def __init__(self, places: Places, *, durable: bool) -> None:
        super().__init__(places.postgres, places.data / "postgres.log", places.postgres_socket)
        self.pidfile = places.postgres / "postmaster.pid"
        self.durable = durable

    def spawn(self) -> None:
        self.identity = identity_for(self.folder, self.programs)
        if (self.folder / "PG_VERSION").exists():
            self._check_version()
        else:
            self._make_cluster()
        self.make_folder(self.socket.parent)
        self._clear_earlier_life()
        self._launch()

    def ready(self) -> bool:
        if not self.running and self._is_waiting_for_orphans():
            time.sleep(0.1)
            self._launch()
            return False
        self.raise_if_ended()
        try:
            lines = self.pidfile.read_text().splitlines()
        except OSError:
            return False
        mine = len(lines) >= 8 and lines[0] == str(self.pid)
        return mine and lines[7].strip() == "ready" and answers(self.socket)

    @cached_property
    def programs(self) -> Path:
        return postgres_programs()

    @cached_property
    def major(self) -> int:
        """Of the programs; of "postgres (PostgreSQL) 18.6"."""
        asked = [str(self.programs / "postgres"), "--version"]
        said = subprocess.run(asked, capture_output=True, text=True, env=ENVIRONMENT, check=True).stdout
        found = re.search(r"\d+", said)
        return int(found.group()) if found else 0

    def _launch(self) -> None:
        settings = {
            "listen_addresses": "",
            "port": "5432",
            "unix_socket_permissions": "0700",
            "max_connections": "100",
            "shared_buffers": "64MB",
            "logging_collector": "off",
            "log_min_messages": "warning",
            "fsync": "on" if self.durable else "off",
        }
        command = [str(self.programs / "postgres"), "-D", str(self.folder)]
        command += ["-k", str(self.socket.parent)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self.launch(command)

    def _make_cluster(self) -> None:
        """In a folder beside, then renamed: whoever is killed half-way leaves no half of a cluster."""
        new = self.folder.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        self.make_folder(new)
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-instructions", "--locale=C"]
        if self.major >= 17:  # the same order of letters on every system
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self.durable:
            options += ["--no-sync"]
        self._run(["initdb", "-D", str(new), *options], new)
        single = ["postgres", "--single", "-D", str(new), "-c", "log_min_messages=warning", "postgres"]
        self._run(single, new, f"CREATE DATABASE {DATABASE};\n")
        if not (new / "PG_VERSION").exists():
            raise Unusable(f"Postgres made nothing in {new}: see {self.log}.")
        new.rename(self.folder)

    def _run(self, command: list[str], folder: Path, text: str = "") -> None:
        done = subprocess.run(
            [str(self.programs / command[0]), *command[1:]],
            input=text,
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            cwd=folder,
            preexec_fn=child_setup(signal.SIGKILL, self.identity),
            check=False,
        )
        if done.returncode or "ERROR:" in done.stderr:
            raise Unusable(
                f"Postgres could not be set up in {folder}: {command[0]} ended with {done.returncode}: "
                f"{(done.stderr or done.stdout).strip()}"
            )

    def _check_version(self) -> None:
        made_by = int((self.folder / "PG_VERSION").read_text())
        if made_by != self.major:
            raise Unusable(
                f"{self.folder} was made by Postgres {made_by}, but this is Postgres {self.major}: set "
                "SEATMAP_DATA to another folder, or SEATMAP_PG_BIN to the programs of that version."
            )

    def _is_waiting_for_orphans(self) -> bool:
        """After kill -9 of the server its children need a moment to notice; until then it must not start."""
        return any("pre-existing shared memory block" in line for line in self.said())

    def _clear_earlier_life(self) -> None:
        """Postgres refuses to start while *any* process has the pid in its pid file.

        It may be a zombie, or a stranger (containers reuse small pids). The lock on the data folder says that
        it is stale. Our own pid there makes Postgres take the file as stale, and keeps the id of the shared
        memory in it, by which Postgres still notices orphans; deleting the file would not.
        """
        try:
            lines = self.pidfile.read_text().splitlines(keepends=True)
            pid = int(lines[0])
        except (FileNotFoundError, ValueError, IndexError):
            return
        stop_leftover(pid, ("postgres", str(self.folder)), signal.SIGINT, signal.SIGQUIT)
        if self.pidfile.exists():
            with self.pidfile.open("r+") as f:  # in place: it keeps its owner
                f.write("".join([f"{os.getpid()}\n", *lines[1:]]))
                f.truncate()
        self.socket.with_name(self.socket.name + ".lock").unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
