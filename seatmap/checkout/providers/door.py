"""Paying at the door: the box office takes the money, marks the order as paid, and hands refunds out itself."""

from collections.abc import Mapping

from seatmap.errors import Refused
from seatmap.ledger.payments import Message, Payment, Refund


class Door:
    """No session, no messages. An order is confirmed when it is booked."""

    async def begin(self, payment: Payment) -> tuple[str, str]:
        """There is no page to pay on."""
        return f"door-{payment.id}", ""

    def verify(self, headers: Mapping[str, str], body: bytes) -> Message:
        """Nobody sends messages."""
        raise Refused("bad_signature")

    async def end(self, payment: Payment) -> Message | None:
        """There is nothing that could still be paid."""
        return None

    async def refund(self, refund: Refund) -> None:
        """The box office hands it out and says so; it is not sent anywhere."""
        raise Refused("method_not_offered")
