"""A random story of a ledger, to be told by two of them: what is asked follows from a seed and from earlier answers.

Answers are reduced to what both must agree on: no times, no numbers that Postgres may give in any order.
"""

import random
from collections.abc import Awaitable
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from seatmap.errors import SeatmapError
from seatmap.ledger import card_company, events, orders, payments
from seatmap.ledger.orders import Purchase
from seatmap.ledger.payments import Late, Message, Payment
from seatmap.ledger.pool import connection

EVENT, SEATS, BLOCKED = 1, 8, 7
VISITORS = ("ann", "bob", "eve")
PRICES = (2000, 1000)
CARD = "test_card"
METHODS = ("free", CARD, "door")

# Left out of answers: what a clock or an identity column decides.
_TIMED = {"age_s", "pay_by_ms", "created_at", "updated_at", "payment_id", "label", "starts_at", "plan_id"}


class Story:
    """Asks a ledger through `pool`, and keeps the answers."""

    def __init__(self, pool: Any, seed: int) -> None:
        self.pool = pool
        self.rng = random.Random(seed)
        self.answers: list[tuple[str, Any]] = []
        self.placed: list[Purchase] = []
        self.sessions: list[tuple[str, int]] = []  # with the sum that it is for
        self.messages: list[str] = ["m0"]
        self.late: list[Late] = []
        self.sent: list[int] = []
        self.epoch = 0
        self.names: dict[UUID, str] = {}

    async def tell(self, length: int) -> None:
        """The story, in so many steps."""
        steps = [self.book] * 5 + [self.decide] + [self.read] * 2 + [self.cancel] * 2 + [self.look]
        steps += (
            [self.open_session] * 2
            + [self.settle] * 4
            + [self.expire] * 2
            + [self.reseat] * 2
            + [self.refund] * 2
        )
        for step in range(length):
            if step == length * 3 // 4 and self.rng.random() < 0.4:
                await self.close_event()
            await self.rng.choice(steps)()
        await self.look()
        await self.name_the_late()

    async def ask(self, what: str, call: Awaitable[Any]) -> Any:
        """Note the answer, or the error."""
        try:
            answer = await call
        except (SeatmapError, asyncpg.PostgresError) as error:
            answer = (type(error).__name__, getattr(error, "code", ""))
            self.answers.append((what, answer))
            return None
        self.answers.append((what, self.plain(answer)))
        return answer

    def plain(self, answer: Any) -> Any:
        """Without times and the ids that chance gives."""
        if isinstance(answer, UUID):
            return self.names.get(UUID(int=answer.int), str(answer))
        if isinstance(answer, msgspec.Struct):
            fields = {name: getattr(answer, name) for name in answer.__struct_fields__ if name not in _TIMED}
            if isinstance(answer, Payment):
                del fields["id"]
            return type(answer).__name__, self.plain(fields)
        if isinstance(answer, dict):
            return {self.plain(key): self.plain(value) for key, value in answer.items()}
        if isinstance(answer, list | tuple):
            return [self.plain(value) for value in answer]
        return answer

    # ---- steps ----

    def purchase(self) -> Purchase:
        rng = self.rng
        if self.placed and rng.random() < 0.2:
            known = rng.choice(self.placed)
            return known if rng.random() < 0.7 else msgspec.structs.replace(known, body_hash=b"other")
        seats = tuple(rng.sample(range(SEATS + (rng.random() < 0.1)), rng.choice((0, 1, 1, 2, 2, 3))))
        total = sum(PRICES[seat % 2] for seat in seats) + (rng.random() < 0.05)
        return Purchase(
            order_id=UUID(int=rng.getrandbits(128), version=4),
            event_id=EVENT,
            epoch=self.epoch - (rng.random() < 0.05),
            visitor=rng.choice(VISITORS),
            seats=seats,
            total=int(total),
            name="Ada",
            email="ada@example.org",
            body_hash=repr(seats).encode(),
            method=rng.choice(("", *METHODS, CARD, CARD, "cheque")),
        )

    async def book(self) -> None:
        batch = {
            purchase.order_id: purchase
            for purchase in (self.purchase() for _ in range(self.rng.choice((1, 1, 2, 3))))
        }
        pay_s = self.rng.choice((1000, -1))  # there is time, or it is over

        async def call() -> Any:
            async with connection(self.pool) as conn:
                return await orders.book(conn, EVENT, list(batch.values()), pay_s)

        told = await self.ask("book", call())
        if told is not None:
            self.placed += batch.values()

    async def decide(self) -> None:
        purchase = self.purchase()
        self.placed.append(purchase)
        if self.rng.random() < 0.5:
            await self.ask("decide", orders.decide(self.pool, purchase, "refused", "seat_taken"))
        else:
            call = orders.abort(self.pool, purchase.order_id, EVENT, purchase.visitor, purchase.body_hash)
            await self.ask("abort", call)

    async def read(self) -> None:
        purchase = self.rng.choice(self.placed) if self.placed else self.purchase()
        order_id = purchase.order_id
        await self.ask("verdict", orders.verdict(self.pool, order_id, purchase.visitor, purchase.body_hash))
        await self.ask("standing", orders.standing(self.pool, order_id))
        await self.ask("visitor", orders.visitor_of(self.pool, order_id))
        await self.ask("order", orders.get(self.pool, order_id, purchase.visitor))
        await self.ask("payment", payments.of_order(self.pool, order_id))

    async def cancel(self) -> None:
        if not self.placed:
            return
        purchase, rng = self.rng.choice(self.placed), self.rng
        visitor = rng.choice((purchase.visitor, purchase.visitor, None, "mallory"))
        seats = list(purchase.seats[:1]) if rng.random() < 0.3 else None
        await self.ask("cancel", orders.cancel(self.pool, purchase.order_id, visitor, seats))

    async def look(self) -> None:
        await self.ask("event", events.get(self.pool, EVENT))
        await self.ask("published", events.published(self.pool))
        await self.ask("closed", events.closed(self.pool))
        await self.ask("occupied", events.occupied(self.pool, EVENT))
        await self.ask("count", orders.count_active(self.pool, EVENT))
        if self.rng.random() < 0.2:
            self.epoch = await self.ask("epoch", events.raise_epoch(self.pool, EVENT))

    async def close_event(self) -> None:
        """As an admin does, without the job."""

        async def cancel() -> Any:
            async with connection(self.pool) as conn, conn.transaction():
                return await events.cancel_within(conn, EVENT)

        self.epoch = await self.ask("cancel event", cancel())
        # They are taken in the order of their ids, which chance gives to those of late payments.
        some = 100 if self.names else 2
        await self.ask("cancel some", orders.cancel_some_of_event(self.pool, EVENT, some))
        if self.rng.random() < 0.5:
            await self.ask("cancel more", orders.cancel_some_of_event(self.pool, EVENT, 100))

    async def open_session(self) -> None:
        for purchase in self.placed:
            payment = await payments.of_order(self.pool, purchase.order_id)
            if payment is not None and not payment.session:
                name = f"s{len(self.sessions)}"
                opening = card_company.open_session(
                    self.pool, name, payment.id, payment.amount, payment.currency
                )
                await self.ask("session", opening)
                await payments.opened(self.pool, payment.id, name, "/pay")
                await payments.opened(self.pool, payment.id, "another", "/other")
                self.sessions.append((name, payment.amount))
                await self.ask("of session", payments.of_session(self.pool, CARD, name))
                return

    async def settle(self) -> None:
        rng = self.rng
        name, amount = rng.choice(self.sessions) if self.sessions and rng.random() < 0.95 else ("nobody's", 1)
        if rng.random() < 0.2:
            state = rng.choice(("paid", "declined", "ended"))
            await self.ask("press", card_company.close_session(self.pool, name, state))
        message = rng.choice(self.messages) if rng.random() < 0.15 else f"m{len(self.messages)}"
        self.messages.append(message)
        outcome = rng.choice(("captured", "captured", "captured", "failed", "authorized"))
        asked = Message(
            id=message, session=name, outcome=outcome, amount=amount + (rng.random() < 0.05), currency="EUR"
        )
        await self.ask("settle", payments.settle(self.pool, CARD, asked))
        if rng.random() < 0.3:
            await self.ask("to end", payments.to_end(self.pool))

    async def expire(self) -> None:
        due = await self.ask("overdue", payments.overdue(self.pool)) or ()
        if self.placed and self.rng.random() < 0.2:
            chosen = self.rng.choice(self.placed).order_id
        elif due:
            chosen = min((payment.order_id for payment in due), key=lambda order_id: order_id.bytes)
        else:
            return
        await self.ask("expire", payments.expire(self.pool, chosen))

    async def name_the_late(self) -> None:
        """The ids of their new orders are drawn by the ledger."""
        for late in await payments.late(self.pool):
            self.names.setdefault(late.order_id, f"late {len(self.late)}")
            self.late.append(late)

    async def reseat(self) -> None:
        await self.name_the_late()
        await self.ask("late", payments.late(self.pool))
        if not self.late:
            return
        late = self.late.pop(self.rng.randrange(len(self.late)))
        if self.rng.random() < 0.2:
            await self.ask("give back", payments.give_back(self.pool, late))
            return
        again = Purchase(
            order_id=late.order_id,
            event_id=EVENT,
            epoch=self.epoch,
            visitor="late",
            seats=late.seats,
            total=late.amount,
            name=late.name,
            email=late.email,
            body_hash=b"late",
            method=late.provider,
            paid_by=late.payment_id,
        )
        await self.ask("reseat", payments.reseat_late(self.pool, late, again))

    async def refund(self) -> None:
        sent = await self.ask("refunds", payments.refunds_to_send(self.pool))
        for refund in sent or ():
            self.sent.append(refund.id)
            await self.ask(
                "pay back", card_company.pay_back(self.pool, refund.id, refund.session, refund.amount)
            )
        if self.sent:
            done = self.rng.random() < 0.8
            await self.ask(
                "refunded", payments.refund_ended(self.pool, self.rng.choice(self.sent), done=done)
            )


