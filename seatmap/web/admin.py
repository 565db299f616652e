"""What staff can call about events, plans, the log and the settings, together."""

from seatmap.web.admin_audit import Audit
from seatmap.web.admin_events import EventDesk
from seatmap.web.admin_plans import Plans
from seatmap.web.admin_seats import SeatDesk
from seatmap.web.admin_settings import SettingsInForce
from seatmap.web.admin_venue import VenueDesk
from seatmap.web.endpoint import Endpoint
from seatmap.web.rooms import Rooms


def endpoints(rooms: Rooms) -> list[Endpoint]:
    """All of them."""
    pool, settings = rooms.stores.pool, rooms.stores.settings
    return [
        *EventDesk(rooms).endpoints(),
        *SeatDesk(rooms).endpoints(),
        *VenueDesk(rooms).endpoints(),
        *Plans(pool).endpoints(),
        *Audit(pool).endpoints(),
        *SettingsInForce(settings).endpoints(),
    ]
