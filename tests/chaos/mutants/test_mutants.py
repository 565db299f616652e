"""Every mutant of the catalogue is killed, by tests that spare the tree as it is."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.chaos.mutants.catalogue import CONTROL, MUTANTS
from tests.chaos.mutants.kinds import Edit, Mutant
from tests.chaos.mutants.workshop import AT_ONCE, Doesnt, Verdict, copy, hunt, spare_the_sound

ALL = (*MUTANTS, CONTROL)

pytestmark = pytest.mark.integration


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 15
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.fixture(scope="module")
def hunts() -> Iterator[dict[str, Future[Verdict]]]:
    """All of them, by name, each by its cheapest killer; two at a time, as tests mostly wait for stores."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {mutant.name: pool.submit(hunt, mutant, mutant.killers[:1]) for mutant in ALL}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_a_mutant_does_not_live(hunts: dict[str, Future[Verdict]], mutant: Mutant) -> None:
    assert hunts[mutant.name].result().killer, f"{mutant.name} lives although {mutant.breaks}"


def test_their_killers_spare_the_tree_as_it_is() -> None:
    assert spare_the_sound(sorted({mutant.killers[0] for mutant in ALL})) == ""


@pytest.mark.parametrize("old", ["no such text", "local"])
def test_an_edit_that_does_not_apply_any_more_says_so(old: str) -> None:
    with (
        pytest.raises(Doesnt, match="instead of once"),
        copy([Edit("seatmap/booking/lua/hold.lua", old, "")]),
    ):
        pass
