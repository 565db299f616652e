"""What a web process tells Prometheus, and GET /metrics, which takes an API key that may read.

It is never public: numbers of sales are nobody's business. `SEATMAP_METRICS_PORT` opens a port for it without a key.
"""

import asyncio
from collections.abc import Iterator

from prometheus_client.core import Metric
from starlette.responses import Response

from seatmap import metrics
from seatmap.checkout.book import Checkout
from seatmap.web.endpoint import Access, Call, Endpoint
from seatmap.web.execute import Counter
from seatmap.web.rooms import Rooms


class Metrics:
    """Everything that a web process knows, and the endpoint."""

    def __init__(self, rooms: Rooms, counter: Counter, checkout: Checkout) -> None:
        loop = asyncio.get_running_loop()
        self.registry = metrics.registry(
            lambda: metrics.of_stores(rooms.stores),
            lambda: _commands(counter, checkout),
            lambda: _maps(rooms, loop.time()),
        )

    def endpoints(self) -> list[Endpoint]:
        """GET /metrics."""
        return [
            Endpoint(
                method="GET",
                path="/metrics",
                handle=self.told,
                access=Access.viewer,
                tag="integrators",
                summary="The process's numbers, for Prometheus",
                media=metrics.MEDIA,
            )
        ]

    async def told(self, call: Call) -> Response:
        return Response(metrics.exposition(self.registry), media_type=metrics.MEDIA)


def _commands(counter: Counter, checkout: Checkout) -> Iterator[Metric]:
    counts: dict[tuple[str, ...], float] = {
        (str(command.__struct_config__.tag), code or "ok"): count
        for (command, code), count in list(counter.counts.items())
    }
    text = "Commands of visitors; the outcome is ok or the code of a refusal"
    yield metrics.counters("commands", text, ("command", "outcome"), counts)
    yield metrics.histogram("command_seconds", "From a command to its answer", counter.latency)
    yield metrics.histogram("commit_orders", "Orders that shared one commit", checkout.batch_sizes)


def _maps(rooms: Rooms, now: float) -> Iterator[Metric]:
    here = list(rooms)
    watches = [room.watch for room in here]
    yield metrics.gauge("rooms", "Events that this process follows", len(here))
    yield metrics.gauge(
        "viewers", "Screens, those of dashboards included", sum(len(r.hub.screens) for r in here)
    )
    lagging = sum(room.hub.lagging for room in here)
    yield metrics.gauge("screens_lagging", "Screens that have not taken what was sent to them", lagging)
    yield metrics.counters(
        "screens_cut_off",
        "Screens that lagged too long",
        (),
        {(): rooms.cut_off + sum(r.hub.cut_off for r in here)},
    )
    behind = sum(not watch.live.is_set() for watch in watches)
    yield metrics.gauge("maps_behind", "Events whose map here is not known to be true", behind)
    lag = max((watch.lag for watch in watches), default=0)
    yield metrics.gauge("map_lag_changes", "Changes that the map furthest behind its head was missing", lag)
    age = max((now - watch.verified_at for watch in watches), default=0.0)
    yield metrics.gauge("map_age_seconds", "Since the map longest not compared with its head was", age)
