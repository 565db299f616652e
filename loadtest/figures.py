"""Measured figures: several rounds of each, their median and spread, beside what is to be reached."""

from statistics import median, quantiles

from msgspec import Struct
from rich.table import Table


class Figure(Struct, kw_only=True):
    """One figure. `rounds` has one value per round in `unit`; `target` is what to reach, in words."""

    name: str
    unit: str
    rounds: list[float]
    target: str = ""

    @property
    def median(self) -> float:
        return median(self.rounds)

    def plain(self) -> dict[str, object]:
        """For JSON."""
        return {
            "median": round(self.median, 3),
            "min": round(min(self.rounds), 3),
            "max": round(max(self.rounds), 3),
            "rounds": len(self.rounds),
            "unit": self.unit,
            "target": self.target,
        }


class Rounds:
    """Collects figures by name over several rounds."""

    def __init__(self) -> None:
        self._figures: dict[str, Figure] = {}

    def add(self, name: str, value: float, unit: str, target: str = "") -> None:
        """One round's value."""
        figure = self._figures.setdefault(name, Figure(name=name, unit=unit, rounds=[], target=target))
        figure.rounds.append(value)

    def spread(self, name: str, values: list[float], unit: str, *, target_p99: str = "") -> None:
        """One round's distribution: its p50 and p99."""
        self.add(f"{name}_p50", percentile(values, 50), unit)
        self.add(f"{name}_p99", percentile(values, 99), unit, target_p99)

    @property
    def all(self) -> list[Figure]:
        return list(self._figures.values())


def percentile(values: list[float], percent: int) -> float:
    """The value below which so many of them lie."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def table(title: str, figures: list[Figure]) -> Table:
    """The figures, for people."""
    shown = Table("Figure", "Median", "Min … max", "Unit", "Rounds", "To reach", title=title)
    for one in figures:
        shown.add_row(
            one.name.replace("_", " "),
            f"{one.median:,.4g}" if one.median < 1000 else f"{one.median:,.0f}",
            f"{min(one.rounds):,.1f} … {max(one.rounds):,.1f}",
            one.unit,
            str(len(one.rounds)),
            one.target,
        )
    return shown
