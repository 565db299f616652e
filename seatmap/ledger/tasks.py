"""What an event's background jobs are given: the payloads, known to who enqueues and to who works."""

from msgspec import Struct

GENERATE_SEATS = "generate_seats"
COPY_SEATS = "copy_seats"
CANCEL_ORDERS = "cancel_orders"


class GenerateSeats(Struct, frozen=True):
    """Write an event's seats from its plan; `publish` it when they are all there."""

    event_id: int
    publish: bool = True


class CopySeats(Struct, frozen=True):
    """Give a copied event the seats of the event that it was made from."""

    event_id: int
    source: int


class CancelOrders(Struct, frozen=True):
    """Cancel all orders of a cancelled event, and owe back what was paid for them."""

    event_id: int
