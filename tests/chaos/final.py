"""What stands in both stores when all is at rest."""

from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct, field

from seatmap.checkout.reconcile import differences
from seatmap.checkout.stores import Stores
from seatmap.keys import keys
from seatmap.ledger import events
from seatmap.ledger.audit import Claim


class Verdict(Struct, frozen=True):
    """What the ledger says of an order id. `seats` are of the order, gone or not; `reason` of a refusal."""

    event: int
    visitor: str
    outcome: str
    reason: str
    status: str = ""  # of the order
    cancel_reason: str = ""


class Payment(Struct, frozen=True, kw_only=True):
    """A payment by the test card. `captured` is what the card company took; the rest are sums of ours."""

    id: int
    order_id: str
    status: str
    amount: int
    card_paid: bool
    owned: int  # price of the seats that its order has
    refunds: int
    refunds_done: int
    card_refunds: int


class Final(Struct):
    """Both stores. `differences` are sentences; `maps` and `positions` are Redis' of the events on sale."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    claims: dict[int, list[Claim]] = field(default_factory=dict)  # by event, then seat and age
    payments: list[Payment] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    maps: dict[int, str] = field(default_factory=dict)
    positions: dict[int, tuple[int, int]] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)  # events


async def look(stores: Stores) -> Final:
    """Read everything."""
    final = Final()
    conn = await asyncpg.connect(stores.settings.database_url)  # without the pool's limits on time
    try:
        rows = await conn.fetch("SELECT id, status FROM events ORDER BY id")
        final.cancelled = {row["id"] for row in rows if row["status"] == "cancelled"}
        for row in await conn.fetch(
            "SELECT v.order_id, v.event_id, v.visitor, v.outcome, v.reason, coalesce(o.status, '') AS status,"
            " coalesce(o.cancel_reason, '') AS cancel_reason"
            " FROM verdicts v LEFT JOIN orders o ON o.id = v.order_id"
        ):
            order_id, *fields = row
            final.verdicts[str(UUID(int=order_id.int))] = Verdict(*fields)
        for row in await conn.fetch(
            "SELECT event_id, order_id, seat, status, seq_on, seq_off FROM bookings ORDER BY event_id, seat, seq_on"
        ):
            event_id, order_id, *fields = row
            final.claims.setdefault(event_id, []).append(Claim(UUID(int=order_id.int), *fields))
        final.payments = [_payment(row) for row in await conn.fetch(_PAYMENTS)]
    finally:
        await conn.close()
    for event in await events.published(stores.pool):
        await _look_at(stores, event.id, final)
    return final


_PAYMENTS = """
    WITH worth AS (
        SELECT order_id, sum(price) AS owned FROM bookings WHERE status = 'confirmed' GROUP BY order_id
    ), back AS (
        SELECT payment_id, sum(amount) AS refunds, sum(amount) FILTER (WHERE status = 'done') AS refunds_done
        FROM refunds GROUP BY payment_id
    ), card AS (
        SELECT session, sum(amount) AS card_refunds FROM test_card_refunds GROUP BY session
    )
    SELECT p.id, p.order_id, p.status, p.amount, coalesce(s.state = 'paid', false) AS card_paid,
        coalesce(owned, 0)::bigint AS owned, coalesce(refunds, 0)::bigint AS refunds,
        coalesce(refunds_done, 0)::bigint AS refunds_done, coalesce(card_refunds, 0)::bigint AS card_refunds
    FROM payments p LEFT JOIN test_card_sessions s ON s.session = p.session
        LEFT JOIN worth w ON w.order_id = p.order_id LEFT JOIN back b ON b.payment_id = p.id
        LEFT JOIN card c ON c.session = p.session
    WHERE p.provider = 'test_card'
"""


def _payment(row: Any) -> Payment:
    return Payment(**{**row, "order_id": str(UUID(int=row["order_id"].int))})


async def _look_at(stores: Stores, event_id: int, final: Final) -> None:
    """One event in Redis: its map, what differs from Postgres, and whether its records agree with each other."""
    snapshot = await stores.state.snapshot(event_id)
    final.maps[event_id] = bytes(48 + status for status in snapshot.statuses).decode()
    final.positions[event_id] = tuple(snapshot.position)
    final.differences += [f"event {event_id}: {found}" for found in await differences(stores, event_id)]
    final.differences += [f"event {event_id}: {found}" for found in await _records(stores, event_id)]


async def _records(stores: Stores, event_id: int) -> list[str]:
    """What of an event at rest is left in Redis that should not be: at rest nobody holds or claims anything."""
    names = keys(event_id)
    left = []
    for what, command, key in (
        ("holds", "HKEYS", names.holds),
        ("undecided orders", "HKEYS", names.orders),
        ("visitors who have something", "HGETALL", names.visitors),
        ("pending orders", "ZRANGE", names.pending),
        ("expiries", "ZRANGE", names.expiry),
    ):
        words = (command, key, 0, -1) if command == "ZRANGE" else (command, key)
        found = [word for word in await stores.redis.command(*words) if word not in (b"-", b"")]
        if found:
            left.append(f"{len(found)} {what} are left: {found[:4]}")
    return left
