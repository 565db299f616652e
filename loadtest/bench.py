"""Measures a Seatmap of its own: `python -m loadtest.bench NAME [--json] [--peers] [--save FILE]`.

start     time to the first HTTP answer, on a data folder that exists
stampede  100 buyers, one seat: until all are answered
screens   a click → the screens of 200 other viewers, at 50 holds a second
holds     holds a second through 64 websockets and one web process
books     orders a second through 128 of them, their holds included
dashboard what an open dashboard costs, at 1,000 changes a second
export    100,000 orders as CSV, and the memory that it takes
recovery  a fault's end → the first success, for everything that can die
cancel    an event with 50,000 bookings: closed, told to its pages, owed back
fanout    one change to 5,000 viewers beside a C loop; 200 a second; 1,000 a second to 10,000; 500 that never read
memory    what an idle viewer costs; handshakes a second
reconnect 10,000 viewers come back at once
signins   200 tries a second to sign in, and the viewers' p99 with and without them
snapshot  a hall of 100,000 seats: its snapshot, making and opening it; importing a plan
"""

import asyncio
from collections.abc import Callable, Coroutine
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
import uvloop
from rich.console import Console

from loadtest import (
    bench_cancel,
    bench_crowd,
    bench_dashboard,
    bench_export,
    bench_fanout,
    bench_rates,
    bench_recovery,
    bench_screens,
    bench_signins,
    bench_start,
    peer_postgres,
    peer_sockets,
    peer_starlette,
)
from loadtest.bench_site import NO_LIMITS, Site, folder, site, where
from loadtest.figures import Rounds, table
from loadtest.machine import machine, versions
from seatmap.embedded.locate import postgres_programs, valkey_server

BENCHES: dict[str, Callable[[Site, Rounds], Coroutine[Any, Any, None]]] = {
    "stampede": bench_screens.stampede,
    "screens": bench_screens.screens,
    "holds": bench_rates.holds,
    "books": bench_rates.books,
    "dashboard": bench_dashboard.dashboard,
    "export": bench_export.export,
    "cancel": bench_cancel.cancel,
    "fanout": bench_fanout.fanout,
    "memory": bench_crowd.memory,
    "reconnect": bench_crowd.reconnect,
    "recovery": bench_recovery.recovery,
    "signins": bench_signins.signins,
    "snapshot": bench_start.snapshot,
}
# The same work, in the same run, on what people would build or take instead.
PEERS: dict[str, Callable[[Site, Rounds], Coroutine[Any, Any, None]]] = {
    "holds": peer_starlette.holds,
    "books": peer_postgres.books,
    "fanout": peer_sockets.fanout,
    "memory": peer_sockets.memory,
}
Name = Enum("Name", {name: name for name in ("start", *BENCHES)})  # type: ignore[misc]


def main(
    name: Annotated[Name, typer.Argument(help="What to measure.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    peers: Annotated[bool, typer.Option("--peers", help="Measure its peers in the same run.")] = False,
    save: Annotated[Path | None, typer.Option(help="Write the JSON object to this file, too.")] = None,
) -> None:
    """Start a Seatmap, measure it, stop it, print what was found."""
    about: dict[str, Any] = {"bench": name.value, "machine": machine(), "placing": where(name.value)}
    about["limits"] = "counted, and raised to 1,000,000 a second by " + ", ".join(NO_LIMITS)
    about["versions"] = versions([[str(valkey_server())], [str(postgres_programs() / "postgres")]])
    rounds = Rounds()
    if peers and name.value not in PEERS:
        raise typer.BadParameter(f"{name.value} has no peers; those of {', '.join(PEERS)} can be measured.")
    with folder() as data:
        if name.value == "start":
            bench_start.start(data, rounds)
        else:
            with site(data) as running, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(BENCHES[name.value](running, rounds))
                if peers:
                    runner.run(PEERS[name.value](running, rounds))
    console = Console(highlight=False)
    about["figures"] = {figure.name: figure.plain() for figure in rounds.all}
    if save is not None:
        save.write_bytes(msgspec.json.format(msgspec.json.encode(about)) + b"\n")
    if as_json:
        console.print_json(msgspec.json.encode(about).decode())
        return
    console.print(table(name.value, rounds.all))
    for part in ("machine", "versions"):
        console.print(" · ".join(f"{key} {value}" for key, value in about[part].items()), style="dim")
    for part in ("placing", "limits"):
        console.print(about[part], style="dim")


if __name__ == "__main__":
    typer.run(main)
