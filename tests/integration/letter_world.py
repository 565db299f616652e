"""Buyers who read their mail: orders under an address that could be somebody's, and the letters about them."""

from typing import Any

import msgspec
from checkout_world import an_order
from payment_world import CARD, Till

from seatmap.ledger.mails import Mail
from seatmap.protocol import Book
from seatmap.worker import letters

ADA = "ada@seats.localhost"


async def buy(till: Till, visitor: str, *seats: int, method: str = "free", **changes: Any) -> Book:
    """An order by Ada, paid where that is how it is paid."""
    order = await ask_for(till, visitor, *seats, method=method, **changes)
    if method == CARD:
        await till.say(await till.payment(order), "captured")
    return order


async def ask_for(till: Till, visitor: str, *seats: int, method: str = CARD, **changes: Any) -> Book:
    """An order by Ada, which waits to be paid where that is how it is paid."""
    hold_id = await till.shop.hold(visitor, *seats)
    order = an_order(hold_id, *seats, payment_method=method, **({"email": ADA} | changes))
    await till.shop.book(visitor, order)
    await till.shop.checkout.close()
    await till.read(order, visitor)
    return order


async def posted(till: Till) -> list[Mail]:
    """The mails of one round of a worker, which are then out of its way."""
    await letters.post(till.pool, till.shop.stores.settings)
    return await waiting(till)


async def waiting(till: Till) -> list[Mail]:
    """Takes the mails that wait to be sent."""
    rows = await till.shop.sql("DELETE FROM jobs WHERE kind = 'send_mail' RETURNING id, payload")
    return [msgspec.json.decode(row["payload"], type=Mail) for row in sorted(rows, key=lambda row: row["id"])]


async def due(till: Till) -> int:
    """How many letters no worker has taken."""
    return int(await till.value("SELECT count(*) FROM letters_due"))
