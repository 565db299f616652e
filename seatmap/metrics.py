"""What a process tells Prometheus. Everything is counted in plain numbers and put into words only when it is asked
for, so that counting costs a command next to nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from seatmap.checkout.stores import Stores
from seatmap.config import Settings
from seatmap.errors import Unusable
from seatmap.tally import Histogram

MEDIA = "text/plain; version=0.0.4; charset=utf-8"

# What `Stores.counts` counts.
COUNTED = {
    "rebuilds": "Times that an event's seats in Redis were rebuilt from Postgres",
    "holds_lost": "Holds that a rebuild could not keep, or not whole",
    "orders_resolved": "Undecided orders that the resolver settled",
    "drift_repaired": "Seats that the reconciler corrected in Redis; without a fault before it a bug",
}

Part = Callable[[], Iterable[Metric]]


def registry(*parts: Part) -> CollectorRegistry:
    """What `parts` say, each time it is asked for, and the process's memory, processor and files."""
    found = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=found)
    found.register(_Parts(parts))
    return found


class _Parts(Collector):
    def __init__(self, parts: Iterable[Part]) -> None:
        self._parts = tuple(parts)

    def collect(self) -> Iterator[Metric]:
        for part in self._parts:
            yield from part()


def exposition(found: CollectorRegistry) -> bytes:
    """All of it in Prometheus' text format."""
    return generate_latest(found)


@contextmanager
def listening(settings: Settings, found: CollectorRegistry) -> Iterator[None]:
    """GET /metrics on a port of its own, if there is to be one. Raises Unusable if the port cannot be had.

    It answers from a thread, so that a busy process still tells how busy it is.
    """
    if not settings.metrics_port:
        yield
        return
    try:
        server, thread = start_http_server(settings.metrics_port, settings.metrics_host, found)
    except OSError as error:
        where = f"{settings.metrics_host} port {settings.metrics_port}"
        raise Unusable(
            f"Cannot listen on {where}: {error.strerror}. Set SEATMAP_METRICS_PORT to another port, or to 0."
        ) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def of_stores(stores: Stores) -> Iterator[Metric]:
    """How the two stores fare, and what had to be mended."""
    yield histogram("redis_seconds", "Uses of a connection to Redis", stores.redis.latency)
    yield histogram("postgres_seconds", "Uses of a connection to Postgres", stores.pool.latency)
    breakers = {"redis": stores.redis.breaker, "postgres": stores.pool.breaker}
    yield gauges(
        "breaker_open",
        "1 while a store is known to be away",
        "store",
        {name: float(breaker.is_open) for name, breaker in breakers.items()},
    )
    opened: dict[tuple[str, ...], float] = {(name,): breaker.opened for name, breaker in breakers.items()}
    yield counters("breaker_opened", "Times that a store was found to be away", ("store",), opened)
    difference = stores.clock_difference_s
    if difference is not None:
        yield gauge("clock_difference_seconds", "Clock of Redis minus that of Postgres", difference)
    for name, text in COUNTED.items():
        yield counters(name, text, (), {(): stores.counts[name]})


# ---- numbers into words ----


def gauge(name: str, text: str, value: float) -> Metric:
    """One number that goes up and down."""
    return GaugeMetricFamily(f"seatmap_{name}", text, value)


def gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    """Such numbers by one label."""
    family = GaugeMetricFamily(f"seatmap_{name}", text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def counters(
    name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
) -> Metric:
    """Numbers that only grow, by labels."""
    family = CounterMetricFamily(f"seatmap_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def histogram(name: str, text: str, counted: Histogram) -> Metric:
    """How values spread."""
    bounds = [*map(str, counted.bounds), "+Inf"]
    buckets = list(zip(bounds, accumulate(counted.counts), strict=True))
    return HistogramMetricFamily(f"seatmap_{name}", text, buckets=buckets, sum_value=counted.total)
