"""Valkey (or Redis ≥ 7.0) on a unix socket, with its state on disk."""

import signal

from seatmap.embedded.locate import Places, valkey_server
from seatmap.embedded.privileges import identity_for
from seatmap.embedded.server import Server, answers, stop_leftover


class Valkey(Server):
    name = "Valkey"
    setting = "REDIS_URL"

    def __init__(self, places: Places) -> None:
        super().__init__(places.valkey, places.data / "valkey.log", places.valkey_socket)
        self.pidfile = places.valkey / "valkey.pid"

    def spawn(self) -> None:
        program = valkey_server()
        self.identity = identity_for(self.folder, program.parent)
        self.make_folder(self.folder)
        self.make_folder(self.socket.parent)
        self._end_earlier_life()
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            # Seatmap's keys are state and no cache: full memory must be an error, never a lost hold.
            "maxmemory-policy": "noeviction",
        }
        command = [str(program)]
        for name, value in options.items():
            command += [f"--{name}", value]
        self.launch(command)
        if self.process:
            self.pidfile.write_text(str(self.process.pid))

    def ready(self) -> bool:
        self.raise_if_ended()
        return answers(self.socket, b"PING\r\n", b"+PONG")  # -LOADING while it reads its state

    def wait_stopped(self) -> None:
        super().wait_stopped()
        self.pidfile.unlink(missing_ok=True)

    def _end_earlier_life(self) -> None:
        """One may live on where the kernel does not end it with its parent, and would share our files."""
        try:
            pid = int(self.pidfile.read_text())
        except (FileNotFoundError, ValueError):
            return
        stop_leftover(pid, (str(self.socket),), signal.SIGTERM, signal.SIGKILL)
