"""`python -m tests.chaos.mutants [NAME …]`: break the protocol in each way of the catalogue; fails if one lives."""

import sys
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.table import Table

from tests.chaos.mutants.catalogue import CONTROL, MUTANTS
from tests.chaos.mutants.workshop import AT_ONCE, Verdict, hunt, spare_the_sound


def main(names: list[str]) -> int:
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    controls = [(CONTROL, [killer]) for killer in CONTROL.killers if not names or CONTROL.name in names]
    out = Console(highlight=False, width=200)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        spared = pool.submit(spare_the_sound, sorted({mutant.killers[0] for mutant in (*chosen, CONTROL)}))
        verdicts = []
        hunts = [*controls, *((mutant, mutant.killers) for mutant in chosen)]
        for verdict in pool.map(lambda one: hunt(*one), hunts):
            verdicts.append(verdict)
            out.print(
                f"{verdict.seconds:4.0f} s  {verdict.mutant}: {verdict.killer or 'LIVES'}", markup=False
            )
        sound = spared.result()
    out.print(table_of(verdicts))
    living = [verdict.mutant for verdict in verdicts if not verdict.killer]
    if sound:
        out.print(f"{sound}\nFAILED: a killer kills what is not broken", markup=False)
    elif living or not verdicts:
        out.print(f"FAILED: {len(living)} of {len(verdicts)} live: {', '.join(living)}", markup=False)
    else:
        out.print(f"ok: all {len(verdicts)} were killed, and their killers spare the tree as it is")
    return 1 if sound or living or not verdicts else 0


def table_of(verdicts: list[Verdict]) -> Table:
    table = Table("mutant", "breaks", "killed by", "seconds")
    breaks = {mutant.name: mutant.breaks for mutant in (*MUTANTS, CONTROL)}
    for verdict in verdicts:
        killer = verdict.killer.removeprefix("tests/integration/") or "nothing: it lives"
        table.add_row(verdict.mutant, breaks[verdict.mutant], killer, f"{verdict.seconds:.0f}")
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
