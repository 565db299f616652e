"""The mail that confirms an order."""

from seatmap.model import Order


def confirmation(order: Order) -> tuple[str, str]:
    """Subject and text."""
    seats = "\n".join(f"  {seat.label}" for seat in order.seats if seat.status == "confirmed")
    return (
        f"Your seats for {order.event_name}",
        f"Dear {order.name},\n\nyour seats for {order.event_name} are booked:\n\n{seats}\n\n"
        f"Your order: {order.id}\n",
    )
