"""The processes of an installation: webs and workers that run the real checkout code on the simulated stores."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest import mock
from uuid import UUID

from seatmap import breaker, connections
from seatmap.booking.commands import Expire
from seatmap.booking.desk import Desk
from seatmap.booking.state import State
from seatmap.checkout.announce import announce
from seatmap.checkout.book import Checkout
from seatmap.checkout.payment import Cashier
from seatmap.checkout.providers import test_card
from seatmap.checkout.providers.door import Door
from seatmap.checkout.providers.test_card import TestCard
from seatmap.checkout.rebuild import open_event, rebuild
from seatmap.checkout.resolve import resolve
from seatmap.checkout.stores import Stores
from seatmap.config import Settings
from seatmap.errors import Recovering, SeatmapError
from seatmap.ledger import events, jobs
from seatmap.ledger.pool import Pool, connection
from seatmap.model import Event
from seatmap.web import execute
from seatmap.worker import run as worker_run
from tests.simulation import statements_events
from tests.simulation.loop import Process, current
from tests.simulation.postgres_world import PostgresWorld, SimPool
from tests.simulation.redis_world import EVENT, RedisWorld, SimRedis
from tests.simulation.run_context import Run

SETTINGS = Settings(
    secret="secret",
    hold_seconds=5,
    extend_seconds=3,
    grace_ms=500,
    seats_per_visitor=4,
    pay_seconds=6,
    command_timeout_ms=800,
    ledger_timeout_ms=1000,
    resolve_after_ms=1500,
    sweep_ms=700,
    reconcile_ms=3000,
)
CARD = "test_card"
SWEEP_S, REFRESH_S, RESOLVE_S, PAY_S = 1.5, 2.5, 3.0, 5.0  # the slow beats of a web process
JOB_S = 1.0

_T = TypeVar("_T")


class Site:
    """Everything that runs on our side."""

    def __init__(self, run: Run, redis: RedisWorld, postgres: PostgresWorld) -> None:
        self.run = run
        self.redis = redis
        self.postgres = postgres
        self.breakers = run.chance(0.2)  # they ask so often that most runs do without
        self.webs = [Web(self, f"web{number}") for number in range(2)]
        self.workers = [Worker(self, f"worker{number}") for number in range(2)]

    @property
    def processes(self) -> list["Web | Worker"]:
        return [*self.webs, *self.workers]

    def restart(self, name: str) -> None:
        """Another process in the place of one that died."""
        for group, kind in ((self.webs, Web), (self.workers, Worker)):
            for place, old in enumerate(group):
                if old.process.name == name and not old.process.alive:
                    group[place] = kind(self, name)  # type: ignore[call-overload]

    def stores(self) -> Stores:
        timeout_s = SETTINGS.command_timeout_ms / 1000
        redis = SimRedis(self.redis, timeout_s=timeout_s, connections=4)
        pool: Any = SimPool(self.postgres, size=6, timeout_s=SETTINGS.ledger_timeout_ms / 1000 + 1.0)
        desk = Desk(redis, timeout_ms=SETTINGS.command_timeout_ms)
        return Stores(settings=SETTINGS, redis=redis, desk=desk, state=State(redis), pool=pool)


class _Member:
    """One process, which is alive from the start."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.process = Process(site.run.loop, name)
        self.stores = self.process.context.run(site.stores)

    def watch(self) -> None:
        if self.site.breakers:
            for found in (self.stores.redis.breaker, self.stores.pool.breaker):
                self.process.spawn(found.run())


class Web(_Member):
    """A web process: the commands of visitors, and slow beats."""

    def __init__(self, site: Site, name: str) -> None:
        super().__init__(site, name)
        self.checkout = Checkout(self.stores)
        self.card = TestCard(self.stores.pool, SETTINGS.secret.encode())
        self.cashier = Cashier(self.stores, {CARD: self.card, "door": Door()})
        self.counter = execute.Counter(self.stores, self.checkout, self.cashier)
        self.room: Any = None
        self._announced = -1
        self._restoring: asyncio.Task[None] | None = None
        for work, pause_s in (
            (self._refresh, REFRESH_S),
            (self._sweep, SWEEP_S),
            (self._pay, PAY_S),
            (self._resolve, RESOLVE_S),
        ):
            self.process.spawn(_beat(work, pause_s))
        self.watch()

    async def _refresh(self) -> None:
        event = await events.get(self.stores.pool, EVENT)
        assert event is not None
        self.room = _room(event, self._recovering)
        if event.status_version != self._announced and await announce(self.stores, event):
            self._announced = event.status_version

    async def _sweep(self) -> None:
        try:
            await self.stores.desk.decide(EVENT, Expire(500))
        except Recovering:
            await open_event(self.stores, EVENT)

    def _recovering(self) -> None:
        if self._restoring is None or self._restoring.done():
            self._restoring = self.process.spawn(self._restore())

    async def _restore(self) -> None:
        with suppress(SeatmapError):
            await open_event(self.stores, EVENT)

    def rebuild(self) -> None:
        """As the command does, which asks no lock whether it may."""
        self.process.spawn(self._rebuild())

    async def _rebuild(self) -> None:
        with suppress(SeatmapError):
            await rebuild(self.stores, EVENT)

    async def _resolve(self) -> None:
        await resolve(self.stores, EVENT)

    async def _pay(self) -> None:
        await self.cashier.beat()

    async def command(self, visitor: str, command: Any) -> Any:
        """What a page asked for."""
        if self.room is None:
            await self._refresh()
        return await self.counter.execute(self.room, visitor, command)


