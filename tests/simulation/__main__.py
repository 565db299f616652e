"""The simulation's command.

python -m tests.simulation --seeds 2000 [--from N] [--jobs N]   run many; ends non-zero if a promise was broken
python -m tests.simulation --seed S [--trace]                   run one again, exactly as it was
"""

import argparse
import os
import sys

from tests.simulation.many import on_a_server, run_many


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="with --seed: say all that happens")
    asked = parser.parse_args()
    if asked.seed is not None:
        summary, took_s = on_a_server([asked.seed], print if asked.trace else None)[0], 0.0
    else:
        summary, took_s = run_many(asked.first, asked.seeds, asked.jobs)
    sys.stdout.write("\n".join(summary.lines(took_s)) + "\n")
    return 0 if summary.good else 1


if __name__ == "__main__":
    sys.exit(main())
