"""Every cell of the crash matrix, by operation. `python -m tests.chaos.crash --times 10` is the long run."""

import pytest

from seatmap.embedded import Embedded
from seatmap.failpoints import POINTS
from tests.chaos.crash.cell import ACTIONS, Bench
from tests.chaos.crash.matrix import run_all, spots
from tests.chaos.crash.processes import open_zygote
from tests.chaos.crash.scenarios import SCENARIOS

pytestmark = pytest.mark.integration


def test_every_failpoint_is_in_the_matrix() -> None:
    in_it = {point for scenario in SCENARIOS.values() for point in scenario.points}
    assert in_it == set(POINTS)
    assert len(spots()) == sum(len(scenario.points) for scenario in SCENARIOS.values()) * len(ACTIONS)


@pytest.fixture
def living(servers: Embedded) -> Embedded:
    servers.revive()  # a test before may have killed them
    return servers


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_no_promise_breaks(living: Embedded, scenario: str) -> None:
    wanted = spots([scenario])
    async with open_zygote() as zygote:
        total = await run_all(Bench(living, zygote), wanted)
    assert not total.broken, "\n\n".join(total.broken)
    assert total.cells == len(wanted)  # each of which fails unless its failpoint was reached
