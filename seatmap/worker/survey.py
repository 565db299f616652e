"""What a worker finds out for Prometheus that no counter knows: what waits, and for how long."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from prometheus_client.core import Metric

from seatmap import metrics
from seatmap.checkout.stores import Stores
from seatmap.errors import Recovering
from seatmap.ledger import jobs, letters


class Survey:
    """The latest look at both stores."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._jobs: dict[str, int] = {}
        self._undecided, self._oldest_s = 0, 0.0
        self._letters, self._letter_s = 0, 0.0
        self._looked_at = 0.0

    async def look(self, events: Sequence[int]) -> None:
        """Look at what waits in these events. Raises Unavailable."""
        undecided, oldest_ms = 0, 0
        for event_id in events:
            with suppress(Recovering):
                count, age_ms = await self._stores.state.backlog(event_id)
                undecided, oldest_ms = undecided + count, max(oldest_ms, age_ms)
        self._undecided, self._oldest_s = undecided, oldest_ms / 1000
        self._jobs = await jobs.count_by_state(self._stores.pool)
        self._letters, self._letter_s = await letters.waiting(self._stores.pool)
        self._looked_at = time.monotonic()

    def told(self) -> Iterator[Metric]:
        """What was found."""
        if not self._looked_at:
            return
        age = time.monotonic() - self._looked_at
        yield metrics.gauge("survey_age_seconds", "Since what waits was last counted", age)
        yield metrics.gauge("undecided_orders", "Orders between BEGIN and FINISH", self._undecided)
        oldest = self._oldest_s
        yield metrics.gauge("undecided_oldest_seconds", "Age of the oldest of them", oldest)
        yield metrics.gauge("letters_due", "Mails about orders that are not made yet", self._letters)
        yield metrics.gauge("letters_oldest_seconds", "Age of the oldest of them", self._letter_s)
        yield metrics.gauges("jobs", "Background jobs by state", "state", self._jobs)
