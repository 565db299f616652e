"""The cashier: what joins payment providers, Postgres and the seats in Redis.

Postgres alone ends a claim (rule 13 of docs/rules.md); Redis is told afterwards, and the reconciler tells it if
nobody did. Everything here can be done again, by another process, after a crash at any step.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from uuid import UUID

import msgspec

from seatmap.booking.commands import Begin, Finish, Hold, Settle
from seatmap.checkout.providers.door import Door
from seatmap.checkout.providers.test_card import TestCard
from seatmap.checkout.stores import Stores
from seatmap.checkout.tell import tell
from seatmap.errors import Refused, SeatmapError, Unavailable
from seatmap.failpoints import during, failpoint
from seatmap.ledger import instance, orders, payments
from seatmap.ledger.orders import Purchase
from seatmap.ledger.payments import Late, Message, Payment, Refund, Settled
from seatmap.model import Order, PaymentPage

LATE_PATIENCE_S = 60.0  # that a late payment waits for a Redis that is away, before it goes back

_ENDED = {"confirmed": "confirmed", "cancelled": "freed"}

log = logging.getLogger(__name__)


class Provider(Protocol):
    """A way to pay. It fits a hosted page with signed webhooks; all of it may be asked for twice."""

    async def begin(self, payment: Payment) -> tuple[str, str]:
        """A session to pay in, and its page."""

    def verify(self, headers: Mapping[str, str], body: bytes) -> Message:
        """What a message says. Refuses with bad_signature or invalid."""

    async def end(self, payment: Payment) -> Message | None:
        """Makes sure that a session cannot be paid any more; what it says if it was. Raises Unavailable."""

    async def refund(self, refund: Refund) -> None:
        """Pays back, once per refund id. Refuses what can never be; raises Unavailable where it may be later."""


async def open_cashier(stores: Stores) -> "Cashier":
    """The cashier with every way to pay that there is."""
    secret = stores.settings.secret.encode() or await instance.secret(stores.pool)
    return Cashier(stores, {"test_card": TestCard(stores.pool, secret), "door": Door()})


class Cashier:
    """Takes money and gives it back, for any event."""

    def __init__(self, stores: Stores, providers: Mapping[str, Provider]) -> None:
        self._stores = stores
        self.providers = providers

    def provider(self, name: str) -> Provider:
        """A way to pay. Refuses with method_not_offered."""
        found = self.providers.get(name)
        if found is None:
            raise Refused("method_not_offered")
        return found

    async def with_page(self, order: Order) -> Order:
        """The order with the page to pay it on, which is opened if it has none yet."""
        if order.checkout is None or order.checkout.url:
            return order
        payment = await payments.of_order(self._stores.pool, order.id)
        provider = self.providers.get(order.checkout.provider)
        if payment is None or provider is None:
            return order
        session, url = await provider.begin(payment)
        await failpoint("pay.after_session")
        await payments.opened(self._stores.pool, payment.id, session, url)
        return msgspec.structs.replace(order, checkout=PaymentPage(payment.provider, url))

    async def receive(self, name: str, headers: Mapping[str, str], body: bytes) -> Settled:
        """Carries out a provider's message. Refuses with bad_signature, invalid or payment_not_found."""
        return await self._settle(name, self.provider(name).verify(headers, body))

    async def _settle(self, name: str, message: Message) -> Settled:
        await failpoint("pay.before_postgres")
        settled = await during("pay.in_postgres", payments.settle(self._stores.pool, name, message))
        await failpoint("pay.after_commit")
        log.info("payment of order %s: %s is %s", settled.order_id, message.outcome, settled.result)
        if settled.standing in _ENDED:
            settle = Settle(settled.order_id.hex, settled.visitor, settled.seats, _ENDED[settled.standing])
            await self._tell(settled.event_id, settle)
            await failpoint("pay.after_finish")
        if settled.result == "late":
            await self.reseat_late()
        return settled

    async def _tell(self, event_id: int, command: Settle | Finish) -> None:
        await tell(self._stores, event_id, command)

    # ---- beats ----

    async def beat(self) -> None:
        """What has to happen by itself: expiry, late payments, refunds. Two at once do no harm."""
        works: tuple[Callable[[], Awaitable[int]], ...] = (
            self.expire,
            self.end_sessions,
            self.reseat_late,
            self.send_refunds,
        )
        for work in works:
            try:
                await work()
            except SeatmapError as error:
                log.warning("payments: %s", error)

    async def expire(self) -> int:
        """Ends the orders whose time to pay is over; how many."""
        ended = 0
        for payment in await payments.overdue(self._stores.pool):
            try:
                ended += await self._expire(payment)
            except SeatmapError as error:
                # It may have been paid: the seats stay claimed, and the payment is shown as stuck.
                log.warning("order %s cannot be ended yet: %s", payment.order_id, error)
        return ended

    async def _expire(self, payment: Payment) -> bool:
        """The session ends first: what is paid after that is late, and what was paid before is told by it."""
        if payment.session:
            paid = await self.provider(payment.provider).end(payment)
            await failpoint("pay_expire.after_end")
            if paid is not None:
                await self._settle(payment.provider, paid)
                if paid.outcome == "authorized":
                    return False  # the money is still to come
        gone = await payments.expire(self._stores.pool, payment.order_id)
        if gone is None:
            return False
        await failpoint("pay_expire.after_commit")
        await self._tell(gone.event_id, Settle(payment.order_id.hex, gone.visitor, gone.seats, "freed"))
        await failpoint("pay_expire.after_finish")
        return True

    async def end_sessions(self) -> int:
        """Ends the sessions of orders that ended before they were paid; how many.

        Whoever cancels an order does not wait for its provider. If the session was paid, in a message that was
        lost or is still to come, that money is late.
        """
        ended = 0
        for payment in await payments.to_end(self._stores.pool):
            try:
                paid = await self.provider(payment.provider).end(payment)
                if paid is not None:
                    await self._settle(payment.provider, paid)
                await payments.session_ended(self._stores.pool, payment.id)
                ended += 1
            except SeatmapError as error:
                log.warning("the session of order %s is ended later: %s", payment.order_id, error)
        return ended

    async def send_refunds(self) -> int:
        """Pays back what is due; how many refunds."""
        done = 0
        for refund in await payments.refunds_to_send(self._stores.pool):
            try:
                await failpoint("refund.before_send")
                await self.provider(refund.provider).refund(refund)
                await failpoint("refund.after_send")
            except Unavailable as error:
                log.warning("refund %s is sent again later: %s", refund.id, error)
                continue
            except Refused as error:
                log.error("refund %s is stuck: %s", refund.id, error)
                await payments.refund_ended(self._stores.pool, refund.id, done=False)
                continue
            await payments.refund_ended(self._stores.pool, refund.id, done=True)
            done += 1
        return done

    async def retry(self, order_id: UUID) -> None:
        """The beat of one order, now. Raises Unavailable, which says what does not answer."""
        for payment in await payments.overdue(self._stores.pool, order_id):
            await self._expire(payment)
        for late in await payments.late(self._stores.pool, order_id):
            await self._reseat_late(late)
        await self.send_refunds()

    # ---- late payments (rule 14 of docs/rules.md) ----

    async def reseat_late(self) -> int:
        """Gives late payments their seats again, or the money back; how many were decided."""
        decided = 0
        for late in await payments.late(self._stores.pool):
            try:
                await self._reseat_late(late)
                decided += 1
            except Unavailable as error:
                log.warning("late payment %s waits: %s", late.payment_id, error)
                if late.age_s > LATE_PATIENCE_S:
                    await self._refuse_late(late, "unavailable")
        return decided

    async def _reseat_late(self, late: Late) -> None:
        # Its buyer may be holding other seats by now, so these are held under a name of the order's own.
        visitor = _visitor(late)
        decide = self._stores.desk.decide
        hold_id = ""
        try:
            try:
                hold_id = (await decide(late.event_id, Hold(visitor, "", late.seats))).mine.hold_id
            except Refused as refusal:
                if refusal.code != "in_checkout":  # an earlier try came as far as BEGIN, which will know it
                    raise
            await failpoint("pay_late.after_hold")
            begin = Begin(visitor, hold_id, late.order_id.hex, _body(late).hex(), late.seats)
            begun = await decide(late.event_id, begin)
            await failpoint("pay_late.after_begin")
        except Refused as refusal:
            await self._refuse_late(late, refusal.code)
            return
        outcome = await payments.reseat_late(self._stores.pool, late, _purchase(late, begun.position.epoch))
        await failpoint("pay_late.after_commit")
        log.info("late payment %s: %s", late.payment_id, outcome)
        verdict = "confirmed" if outcome == "committed" else outcome
        await self._tell(late.event_id, Finish(late.order_id.hex, verdict))
        await failpoint("pay_late.after_finish")

    async def _refuse_late(self, late: Late, why: str) -> None:
        """Redis alone refuses nobody: an earlier try may have been booked."""
        verdict = await orders.decide(self._stores.pool, _purchase(late, 0), "refused", why)
        if verdict.outcome != "committed":
            await payments.give_back(self._stores.pool, late)


def _visitor(late: Late) -> str:
    return f"late-{late.order_id.hex}"


def _body(late: Late) -> bytes:
    return hashlib.sha256(f"late {late.payment_id}".encode()).digest()


def _purchase(late: Late, epoch: int) -> Purchase:
    return Purchase(
        order_id=late.order_id,
        event_id=late.event_id,
        epoch=epoch,
        visitor=_visitor(late),
        seats=late.seats,
        total=late.amount,
        name=late.name,
        email=late.email,
        body_hash=_body(late),
        method=late.provider,
        paid_by=late.payment_id,
    )