def _room(event: Event, recovering: Callable[[], None]) -> Any:
    """As much of `web.room.Room` as carrying out a command needs."""
    names = {category.id: category for category in event.categories}
    kinds = [list(names.values())[seat % len(names)] for seat in range(event.seat_count)]
    table = SimpleNamespace(
        labels=[f"Seat {seat}" for seat in range(event.seat_count)],
        categories=[kind.name for kind in kinds],
        prices=[kind.price for kind in kinds],
    )

    @contextmanager
    def timing() -> Iterator[None]:
        yield

    return SimpleNamespace(
        event=event,
        facts=SimpleNamespace(table=table),
        pulse=SimpleNamespace(timing=timing),
        labelled=lambda error: error,
        recovering=recovering,
    )


class Worker(_Member):
    """A worker process."""

    def __init__(self, site: Site, name: str) -> None:
        super().__init__(site, name)
        self.process.spawn(worker_run.Worker(self.stores).run(asyncio.Event()))
        self.watch()


async def _beat(work: Callable[[], Awaitable[None]], pause_s: float) -> None:
    while True:
        with suppress(SeatmapError):
            await work()
        await asyncio.sleep(pause_s)


# ---- what is put in the place of clocks, chance and the job queue ----


async def _work_jobs(
    pool: Pool, settings: Settings, stop: asyncio.Event, *, others: Mapping[str, jobs.Handler]
) -> None:
    """pgqueuer's part: takes jobs, one after the other; one that fails is taken again when its lease is over."""
    while True:
        try:
            async with connection(pool) as conn:
                row = await conn.fetchrow(statements_events.DEQUEUE)
            if row is not None:
                await others[row["kind"]](pool, row["id"], row["content"])
                async with connection(pool) as conn:
                    await jobs.finish(conn, row["id"])
                    await conn.execute(statements_events.DEQUEUED, row["id"])
        except SeatmapError:
            pass
        await asyncio.sleep(JOB_S)


async def _nothing_lost(_: Pool) -> list[int]:
    return []


async def _never(*_: Any) -> None:
    """What happens once a day does not happen in half a minute."""
    await asyncio.Event().wait()


async def _nothing_due(*_: Any) -> int:
    """Triggers of the database, which the model does not have, write down which letters are due."""
    return 0


async def _queue(conn: Any, rows: Sequence[Any]) -> None:
    for row in rows:
        await conn.execute(statements_events.ENQUEUE, row["id"], row["kind"], row["payload"].encode())


@contextmanager
def simulated(run: Run) -> Iterator[None]:
    """The product's clocks are the run's, its random ids the seed's, and its job queue is the model's."""
    own = random.Random(run.seed)
    clock = SimpleNamespace(
        time=run.loop.time,
        monotonic=run.loop.time,
        perf_counter=run.loop.time,
        monotonic_ns=lambda: int(run.loop.time() * 1_000_000_000),
    )
    ids = lambda: UUID(int=own.getrandbits(128), version=4)  # noqa: E731
    with (
        mock.patch.object(connections, "time", clock),
        mock.patch.object(breaker, "time", clock),
        mock.patch.object(test_card, "time", clock),
        mock.patch.object(test_card, "uuid4", ids),
        mock.patch.object(test_card, "SLOW_S", 2.0),
        mock.patch.object(test_card, "LATE_S", 1.0),
        mock.patch.object(jobs, "_queue", _queue),
        mock.patch.object(worker_run, "jobs", SimpleNamespace(run=_work_jobs)),
        mock.patch.object(worker_run, "queue_lost", _nothing_lost),
        mock.patch.object(worker_run, "letters", SimpleNamespace(post=_nothing_due)),
        mock.patch.object(worker_run, "schedule", SimpleNamespace(serve=_never)),
    ):
        yield


# ---- asking a web process ----


class Lost(Exception):
    """No answer came: what was asked for may have been done, or may still be."""


async def ask(site: Site, web: int, work: Callable[[Web], Awaitable[_T]], timeout_s: float = 4.0) -> _T:
    """Ask a web process for something, as a browser does. Raises SeatmapError or Lost."""
    run = site.run
    asker, asked = current(), site.webs[web]
    answer: asyncio.Future[_T] = run.loop.create_future()

    def tell(result: Any) -> None:
        if not answer.done():
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)

    def reply(result: Any) -> None:
        if run.chance(run.weather.lost):
            run.faults["answer to a page lost"] += 1
            result = Lost()
        asker.later(run.travel_s(), tell, result)

    async def carry_out() -> None:
        try:
            reply(await work(asked))
        except SeatmapError as error:
            reply(error)

    def arrive() -> None:
        asked.process.spawn(carry_out())

    def reset() -> None:
        asker.later(run.travel_s(), tell, Lost())

    if not asked.process.alive:
        reset()
    elif run.chance(run.weather.lost):
        run.faults["command of a page lost"] += 1
        reset()
    else:
        asked.process.on_death.append(reset)
        asked.process.later(run.travel_s(), arrive)
    try:
        async with asyncio.timeout(timeout_s):
            return await answer
    except TimeoutError:
        raise Lost from None
    finally:
        if reset in asked.process.on_death:
            asked.process.on_death.remove(reset)
