"""A card company to try things with: its buyers choose on its page how the payment goes.

It has its own memory and signs its messages, so Seatmap meets in it what it would meet in a real one: a message
that comes late, twice, or before another that was sent earlier.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Literal
from uuid import uuid4

import msgspec
from msgspec import Struct

from seatmap.errors import Refused
from seatmap.ledger import card_company
from seatmap.ledger.payments import Message, Payment, Refund, SessionState
from seatmap.ledger.pool import Pool

SIGNATURE = "seatmap-signature"  # t=<seconds>,v1=<hex of HMAC-SHA-256 of "t.body">
TOLERANCE_S = 300  # by which a message's time may differ from ours
SLOW_S = 10.0
LATE_S = 10.0  # after the time to pay is over

Outcome = Literal["approve", "decline", "slow", "late", "twice", "out_of_order"]


class Delivery(Struct, frozen=True):
    """A signed message to send, some seconds from now."""

    after_s: float
    headers: dict[str, str]
    body: bytes


class TestCard:
    """The provider `test_card`."""

    __test__ = False  # pytest collects what is called so

    def __init__(self, pool: Pool, secret: bytes) -> None:
        self._pool = pool
        self._key = hmac.digest(secret, b"test card", "sha256")

    async def begin(self, payment: Payment) -> tuple[str, str]:
        """A session and its page; the same however often it is asked for."""
        session = await card_company.open_session(
            self._pool, uuid4().hex, payment.id, payment.amount, payment.currency
        )
        return session, f"/static/test-card.html?session={session}"

    def verify(self, headers: Mapping[str, str], body: bytes) -> Message:
        """What a message says. Refuses with bad_signature or invalid."""
        parts = dict(part.split("=", 1) for part in headers.get(SIGNATURE, "").split(",") if "=" in part)
        told = parts.get("t", "")
        if not (told.isascii() and told.isdigit() and len(told) < 15):
            raise Refused("bad_signature")
        if not hmac.compare_digest(self._sign(told, body).encode(), parts.get("v1", "").encode()):
            raise Refused("bad_signature")
        if abs(time.time() - int(told)) > TOLERANCE_S:
            raise Refused("bad_signature")
        try:
            return msgspec.json.decode(body, type=Message)
        except msgspec.DecodeError as error:
            raise Refused("invalid", f"{error}.") from None

    async def end(self, payment: Payment) -> Message | None:
        """Closes a session; what it says if it was paid already. Refunds make a paid one no less paid."""
        _, state, amount, currency = await card_company.close_session(self._pool, payment.session, "ended")
        if state != "paid":
            return None
        return Message(
            id=f"paid-{payment.session}",
            session=payment.session,
            outcome="captured",
            amount=amount,
            currency=currency.strip(),
        )

    async def refund(self, refund: Refund) -> None:
        """Pays back, once per refund."""
        await card_company.pay_back(self._pool, refund.id, refund.session, refund.amount)

    async def press(self, payment: Payment, outcome: Outcome) -> list[Delivery]:
        """What the buyer does on the page; the messages that follow. Refuses with payment_closed."""
        # A late payment is one whose session was already given up when the money moved.
        state = {"decline": "declined", "late": "ended"}.get(outcome, "paid")
        did, _, amount, currency = await card_company.close_session(self._pool, payment.session, state)
        if not did:
            raise Refused("payment_closed")
        late = payment.pay_by_ms / 1000 + LATE_S

        def message(says: SessionState, after_s: float = 0.0) -> Delivery:
            return self.message(payment.session, says, amount, currency.strip(), after_s=after_s)

        captured = message("captured")
        return {
            "approve": [captured],
            "decline": [message("failed")],
            "slow": [message("authorized"), message("captured", SLOW_S)],
            "late": [message("captured", late)],
            "twice": [captured, captured],
            "out_of_order": [captured, message("authorized")],
        }[outcome]

    def message(
        self, session: str, outcome: SessionState, amount: int, currency: str, *, after_s: float = 0.0
    ) -> Delivery:
        """A signed message; its id is new."""
        body = msgspec.json.encode(
            Message(id=uuid4().hex, session=session, outcome=outcome, amount=amount, currency=currency)
        )
        told = str(int(time.time() + after_s))
        return Delivery(after_s, {SIGNATURE: f"t={told},v1={self._sign(told, body)}"}, body)

    def _sign(self, told: str, body: bytes) -> str:
        return hmac.new(self._key, told.encode() + b"." + body, hashlib.sha256).hexdigest()
