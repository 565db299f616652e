"""Two transactions of a ledger at once: the first is left open until the second has run, or waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import asyncpg
from ledger_story import CARD, EVENT, PRICES

from seatmap.errors import SeatmapError
from seatmap.ledger import card_company, events, orders, payments
from seatmap.ledger.orders import Purchase
from seatmap.ledger.payments import Message
from seatmap.ledger.pool import connection

SESSION = "session"


def purchase(number: int, visitor: str, *seats: int, method: str = "free") -> Purchase:
    return Purchase(
        order_id=UUID(int=number),
        event_id=EVENT,
        epoch=0,
        visitor=visitor,
        seats=seats,
        total=sum(PRICES[seat % 2] for seat in seats),
        name="Ada",
        email="ada@example.org",
        body_hash=repr(seats).encode(),
        method=method,
    )


ONE, OTHER, APART = purchase(1, "ann", 0, 1), purchase(2, "bob", 1, 2), purchase(3, "bob", 4)
PAID = purchase(4, "eve", 3, method=CARD)

_ABORT = "SELECT decide_abort($1, $2, $3, $4, $5, $6)"
_EPOCH = "UPDATE events SET epoch = epoch + 1 WHERE id = $1 AND deleted_at IS NULL RETURNING epoch"
_SETTLE = "SELECT * FROM settle_payment($1, $2, $3, $4, $5, $6)"


async def _first_abort(conn: Any, bought: Purchase) -> Any:
    fields = (bought.order_id, EVENT, bought.visitor, bought.body_hash, "aborted", "order_aborted")
    return await conn.execute(_ABORT, *fields) and ""


FIRST: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "book": lambda conn: orders.book(conn, EVENT, [ONE], 1000),
    "tombstone": lambda conn: _first_abort(conn, ONE),
    "tombstone of another": lambda conn: _first_abort(conn, OTHER),
    "raise epoch": lambda conn: conn.fetchval(_EPOCH, EVENT),
    "cancel event": lambda conn: events.cancel_within(conn, EVENT),
    "pay": lambda conn: conn.fetchval(_SETTLE, CARD, "m1", SESSION, "captured", PAID.total, "EUR"),
    "cancel": lambda conn: orders.cancel_within(conn, PAID.order_id, None, None, "buyer"),
}


async def _book(pool: Any, bought: Purchase) -> Any:
    async with connection(pool) as conn:
        return await orders.book(conn, EVENT, [bought], 1000)


def _abort(pool: Any, bought: Purchase) -> Any:
    return orders.abort(pool, bought.order_id, EVENT, bought.visitor, bought.body_hash)


def _settle(pool: Any, message: str, outcome: str) -> Any:
    told = Message(id=message, session=SESSION, outcome=outcome, amount=PAID.total, currency="EUR")
    return payments.settle(pool, CARD, told)


SECOND: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "book the same": lambda pool: _book(pool, ONE),
    "book a seat of it": lambda pool: _book(pool, OTHER),
    "book apart": lambda pool: _book(pool, APART),
    "tombstone": lambda pool: _abort(pool, ONE),
    "tombstone of another": lambda pool: _abort(pool, OTHER),
    "refusal": lambda pool: orders.decide(pool, ONE, "refused", "hold_expired"),
    "verdict": lambda pool: orders.verdict(pool, ONE.order_id, ONE.visitor, ONE.body_hash),
    "raise epoch": lambda pool: events.raise_epoch(pool, EVENT),
    "occupied": lambda pool: events.occupied(pool, EVENT),
    "pay": lambda pool: _settle(pool, "m2", "captured"),
    "pay by the same message": lambda pool: _settle(pool, "m1", "captured"),
    "fail": lambda pool: _settle(pool, "m3", "failed"),
    "expire": lambda pool: payments.expire(pool, PAID.order_id),
    "cancel": lambda pool: orders.cancel(pool, PAID.order_id, PAID.visitor),
}


class Undone(Exception):
    """Rolls the first back."""


async def overlap(
    pool: Any,
    waits: Callable[[Any, asyncio.Task[Any]], Awaitable[bool]],
    first: str,
    second: str,
    *,
    commit: bool,
) -> list[Any]:
    """What both answer, and whether the second had to wait."""
    async with connection(pool) as conn:
        await orders.book(conn, EVENT, [PAID], -1)
    payment = await payments.of_order(pool, PAID.order_id)
    assert payment is not None
    await card_company.open_session(pool, SESSION, payment.id, payment.amount, payment.currency)
    await payments.opened(pool, payment.id, SESSION, "/pay")
    answers: list[Any] = []
    with suppress(Undone):
        async with connection(pool) as conn, conn.transaction():
            answers.append(await FIRST[first](conn))
            task = asyncio.ensure_future(_answer(SECOND[second](pool)))
            answers.append("waits" if await waits(pool, task) else "goes on")
            if not commit:
                raise Undone
    answers.append(await task)
    return answers


async def _answer(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except (SeatmapError, asyncpg.PostgresError) as error:
        return type(error).__name__
