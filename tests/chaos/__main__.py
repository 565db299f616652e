"""`python -m tests.chaos --minutes N --seed S`: real processes, faults, a swarm, and a verdict."""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tests.chaos.director import Director, Outcome, Wanted
from tests.chaos.history import gather, read
from tests.chaos.report import Report, report

MEMORY = Path("/dev/shm")
FAULTS_PER_MINUTE, BOOKINGS_PER_MINUTE = 20, 1500  # the least that a run has to do


def make_folder() -> Path:
    """In memory where there is a file system for that, and open to the servers' user."""
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="seatmap-chaos-", dir=memory))
    folder.chmod(0o711)
    return folder


def run(folder: Path, wanted: Wanted) -> Report:
    """One run in a folder. Its log is said on stdout as it goes on."""
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"[{time.monotonic() - began:6.1f}] {text}\n")
        sys.stdout.flush()

    say(f"seed {wanted.seed}, folder {folder}")
    outcome = asyncio.run(Director(folder, wanted, say).run())
    (folder / "outcome.json").write_bytes(msgspec.json.encode(outcome))
    say("checking")
    return judge(folder, wanted)


def judge(folder: Path, wanted: Wanted) -> Report:
    """Check what a run left in its folder, and say what came of it."""
    outcome = msgspec.json.decode((folder / "outcome.json").read_bytes(), type=Outcome)
    history = gather(read([folder / "swarm.jsonl", folder / "run.jsonl"]))
    history.patience = wanted.patience
    faults_min = wanted.faults or int(FAULTS_PER_MINUTE * wanted.minutes)
    bookings_min = wanted.bookings or int(BOOKINGS_PER_MINUTE * wanted.minutes)
    done = report(history, outcome, wanted, faults_min=faults_min, bookings_min=bookings_min)
    text = "\n".join([*done.lines, done.last]) + "\n"
    (folder / "report.txt").write_text(text)
    sys.stdout.write(text)
    return done


def main(
    minutes: Annotated[float, typer.Option(help="How long faults are made, at most.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Of all chance; what real processes do with it differs.")] = 0,
    faults: Annotated[int, typer.Option(help="End when so many were made, and so many were booked.")] = 0,
    bookings: Annotated[int, typer.Option(help="The same, of bookings acknowledged.")] = 0,
    hall: Annotated[int, typer.Option(help="Seats of one event, for rebuilds that take their time.")] = 0,
    buyers: Annotated[int, typer.Option(help="How many buy at the same time.")] = 32,
    patience: Annotated[float, typer.Option(help="Bounds on time, times this.")] = 1.0,
    again: Annotated[
        Path | None, typer.Option(help="Only check what an earlier run left in its folder.")
    ] = None,
    keep: Annotated[bool, typer.Option(help="Keep logs and history though all is well.")] = False,
) -> None:
    """Break everything while people buy, and check that no promise was broken."""
    chosen = seed or time.time_ns() % 1_000_000
    wanted = Wanted(chosen, minutes, faults, bookings, buyers, patience, hall)
    if again is not None:
        raise typer.Exit(0 if judge(again, wanted).good else 1)
    folder, good = make_folder(), False
    try:
        good = run(folder, wanted).good
    finally:
        if good and not keep:
            shutil.rmtree(folder)
        else:
            sys.stdout.write(f"Logs, history and seed are kept in {folder}\n")
    if not good:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
