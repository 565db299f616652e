"""Telling Redis what Postgres has decided."""

import logging

from seatmap.booking.commands import Command
from seatmap.checkout.stores import Stores
from seatmap.errors import SeatmapError

log = logging.getLogger(__name__)


async def tell(stores: Stores, event_id: int, command: Command) -> None:
    """Carry a command out; where Redis does not answer, the reconciler does what it would have done."""
    try:
        await stores.desk.decide(event_id, command)
    except SeatmapError as error:
        log.warning("event %s: %s is left to the reconciler: %s", event_id, command, error)
