"""`python -m tests.chaos.crash [--times N] [--only TEXT …]`: the matrix, N times; fails on any broken promise."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

from seatmap import migrate
from seatmap.embedded import Embedded
from tests.chaos.crash.cell import Bench
from tests.chaos.crash.checks import SETTLED_MAX_S
from tests.chaos.crash.matrix import Total, run_all, spots
from tests.chaos.crash.processes import open_zygote

MEMORY = Path("/dev/shm")


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


async def run(servers: Embedded, times: int, only: list[str], seed: int) -> Total:
    wanted = [spot for spot in spots() if not only or any(word in str(spot) for word in only)] * times
    random.Random(seed).shuffle(wanted)
    async with open_zygote() as zygote:
        return await run_all(Bench(servers, zygote), wanted, tell=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.crash")
    parser.add_argument("--times", type=int, default=1, help="how often each cell is run")
    parser.add_argument("--only", nargs="*", default=[], help="cells whose name has one of these in it")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="of the cells' order")
    parser.add_argument("--patience", type=float, default=1.0, help="bounds on time, times this")
    given = parser.parse_args()
    data = Path(tempfile.mkdtemp(prefix="seatmap-", dir=MEMORY if MEMORY.exists() else None))
    try:
        with Embedded(data, durable=False) as servers:
            migrate.apply(servers.database_url)
            total = asyncio.run(run(servers, given.times, given.only, given.seed))
    finally:
        shutil.rmtree(data)
    for broken in total.broken:
        say(f"\nBROKEN {broken}")
    if total.settled_s > SETTLED_MAX_S * given.patience:
        total.broken.append(f"P3: an answer took {total.settled_s:.1f} s")
        say(f"\nBROKEN {total.broken[-1]}")
    failed = bool(total.broken) or not total.cells
    say(summary(total, given.seed))
    return 1 if failed else 0


def summary(total: Total, seed: int) -> str:
    """The last line."""
    cells = f"{total.cells + len(total.broken)} cells in {total.seconds:.0f} s (seed {seed})"
    if total.broken or not total.cells:
        return f"FAILED: {len(total.broken)} of {cells} broken"
    return (
        f"ok: {cells}, each failpoint reached; {total.orders} orders, {total.unknown} unknown answers asked again,"
        f" {total.in_flight} statements that outlived their process; all settled within {total.settled_s:.1f} s"
        f" and healed within {total.healed_s:.1f} s; no seat sold twice, no booking lost"
    )


if __name__ == "__main__":
    sys.exit(main())
