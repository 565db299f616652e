"""More time for every hold of an event, as after an incident."""

from seatmap.booking.commands import Prolong
from seatmap.checkout.stores import Stores

AT_ONCE = 100  # holds of one command: ten thousand would keep Redis from everybody for a second


async def prolong_holds(stores: Stores, event_id: int, ms: int) -> int:
    """Give all holds that there are now `ms` more; how many that were. Raises Unavailable with some of them done."""
    tokens = await stores.state.live_tokens(event_id)
    ids = sorted(token[2:] for token in tokens if token.startswith("h|") and token != "h|-")
    prolonged = 0
    for first in range(0, len(ids), AT_ONCE):
        command = Prolong(ms, ",".join(ids[first : first + AT_ONCE]))
        prolonged += int((await stores.desk.decide(event_id, command)).fields[0])
    return prolonged
