"""What the two servers have in common: a process of ours, its log, and what an earlier life left behind."""

import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path

from seatmap.embedded.privileges import LINUX, MYSELF, child_setup
from seatmap.errors import Unusable

START_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.005

# The caller's locale and PG… variables are for its own servers.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class Server(ABC):
    """A server that this process started. `spawn`, then `ready` until it says yes; again after a death."""

    name: str
    setting: str  # what to set to use a server elsewhere instead
    stop_signal = signal.SIGTERM
    last_signal = signal.SIGKILL

    def __init__(self, folder: Path, log: Path, socket_path: Path) -> None:
        self.folder = folder
        self.log = log
        self.socket = socket_path
        self.identity = MYSELF
        self._said_from = 0  # where in the log this life begins
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def spawn(self) -> None:
        """Start the process; from the main thread only, see `child_setup`."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it takes commands. Raises `Unusable` when it has ended instead."""

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.running and self.process else None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if time.monotonic() > deadline:
                raise Unusable(f"{self.name} was not ready after {START_SECONDS:.0f} s: see {self.log}.")
            time.sleep(POLL_SECONDS)

    def ask_to_stop(self) -> None:
        if self.running and self.process:
            self.process.send_signal(self.stop_signal)

    def wait_stopped(self) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(self.last_signal)
            self.process.wait(STOP_SECONDS)
        self.process = None

    def make_folder(self, folder: Path) -> None:
        """One that belongs to the server alone."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self.identity.own(folder)

    def launch(self, command: list[str]) -> None:
        # Without the capability it could not enter a folder that is closed to it.
        may_enter = self.identity.uid is None or self.identity.capability is not None
        with self.log.open("ab") as log:
            self._said_from = log.tell()
            self.identity.own(self.log)
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder if may_enter else "/",
                env=ENVIRONMENT,
                start_new_session=True,  # Ctrl-C in the terminal is for the parent, which stops us in order
                preexec_fn=child_setup(self.stop_signal, self.identity),
            )

    def raise_if_ended(self) -> None:
        if not self.running:
            code = self.process.returncode if self.process else None
            last = " | ".join(self.said()[-4:])
            raise Unusable(
                f"{self.name} ended with {code} instead of starting: {last} (see {self.log}). "
                f"Mend that, or set {self.setting} to use another server."
            )

    def said(self) -> list[str]:
        """The lines of the log since the last launch, those of an earlier life's orphans among them."""
        try:
            with self.log.open("rb") as log:
                log.seek(self._said_from)
                return log.read().decode(errors="replace").splitlines()
        except OSError:
            return []


def answers(path: Path, say: bytes = b"", expect: bytes = b"") -> bool:
    """Whether something listens on the unix socket `path`, and, if asked, answers as expected."""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(1)
            s.connect(str(path))
            if not say:
                return True
            s.sendall(say)
            return s.recv(64).startswith(expect)
    except OSError:
        return False


def stop_leftover(pid: int, words: tuple[str, ...], ask: signal.Signals, force: signal.Signals) -> None:
    """End the process `pid` of an earlier life, if it is still the one whose command line has `words`."""
    for sign in (ask, force):
        if not _alive(pid, words):
            return
        os.kill(pid, sign)
        deadline = time.monotonic() + 10
        while _alive(pid, words) and time.monotonic() < deadline:
            time.sleep(0.01)


def _alive(pid: int, words: tuple[str, ...]) -> bool:
    line = _command_line(pid)
    return bool(line) and all(word in line for word in words)


def _command_line(pid: int) -> str:
    """The command line of a process that runs; empty if there is none, or it is a zombie."""
    if not LINUX:
        asked = ["ps", "-p", str(pid), "-o", "command="]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()  # empty for a zombie
    except OSError:
        return ""
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()
