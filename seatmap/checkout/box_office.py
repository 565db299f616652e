"""What the box office does to an order, in both stores, with its entry in the audit log.

Postgres is written first where seats become free, Redis where they are taken; a crash in between is mended by
the reconciler.
"""

from collections.abc import Mapping
from uuid import UUID

from seatmap.booking.commands import Cancel, Settle, Take
from seatmap.checkout.stores import Stores
from seatmap.checkout.taken import give_back
from seatmap.checkout.tell import tell
from seatmap.errors import Refused
from seatmap.failpoints import failpoint
from seatmap.ledger import audit_log, box_office, money_by_hand, orders
from seatmap.ledger.pool import connection


class BoxOffice:
    """Acts for the account `user_id`."""

    def __init__(self, stores: Stores, user_id: int) -> None:
        self._stores = stores
        self._user_id = user_id

    async def cancel(self, order_id: UUID, seats: tuple[int, ...], reason: str, verb: str) -> None:
        """Takes seats of an order back (none named: all), and owes what was paid for them. May be repeated.

        Refuses with order_not_found or order_not_active.
        """
        async with connection(self._stores.pool) as conn, conn.transaction():
            gone = await orders.cancel_within(conn, order_id, None, seats or None, "staff")
            await audit_log.record(
                conn,
                user_id=self._user_id,
                verb=verb,
                object="order",
                event_id=gone.event_id,
                order_id=order_id,
                details={"reason": reason, "seats": gone.seats},
            )
            await failpoint("staff_cancel.before_commit")
        await failpoint("staff_cancel.after_commit")
        await tell(self._stores, gone.event_id, Cancel(order_id.hex, gone.visitor, gone.seats))
        await failpoint("staff_cancel.after_finish")

    async def mark_paid(self, order_id: UUID) -> None:
        """The money was taken at the door. Refuses with order_not_found or not_unpaid."""
        async with connection(self._stores.pool) as conn, conn.transaction():
            event_id = await box_office.mark_paid(conn, order_id)
            await audit_log.record(
                conn,
                user_id=self._user_id,
                verb="mark_paid",
                object="order",
                event_id=event_id,
                order_id=order_id,
                details={},
            )

    async def retry_payment(self, order_id: UUID) -> None:
        """Makes due again what is stuck of an order's money; the cashier does the rest. May be repeated.

        Refuses with order_not_found or not_stuck.
        """
        async with connection(self._stores.pool) as conn, conn.transaction():
            done = await money_by_hand.retry(conn, order_id)
            await audit_log.record(
                conn,
                user_id=self._user_id,
                verb="retry_payment",
                object="order",
                event_id=done.event_id,
                order_id=order_id,
                details={"refunds_again": done.again, "given_back": done.back, "seats": done.seats},
            )
        if done.seats:
            await tell(self._stores, done.event_id, Settle(order_id.hex, done.visitor, done.seats, "freed"))

    async def pay_out(self, order_id: UUID, refund_ids: tuple[int, ...]) -> None:
        """Refunds were handed out at the door. Refuses with order_not_found or refund_not_owed."""
        async with connection(self._stores.pool) as conn, conn.transaction():
            paid = await money_by_hand.pay_out(conn, order_id, refund_ids, self._user_id)
            await audit_log.record(
                conn,
                user_id=self._user_id,
                verb="pay_out",
                object="order",
                event_id=paid.event_id,
                order_id=order_id,
                details={"refunds": refund_ids, "amount": paid.amount, "currency": paid.currency},
            )

    async def reseat(self, event_id: int, order_id: UUID, moves: Mapping[int, int]) -> None:
        """Moves an order to other seats, old → new, all or none, at the price that was paid.

        Repeating it answers the same. Refuses with what `Take` and `reseat_order` refuse for.
        """
        new, old = tuple(moves.values()), tuple(moves)
        if not moves or set(new) & set(old):
            raise Refused("cannot_reseat")
        visitor = await orders.visitor_of(self._stores.pool, order_id)
        has = await orders.seats_of(self._stores.pool, order_id)
        # By a try whose answer was lost.
        has_moved = all(has.get(seat) for seat in new) and all(has.get(seat) is False for seat in old)
        if not has_moved:
            await self._move(event_id, order_id, visitor, moves)
        await failpoint("reseat.after_commit")
        await tell(self._stores, event_id, Settle(order_id.hex, visitor, new, "moved"))
        await failpoint("reseat.after_settle")
        await tell(self._stores, event_id, Cancel(order_id.hex, visitor, old))
        await failpoint("reseat.after_finish")

    async def _move(self, event_id: int, order_id: UUID, visitor: str, moves: Mapping[int, int]) -> None:
        new = tuple(moves.values())
        await failpoint("reseat.before_take")
        taken = await self._stores.desk.decide(event_id, Take(order_id.hex, visitor, new))
        await failpoint("reseat.after_take")
        try:
            async with connection(self._stores.pool) as conn, conn.transaction():
                await box_office.reseat(conn, order_id, taken.position.epoch, moves)
                await audit_log.record(
                    conn,
                    user_id=self._user_id,
                    verb="reseat",
                    object="order",
                    event_id=event_id,
                    order_id=order_id,
                    details={"seats": {str(seat): other for seat, other in moves.items()}},
                )
                await failpoint("reseat.before_commit")
        except Refused:
            await give_back(self._stores, event_id, order_id, visitor, new)
            raise
