"""What a mutant is: edits of the tree, and who has to kill it."""

from msgspec import Struct


class Edit(Struct, frozen=True):
    """Text that is in a file exactly once (of a migration: in its way up), and what takes its place."""

    file: str
    old: str
    new: str


class Mutant(Struct, frozen=True):
    """`killers` are tests (of tests/integration) and cells of the crash matrix; the cheapest is first."""

    name: str
    breaks: str
    edits: tuple[Edit, ...]
    killers: tuple[str, ...]


def cells(name: str) -> str:
    """A killer: cells of the crash matrix."""
    return f"cells {name}"


SWARM = "swarm"  # a killer: the swarm of tests/chaos, which has to find a seat that was sold twice


def test(file: str, name: str) -> str:
    """A killer: a test of tests/integration, all its parameters."""
    return f"tests/integration/test_{file}.py::test_{name}"
