"""The worker process: the beats that every web process also has, faster, and the job queue."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from seatmap.booking.commands import Expire
from seatmap.checkout.cancel_event import canceller
from seatmap.checkout.payment import Cashier, open_cashier
from seatmap.checkout.rebuild import catch_up, open_event
from seatmap.checkout.reconcile import Difference, lasting_differences, repair, under_way
from seatmap.checkout.resolve import resolve
from seatmap.checkout.stores import Stores, open_stores
from seatmap.config import Settings
from seatmap.errors import Recovering, Refused, SeatmapError, Unavailable
from seatmap.failpoints import failpoint
from seatmap.ledger import events, schedule
from seatmap.ledger.jobs import queue_lost
from seatmap.ledger.purge import PURGE, Purge
from seatmap.ledger.tasks import CANCEL_ORDERS
from seatmap.metrics import listening, of_stores, registry
from seatmap.tasks import end
from seatmap.worker import jobs, letters
from seatmap.worker.survey import Survey

SWEEP_MAX = 500  # expired holds of one event in one round
LIST_SECONDS = 2.0  # until a newly published event is worked on
RESOLVE_SECONDS = 1.0
PAY_SECONDS = 1.0
LETTERS_SECONDS = 1.0
SURVEY_SECONDS = 5.0
CLOCK_SECONDS = 10.0
CLOCKS_DIFFER_SECONDS = 1.0  # holds end by the one clock, and payments by the other
AGAIN_SECONDS = 0.5  # until Postgres is asked again whether it is there
SCHEDULE_SECONDS = 5.0  # until it is tried again, where Postgres was away
FIND_SECONDS = 5.0  # until a job that the queue has lost is in it again
PURGE_AT = "17 3 * * *"  # UTC

log = logging.getLogger(__name__)


class Worker:
    """Works on all published events until it is stopped."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._events: list[int] = []
        self._under_way: dict[int, list[Difference]] = {}
        self._cashier: Cashier | None = None
        self._survey = Survey(stores)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. Each beat goes on by itself, and survives the absence of either store."""
        settings = self._stores.settings
        beats: list[tuple[Callable[[], Awaitable[None]], float]] = [
            (self._list, LIST_SECONDS),
            (self._sweep, settings.sweep_ms / 1000),
            (self._resolve, RESOLVE_SECONDS),
            (self._pay, PAY_SECONDS),
            (self._post_letters, LETTERS_SECONDS),
            (self._reconcile, settings.reconcile_ms / 1000),
            (self._follow_closed, settings.reconcile_ms / 1000),
            (self._schedule, SCHEDULE_SECONDS),
            (self._compare_clocks, CLOCK_SECONDS),
            (self._find_jobs, FIND_SECONDS),
        ]
        told = registry(lambda: of_stores(self._stores), self._survey.told)
        if settings.metrics_port:
            beats.append((self._look, SURVEY_SECONDS))
        tasks = [asyncio.create_task(self._beat(work, pause)) for work, pause in beats]
        try:
            with listening(settings, told):
                await jobs.run(
                    self._stores.pool, settings, stop, others={CANCEL_ORDERS: canceller(self._stores)}
                )
        finally:
            await end(tasks)

    async def _beat(self, work: Callable[[], Awaitable[None]], pause_s: float) -> None:
        while True:
            try:
                await work()
            except SeatmapError as error:
                log.warning("%s", error)
            except Exception:
                log.exception("%s failed; the next round tries again", work.__name__)
            await asyncio.sleep(pause_s)

    async def _find_jobs(self) -> None:
        for job_id in await queue_lost(self._stores.pool):
            log.warning("job %d was lost by the queue and is tried again", job_id)

    async def _list(self) -> None:
        self._events = [event.id for event in await events.published(self._stores.pool)]

    async def _each(self, work: Callable[[int], Awaitable[object]]) -> None:
        """Do it with each event. What is wrong with one is not the others' trouble; a store that is away is."""
        for event_id in self._events:
            try:
                await work(event_id)
            except (Recovering, Refused) as error:
                log.info("event %s: %s", event_id, error)

    async def _sweep(self) -> None:
        await self._each(self._sweep_event)

    async def _sweep_event(self, event_id: int) -> None:
        try:
            await failpoint("sweep.before")
            await self._stores.desk.decide(event_id, Expire(SWEEP_MAX))
            await failpoint("sweep.after")
        except Recovering:
            await open_event(self._stores, event_id)

    async def _resolve(self) -> None:
        await self._each(lambda event_id: resolve(self._stores, event_id))

    async def _look(self) -> None:
        await self._survey.look(self._events)

    async def _compare_clocks(self) -> None:
        difference = self._stores.clock_difference_s
        if difference is not None and abs(difference) > CLOCKS_DIFFER_SECONDS:
            log.error(
                "the clock of Redis is %+.1f s against that of Postgres: set both by NTP, without steps",
                difference,
            )

    async def _pay(self) -> None:
        if self._cashier is None:
            self._cashier = await open_cashier(self._stores)
        await self._cashier.beat()

    async def _post_letters(self) -> None:
        await letters.post(self._stores.pool, self._stores.settings)

    async def _schedule(self) -> None:
        await schedule.serve(self._stores.pool, PURGE, Purge(), PURGE_AT)

    async def _reconcile(self) -> None:
        await self._each(self._reconcile_event)

    async def _follow_closed(self) -> None:
        """Nobody compares a cancelled event seat by seat, nor meets its epoch: Redis may have gone back in time."""
        for event_id, epoch in (await events.closed(self._stores.pool)).items():
            with suppress(Recovering):  # Redis has nothing of it, until somebody looks at it
                await catch_up(self._stores, event_id, epoch)

    async def _reconcile_event(self, event_id: int) -> None:
        found = await lasting_differences(self._stores, event_id)
        # Postgres may take longer for a booking than two looks are apart, but not from one round to the next.
        known = self._under_way.pop(event_id, [])
        young = [claim for claim in await under_way(self._stores, found) if claim not in known]
        self._under_way[event_id] = young
        if due := [difference for difference in found if difference not in young]:
            done = await repair(self._stores, event_id, due)
            log.warning("event %s: %d of %d differing seats repaired", event_id, done, len(due))


async def work(settings: Settings, stop: asyncio.Event) -> None:
    """The worker's life, from the moment that Postgres answers."""
    while not stop.is_set():
        try:
            async with open_stores(settings) as stores:
                await Worker(stores).run(stop)
        except Unavailable as error:
            log.warning("not working yet, trying again: %s", error.__cause__ or error)
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_SECONDS):
                    await stop.wait()
