"""Seats that TAKE has claimed for an order which Postgres then refused."""

import logging
from uuid import UUID

from seatmap.booking.commands import Settle
from seatmap.checkout.stores import Stores
from seatmap.errors import SeatmapError
from seatmap.ledger import orders

log = logging.getLogger(__name__)


async def give_back(
    stores: Stores, event_id: int, order_id: UUID, visitor: str, seats: tuple[int, ...]
) -> None:
    """Frees them, but for those that the order has: an earlier try may have been faster than its answer.

    Where one store does not answer, the reconciler frees them.
    """
    try:
        has = await orders.seats_of(stores.pool, order_id)
        free = tuple(seat for seat in seats if not has.get(seat))
        if free:
            await stores.desk.decide(event_id, Settle(order_id.hex, visitor, free, "returned"))
    except SeatmapError as error:
        log.warning(
            "event %s: the seats of order %s are left to the reconciler: %s", event_id, order_id, error
        )
