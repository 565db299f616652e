"""Makes web and worker processes fast: it imports everything once, and each process is a fork of it.

What runs in a fork is the command line's own `seatmap web` or `seatmap worker`, with an environment of its own.
Input: a JSON object per process wanted (number, name, environment, log), one a line. Output: "started NUMBER PID",
and "ended PID CODE" whenever one ends. All end with the one who writes the input.
"""

import contextlib
import gc
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import seatmap.web.serve
import seatmap.worker.run  # noqa: F401  all that a process would import itself
from seatmap.cli import app
from seatmap.embedded.privileges import child_setup


def tell(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def become(order: dict[str, Any], setup: Callable[[], None]) -> None:
    """In the fork: be that process, to its end."""
    setup()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for mine, theirs in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(mine, theirs)
    os.environ.clear()
    os.environ.update(order["environment"])
    code = 1
    try:
        app([order["name"]], standalone_mode=False)
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
        code = int(getattr(error, "exit_code", 1))
    finally:
        os._exit(code)


def reap(*_: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            tell(f"ended {ended[0]} {os.waitstatus_to_exitcode(ended[1])}")


def main() -> None:
    signal.signal(signal.SIGCHLD, reap)
    setup = child_setup(signal.SIGKILL)
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        # Nobody is told of an end before the start.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            become(order, setup)
        tell(f"started {order['number']} {pid}")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


if __name__ == "__main__":
    main()
