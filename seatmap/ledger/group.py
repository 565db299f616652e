"""Group commit: the orders that arrive while a commit is under way are the next commit.

No timer: alone, an order waits for nothing; in a rush, up to 256 share one lock, one statement and one fsync.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from uuid import UUID

import msgspec

from seatmap.errors import Unavailable
from seatmap.failpoints import during, failpoint
from seatmap.ledger import orders
from seatmap.ledger.orders import Purchase, Verdict
from seatmap.ledger.pool import Pool, connection
from seatmap.tally import SIZES, Histogram

BATCH_MAX = 256
QUEUE_MAX = 5000
PAY_SECONDS = 900  # where no settings say
AWAY = "Bookings are not possible right now. Your seats stay yours for now; try again in a moment."
LOOK_AHEAD = 4 * BATCH_MAX  # how far a batch looks past orders that must wait for another

_Waiting = tuple[Purchase, asyncio.Future[Verdict]]


class _Lane:
    """One event's queue, and the task that empties it."""

    def __init__(self) -> None:
        self.waiting: deque[_Waiting] = deque()
        self.batch: list[_Waiting] = []  # whose commit is under way
        self.task: asyncio.Task[None] | None = None

    def take(self) -> list[_Waiting]:
        """The next batch. No two of it share an id, a visitor or a seat: the later waits, in its turn."""
        batch: list[_Waiting] = []
        later: list[_Waiting] = []
        ids: set[UUID] = set()
        visitors: set[str] = set()
        seats: set[int] = set()
        for _ in range(min(len(self.waiting), LOOK_AHEAD)):
            if len(batch) == BATCH_MAX:
                break
            entry = self.waiting.popleft()
            purchase = entry[0]
            clash = (
                purchase.order_id in ids
                or purchase.visitor in visitors
                or not seats.isdisjoint(purchase.seats)
            )
            (later if clash else batch).append(entry)
            # Also of one that waits, so that nobody overtakes it.
            ids.add(purchase.order_id)
            visitors.add(purchase.visitor)
            seats.update(purchase.seats)
        self.waiting.extendleft(reversed(later))
        return batch


class GroupCommit:
    """Books orders through one pool; one commit under way per event. Belongs to one event loop.

    Who has something to pay has `pay_s` seconds for it. Once Postgres is found to be away, nobody waits any more.
    """

    def __init__(self, pool: Pool, pay_s: int = PAY_SECONDS) -> None:
        self.batch_sizes = Histogram(SIZES)  # orders in one commit
        self._pool = pool
        self._pay_s = pay_s
        self._lanes: dict[int, _Lane] = {}
        pool.breaker.on_open.append(self._give_up)

    async def book(self, purchase: Purchase) -> Verdict:
        """The order's verdict. Raises `Unavailable` if it is not known: repeat with the same order id.

        A caller that is cancelled leaves its order in the batch: it is decided all the same.
        """
        lane = self._lanes.setdefault(purchase.event_id, _Lane())
        if len(lane.waiting) >= QUEUE_MAX:
            raise Unavailable("Too many people are booking this event at once; try again in a moment.")
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        lane.waiting.append((purchase, future))
        if lane.task is None:
            lane.task = asyncio.create_task(self._drain(purchase.event_id, lane), name="group-commit")
        return await future

    async def close(self) -> None:
        """Waits for what is under way; orders that come later start anew."""
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    def _give_up(self) -> None:
        """Nobody learns anything before Postgres is back. What is under way may still be committed."""
        for lane in self._lanes.values():
            for _, future in [*lane.batch, *lane.waiting]:
                _fail(future, Unavailable(AWAY))
            lane.waiting.clear()

    async def _drain(self, event_id: int, lane: _Lane) -> None:
        try:
            while lane.waiting:
                lane.batch = lane.take()
                await self._decide(event_id, lane.batch)
        finally:
            del self._lanes[event_id]
            for _, future in [*lane.batch, *lane.waiting]:
                _fail(future, Unavailable("Bookings stopped; ask again to learn what became of the order."))

    async def _decide(self, event_id: int, batch: list[_Waiting]) -> None:
        self.batch_sizes.observe(len(batch))
        try:
            verdicts = await self._book(event_id, [purchase for purchase, _ in batch])
        except Unavailable as error:
            for _, future in batch:
                _fail(future, error)
        except Exception as error:
            if len(batch) == 1:
                _fail(batch[0][1], error)
                return
            # One poisoned order must not fail the others; ids make the second try safe.
            for entry in batch:
                await self._decide(event_id, [entry])
        else:
            await self._answer(batch, verdicts)

    async def _book(self, event_id: int, batch: Sequence[Purchase]) -> dict[UUID, Verdict]:
        async with connection(self._pool) as conn:
            await failpoint("book.before_postgres")
            verdicts = await during("book.in_postgres", orders.book(conn, event_id, batch, self._pay_s))
        await failpoint("book.after_commit")
        return verdicts

    async def _answer(self, batch: list[_Waiting], verdicts: dict[UUID, Verdict]) -> None:
        absent: list[_Waiting] = []
        for purchase, future in batch:
            verdict = verdicts.get(purchase.order_id)
            if verdict is None:
                absent.append((purchase, future))
            elif not future.done():
                future.set_result(msgspec.structs.replace(verdict, order_id=purchase.order_id))
        for purchase, future in absent:
            # Decided elsewhere while our insert waited for it.
            try:
                told = await orders.verdict(
                    self._pool, purchase.order_id, purchase.visitor, purchase.body_hash
                )
                assert told is not None, "an order is absent only because it has a verdict"
            except Exception as error:
                _fail(future, error)
            else:
                if not future.done():
                    future.set_result(told)


def _fail(future: asyncio.Future[Verdict], error: Exception) -> None:
    if future.done():
        return
    if isinstance(error, Unavailable):
        # Each caller raises its own: one shared exception would gather the tracebacks of all.
        own = Unavailable(error.detail)
        own.__cause__ = error.__cause__
        error = own
    future.set_exception(error)