# What is compared of each table; a reference to a payment becomes one to its order.
TABLES = {
    "events": "SELECT id, status, status_version, epoch, seq FROM events",
    "verdicts": "SELECT order_id, event_id, visitor, body_hash, outcome, reason, seq FROM verdicts",
    "orders": "SELECT id, event_id, visitor, name, email, status, total, currency, payment_status, payment_method,"
    " cancel_reason FROM orders",
    "bookings": "SELECT order_id, event_id, seat, status, price, seq_on, seq_off FROM bookings",
    "payments": "SELECT order_id, provider, session, url, amount, currency, status, reseat_order_id, session_ended"
    " FROM payments",
    "payment_messages": "SELECT m.message_id, m.outcome, p.order_id FROM payment_messages m"
    " JOIN payments p ON p.id = m.payment_id",
    "refunds": "SELECT r.id, r.amount, r.reason, r.status, p.order_id FROM refunds r"
    " JOIN payments p ON p.id = r.payment_id",
    "test_card_sessions": "SELECT session, amount, currency, state FROM test_card_sessions",
    "test_card_refunds": "SELECT refund_id, session, amount FROM test_card_refunds",
}


def columns(table: str) -> list[str]:
    """What the statement of a table selects, by the names that the model knows."""
    listed = TABLES[table].removeprefix("SELECT ").partition(" FROM ")[0]
    return [name.strip().partition(".")[2] or name.strip() for name in listed.split(",")]
