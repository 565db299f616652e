"""The resolver: settles orders that stayed undecided, because whoever began them is gone or was cut off."""

import logging
from uuid import UUID

from seatmap.booking.commands import Finish
from seatmap.booking.state import Undecided
from seatmap.checkout.stores import Stores
from seatmap.errors import SeatmapError
from seatmap.failpoints import failpoint
from seatmap.ledger import orders

log = logging.getLogger(__name__)


async def resolve(stores: Stores, event_id: int) -> int:
    """Settle what has been undecided for too long; how many orders that were."""
    found = await stores.state.undecided(event_id, age_ms=stores.settings.resolve_after_ms)
    settled = 0
    for order in found:
        try:
            await failpoint("resolve.before_tombstone")
            verdict = await _verdict(stores, event_id, order)
            await failpoint("resolve.before_finish")
            await stores.desk.decide(event_id, Finish(order.order_id, verdict))
            await failpoint("resolve.after_finish")
        except SeatmapError as error:
            log.warning("order %s stays undecided: %s", order.order_id, error)
        else:
            log.info("order %s was undecided and is %s", order.order_id, verdict)
            settled += 1
            stores.counts["orders_resolved"] += 1
    return settled


async def _verdict(stores: Stores, event_id: int, order: Undecided) -> str:
    """Plant the tombstone, then read what stands: whichever of it and the booking came first has won."""
    order_id = UUID(order.order_id)
    decided = await orders.abort(stores.pool, order_id, event_id, order.visitor, bytes.fromhex(order.body))
    if decided.outcome != "committed":
        return decided.outcome
    # A confirmed order may have been cancelled since.
    return orders.FINISHED[await orders.standing(stores.pool, order_id) or "confirmed"]
