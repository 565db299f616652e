"""Book and cancel: the write path across both stores (DESIGN §4).

BEGIN in Redis → one Postgres statement for many orders → the acknowledgement → FINISH in Redis. A crash
after any step is settled by the resolver, or by the buyer's retry with the same order id.
"""

import asyncio
import hashlib
import logging

from seatmap.booking import commands
from seatmap.checkout.stores import Stores
from seatmap.errors import Refused, SeatmapError, Unavailable
from seatmap.failpoints import UNDER_WAY_S, during, failpoint
from seatmap.ledger import events, orders
from seatmap.ledger.group import AWAY, GroupCommit
from seatmap.ledger.orders import Purchase, Verdict
from seatmap.protocol import Book, Cancel
from seatmap.tally import Histogram

# Refusals that say something about another order than this one, which is therefore left undecided.
UNDECIDED = frozenset({"order_reused"})

# By what Redis is told after the buyer was: the failpoints before and after it.
_FAILPOINTS: dict[type, tuple[str, str]] = {
    commands.Finish: ("book.after_ack", "book.after_finish"),
    commands.Cancel: ("cancel.after_ack", "cancel.after_finish"),
}

FINISH_SECONDS = 0.25  # that a buyer's next command waits at most for Redis to know of the last order

log = logging.getLogger(__name__)


class Checkout:
    """Books and cancels orders of any event for one process."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._ledger = GroupCommit(stores.pool, stores.settings.pay_seconds)
        self._finishing: dict[str, asyncio.Task[None]] = {}  # by visitor

    async def book(self, event_id: int, visitor: str, order: Book) -> bool:
        """Buy exactly the seats of a hold. True: booked now, with nothing to pay; False: read what it stands at.

        Raises Refused once that is written down for ever, Unavailable while it is unknown.
        """
        if self._stores.pool.breaker.is_open:
            await self._sustain(event_id, visitor)
            raise Unavailable(AWAY)
        body = _body_hash(event_id, order)
        await failpoint("book.before_begin")
        begin = commands.Begin(visitor, order.hold_id, order.order_id.hex, body.hex(), order.seats)
        try:
            begun = await self._stores.desk.decide(event_id, begin, epoch=order.epoch)
        except Refused as refusal:
            if refusal.code in UNDECIDED:
                raise
            await failpoint("book.before_refusal")
            verdict = await self._write_down(_purchase(event_id, 0, visitor, order, body), refusal)
            await failpoint("book.after_refusal")
            if verdict.outcome == "committed":
                return False
            raise _refused(verdict, refusal) from None
        await failpoint("book.after_begin")
        purchase = _purchase(event_id, begun.position.epoch, visitor, order, body)
        try:
            verdict = await self._ledger.book(purchase)
        except Unavailable:
            await self._sustain(event_id, visitor)
            raise
        if verdict.outcome == "committed":
            # Without a standing it is a retry: the order may have been paid or cancelled since.
            standing = verdict.standing if begun.word == "BEGUN" else ""
            standing = standing or await orders.standing(self._stores.pool, order.order_id) or "confirmed"
            self._later(event_id, visitor, commands.Finish(order.order_id.hex, orders.FINISHED[standing]))
            return standing == "free"
        # The seats are back in their hold before the buyer is told, so that the next click finds them there.
        finish = commands.Finish(order.order_id.hex, verdict.outcome)
        await self._tell_redis(event_id, finish, "book.before_finish", "book.after_finish")
        if verdict.reason == "wrong_epoch":
            await self._compare_epochs(event_id, purchase.epoch)
        raise _refused(verdict)

    async def cancel(self, visitor: str, order: Cancel) -> None:
        """Give an order back. Repeating it answers the same."""
        await failpoint("cancel.before_postgres")
        gone = await during("cancel.in_postgres", orders.cancel(self._stores.pool, order.order_id, visitor))
        await failpoint("cancel.after_commit")
        self._later(gone.event_id, visitor, commands.Cancel(order.order_id.hex, visitor, gone.seats))

    async def close(self) -> None:
        """Wait for what was acknowledged and is not in Redis yet."""
        await self._ledger.close()
        await asyncio.gather(*self._finishing.values(), return_exceptions=True)

    async def _write_down(self, purchase: Purchase, refusal: Refused) -> Verdict:
        """Redis alone refuses nobody: the order may have been booked by an earlier try."""
        return await orders.decide(self._stores.pool, purchase, "refused", refusal.code)

    async def _compare_epochs(self, event_id: int, epoch: int) -> None:
        """Have the event rebuilt if a rebuild that died has left Redis behind Postgres: nothing would commit."""
        try:
            event = await events.get(self._stores.pool, event_id)
            if event is not None and event.epoch != epoch:
                await self._stores.state.mark_behind(event_id, epoch)
        except SeatmapError as error:
            log.warning("event %s: the next refused order compares the epochs: %s", event_id, error)

    @property
    def batch_sizes(self) -> Histogram:
        """How many orders shared a commit."""
        return self._ledger.batch_sizes

    async def settled(self, visitor: str) -> None:
        """Returns once Redis knows of the visitor's last order, or soon; the next click would find it undecided."""
        task = self._finishing.get(visitor)
        if task is not None:
            await asyncio.wait({task}, timeout=FINISH_SECONDS)

    def _later(self, event_id: int, visitor: str, command: commands.Command) -> None:
        task = asyncio.get_running_loop().create_task(
            self._tell_redis(event_id, command, *_FAILPOINTS[type(command)])
        )
        self._finishing[visitor] = task

        def forget(done: asyncio.Task[None]) -> None:
            if self._finishing.get(visitor) is done:
                del self._finishing[visitor]

        task.add_done_callback(forget)

    async def _sustain(self, event_id: int, visitor: str) -> None:
        """Nobody should lose their seats because Postgres is away while they pay for them."""
        try:
            await self._stores.desk.decide(event_id, commands.Sustain(visitor))
        except SeatmapError as error:
            log.info("event %s: a hold is not sustained: %s", event_id, error)

    async def _tell_redis(self, event_id: int, command: commands.Command, before: str, after: str) -> None:
        try:
            await failpoint(before, after_s=UNDER_WAY_S)
            await self._stores.desk.decide(event_id, command)
            await failpoint(after)
        except SeatmapError as error:
            # The verdict stands in Postgres; the resolver or the reconciler brings Redis there.
            log.warning("event %s: %s is left to the resolver: %s", event_id, command, error)


def _body_hash(event_id: int, order: Book) -> bytes:
    """What makes two orders with one id the same order."""
    seats = ",".join(map(str, sorted(order.seats)))
    # With its hold, which is made once: else an order that was cancelled would pass for a purchase of new holds.
    parts: tuple[str, ...] = (str(event_id), order.hold_id, seats, str(order.total), order.name, order.email)
    if order.payment_method:
        parts = (*parts, order.payment_method)
    return hashlib.sha256("\0".join(parts).encode()).digest()


def _purchase(event_id: int, epoch: int, visitor: str, order: Book, body: bytes) -> Purchase:
    return Purchase(
        order_id=order.order_id,
        event_id=event_id,
        epoch=epoch,
        visitor=visitor,
        seats=order.seats,
        total=order.total,
        name=order.name,
        email=order.email,
        body_hash=body,
        method=order.payment_method,
    )


def _refused(verdict: Verdict, refusal: Refused | None = None) -> Refused:
    if refusal is not None and verdict.reason == refusal.code:
        return refusal
    return Refused(verdict.reason or "order_aborted")
