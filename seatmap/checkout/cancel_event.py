"""The job that cancels the orders of a cancelled event and owes back what was paid for them."""

import logging
from contextlib import suppress

import msgspec

from seatmap.checkout.rebuild import rebuild
from seatmap.checkout.stores import Stores
from seatmap.errors import Refused, Unavailable
from seatmap.failpoints import failpoint
from seatmap.ledger import jobs, orders
from seatmap.ledger.jobs import Handler
from seatmap.ledger.pool import Pool, connection
from seatmap.ledger.tasks import CancelOrders

CHUNK = 200  # orders under one lock of the event: about 100 ms
SMALLER = 6  # times: the next try where a chunk took longer than a statement may

log = logging.getLogger(__name__)


def canceller(stores: Stores) -> Handler:
    """The job of `CancelOrders`. Twice, or two at once, it does the same: each order is cancelled once."""

    async def cancel_orders(pool: Pool, job_id: int, payload: bytes) -> None:
        event_id = msgspec.json.decode(payload, type=CancelOrders).event_id
        total, done = await orders.count_active(pool, event_id), 0
        await failpoint("cancel_event.before_chunk")
        size = CHUNK
        while True:
            size, count = await _cancel_some(pool, event_id, size)
            if not count:
                break
            done += count
            await failpoint("cancel_event.after_chunk")
            async with connection(pool) as conn:
                await jobs.advance(conn, job_id, min(done, total), total)
        # Its epoch was raised when it was cancelled: Redis follows, without anybody's seats.
        await failpoint("cancel_event.before_rebuild")
        with suppress(Refused):  # of an event that was deleted meanwhile, which has no seats in Redis
            await rebuild(stores, event_id)
        await failpoint("cancel_event.after_rebuild")
        log.info("event %s is cancelled, with %d orders", event_id, done)

    return cancel_orders


async def _cancel_some(pool: Pool, event_id: int, size: int) -> tuple[int, int]:
    """Cancels up to `size` of the event's orders, or fewer where so many take too long: of how many, and how many."""
    while True:
        try:
            return size, await orders.cancel_some_of_event(pool, event_id, size)
        except Unavailable:
            if size == 1:
                raise
            size = max(1, size // SMALLER)
