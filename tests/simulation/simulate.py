"""One run of the simulation, from its seed to its verdict."""

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from seatmap.booking.commands import Hold
from seatmap.errors import Refused, SeatmapError
from tests.simulation.checks import CommitWatch, check_ledger, wrong_in_redis
from tests.simulation.loop import until
from tests.simulation.nemesis import Nemesis
from tests.simulation.people import PRICES, Crowd
from tests.simulation.postgres_model import Database
from tests.simulation.postgres_world import PostgresWorld
from tests.simulation.redis_world import EVENT, NAMES, RealServer, RedisWorld
from tests.simulation.run_context import Run
from tests.simulation.site import CARD, Lost, Site, ask, simulated

SEATS = 10
COLORS = ("#112233", "")
BLOCKED = 9
FAULTS_S = 10.0
SETTLED_S = 10.0  # until every unknown order is decided, once all is well again
RECONCILED_S = 10.0  # the reconciler looks twice
QUIET_S = 90.0  # until everything is: payments run out, refunds are sent again


@dataclass
class Outcome:
    """What a run did."""

    seed: int
    digest: str
    violations: list[str]
    operations: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    rare: Counter[str] = field(default_factory=Counter)


def simulate(seed: int, real: RealServer, show: Callable[[str], None] | None = None) -> Outcome:
    """Run a seed on a private server. The same seed does the same."""
    run = Run(seed, show)
    gc.disable()  # what is collected runs its `finally` blocks, at a moment that no seed decides
    try:
        with simulated(run), _complaints(run):
            _play(run, real)
    finally:
        gc.enable()
    run.violations += run.loop.failures
    return Outcome(seed, run.digest, run.violations, run.operations, run.faults, run.rare)


def _play(run: Run, real: RealServer) -> None:
    loop = run.loop
    try:
        redis, postgres = RedisWorld(run, real), PostgresWorld(run)
        make_event(run, postgres.database)
        watch = CommitWatch(run, postgres.database)
        postgres.asked = watch.asked
        site = Site(run, redis, postgres)
        crowd = watch.crowd = Crowd(run, site, SEATS)
        story = loop.outside.spawn(_story(run, site, crowd, Nemesis(run, site, redis, postgres, crowd)))
        loop.run_until_complete(story)
        check_ledger(run, postgres.database, crowd)
        for complaint in wrong_in_redis(redis, postgres.database):
            run.broken(complaint)
        if run.faults["none"] and run.operations["repair"]:
            run.broken(f"without a fault {run.operations['repair']} seats were repaired")
    except Exception as error:
        run.broken(f"the run broke down: {error!r}")
        logging.getLogger("tests.simulation").debug("the run broke down", exc_info=True)
    finally:
        loop.end()


async def _story(run: Run, site: Site, crowd: Crowd, nemesis: Nemesis) -> None:
    crowd.start()
    nemesis.start(FAULTS_S)
    if run.chance(0.15):
        nemesis.process.later(run.rng.random() * FAULTS_S, lambda: crowd.company.spawn(crowd.cancel_event()))
    await asyncio.sleep(FAULTS_S)
    await until(lambda: not nemesis.at_work, 0.1)
    nemesis.heal()
    crowd.closing = True
    healed = run.loop.time()
    await _sells_again(run, site, healed)
    await until(lambda: not any(placed.unknown for placed in crowd.orders.values()), 0.2, healed + SETTLED_S)
    for order_id, placed in crowd.orders.items():
        if placed.unknown:
            run.broken(f"P3: order {order_id} is unknown {SETTLED_S:.0f} s after everything was well again")
    await until(lambda: crowd.is_gone, 0.2, healed + QUIET_S)
    await asyncio.sleep(1.0)
    for spare in (site.webs[1], site.workers[1]):  # one of each is enough to end what goes on, and quicker
        spare.process.kill()
    crowd.send_again()
    await until(lambda: _is_quiet(site, crowd), 0.5, healed + QUIET_S)
    tables, redis = site.postgres.database, site.redis
    await until(lambda: not wrong_in_redis(redis, tables), 0.5, run.loop.time() + RECONCILED_S)


async def _sells_again(run: Run, site: Site, healed: float) -> None:
    """Somebody can hold a seat soon, or is refused for a reason."""
    while True:
        try:
            await ask(
                site, 0, lambda web: web.stores.desk.decide(EVENT, Hold("probe", "", (0,))), timeout_s=1.0
            )
        except Refused:
            return
        except (SeatmapError, Lost):
            if run.loop.time() > healed + SETTLED_S:
                run.broken(f"nobody can hold a seat {SETTLED_S:.0f} s after everything was well again")
                return
            await asyncio.sleep(0.2)
        else:
            return


def _is_quiet(site: Site, crowd: Crowd) -> bool:
    """Nothing is left that happens by itself."""
    tables, redis = site.postgres.database.tables, site.redis
    holds, orders = redis.real.many(redis.now.db, ["HLEN", NAMES.holds], ["HLEN", NAMES.orders])
    return (
        (holds, orders) == (1, 1)
        and all(task.done() for task in crowd.company.tasks)
        and all(row["done"] for row in tables["queue"].values())
        and all(row["status"] == "done" for row in tables["refunds"].values())
        and all(row["status"] != "pending" for row in tables["orders"].values())
        and all(row["reseat_order_id"] is None for row in tables["payments"].values())
    )


def make_event(run: Run, database: Database, *, seats: int = SEATS, blocked: int = BLOCKED) -> None:
    """A published event, as `tests/integration/ledger_world.py` makes it."""
    names = ("front", "back")
    database.tables["events"][EVENT] = {
        "id": EVENT,
        "name": "Show",
        "description": "",
        "venue": "",
        "starts_at": 2_000_000.0,
        "timezone": "UTC",
        "status": "published",
        "status_version": 1,
        "epoch": 0,
        "seq": 0,
        "plan_id": 1,
        "plan_version": 1,
        "seat_count": seats,
        "currency": "EUR",
        "seats_per_visitor": run.rng.choice((4, 6)),
        "on_sale_from": None,
        "on_sale_until": None,
        "accessible_until": None,
        "paused": False,
        "message": "",
        "fee_per_seat": 0,
        "payment_methods": ["free", CARD],
        "deleted_at": None,
    }
    for number, name in enumerate(names):
        category = {"id": number + 1, "event_id": EVENT, "name": name, "price": PRICES[number]}
        database.tables["categories"][number + 1] = category | {"color": COLORS[number], "position": number}
    for seat in range(seats):
        status = "blocked" if seat == blocked else "available"
        row = {
            "event_id": EVENT,
            "index": seat,
            "label": f"Seat {seat}",
            "category_id": 1 + seat % 2,
            "status": status,
        }
        database.tables["seats"][(EVENT, seat)] = row


@contextmanager
def _complaints(run: Run) -> Iterator[None]:
    """What the product logs as an error is a violation: none of it should ever happen."""

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if run.loop.ending:
                return
            cause = record.exc_info[1] if record.exc_info else None
            run.broken(f"the log says: {record.getMessage()} {cause!r}")

    logger = logging.getLogger("seatmap")
    before, handler = logger.level, Collector(logging.ERROR)
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = propagate
