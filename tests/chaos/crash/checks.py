"""What must be true of a cell when everybody has an answer and every process is back, by number of the promise."""

import asyncio
import time

import msgspec

from seatmap.errors import SeatmapError
from seatmap.verify import verify
from tests.chaos.crash.cell import PATIENCE_S, Cell
from tests.chaos.crash.show import SEATS
from tests.integration.booking_world import World

SETTLED_MAX_S = 10.0


async def check(cell: Cell) -> None:
    """Raises AssertionError, naming the promise."""
    await agreement(cell)
    await never_twice(cell)
    await never_lost(cell)
    await money(cell)
    never_freer(cell)
    await same_answers(cell)
    await never_twice(cell)


def never_freer(cell: Cell) -> None:
    """Of a seat that Redis gave somebody to buy, Postgres never says that it is taken."""
    taken = [order_id for order_id, told in cell.told.items() if told == "seat_taken"]
    assert not taken, f"P1: Redis was freer than Postgres: {taken}; {cell.logs()}"


async def same_answers(cell: Cell) -> None:
    """P3: an order that was told something is told the same again."""
    for person in cell.people:
        for order_id in person.orders:
            told = cell.told[order_id]
            again = await person.say_again(order_id)
            if told == "cancelled":
                assert again == "booked", (
                    f"P3: {order_id} was cancelled, which is a later state, and is now {again}"
                )
            else:
                assert again == told, f"P3: {order_id} was {told} and is now {again}"


async def agreement(cell: Cell) -> None:
    """Redis comes to what Postgres says, down to its own bookkeeping, and nothing stays undecided."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        wrong = await _disagreement(cell)
        if not wrong:
            break
        assert time.monotonic() < deadline, f"P6: it does not heal: {wrong}; {cell.logs()}"
        await asyncio.sleep(0.1)
    cell.seen.healed_s = time.monotonic() - cell.hit_at


async def _disagreement(cell: Cell) -> str:
    try:
        different = await verify(cell.patient, cell.event_id)
    except SeatmapError as error:
        return error.detail
    if different:
        return str(different)
    world = World(cell.stores.redis, cell.event_id)
    world.limits = msgspec.structs.replace(world.limits, seat_count=SEATS, grace_ms=cell.settings.grace_ms)
    rows = await cell.sql("SELECT id, visitor FROM orders WHERE status = 'pending'")
    world.claimants = {row["id"].hex: row["visitor"] for row in rows}
    if await world.hash(world.keys.orders):
        return "there are undecided orders"
    epoch = (await cell.sql("SELECT epoch FROM events WHERE id = $1", cell.event_id))[0][0]
    if int(await cell.stores.redis.command("HGET", world.keys.meta, "epoch")) != epoch:
        return f"Redis is not at epoch {epoch}"
    unfinished = await cell.sql("SELECT id FROM jobs WHERE state NOT IN ('done', 'failed')")
    if unfinished:
        return "there are jobs that are not done"
    try:
        await world.check()
    except (AssertionError, KeyError) as error:  # while something is in flight
        return f"Redis disagrees with itself: {error}"
    return ""


async def never_twice(cell: Cell) -> None:
    """P1, at every point of the commit order and not only at the end; P4."""
    twice = await cell.sql(
        """
        SELECT a.seat FROM bookings a JOIN bookings b
            ON a.event_id = b.event_id AND a.seat = b.seat AND a.id < b.id
            AND a.seq_on < coalesce(b.seq_off, 1 << 60) AND b.seq_on < coalesce(a.seq_off, 1 << 60)
        """
    )
    assert not twice, f"P1: sold twice: {twice}"
    torn = await cell.sql(
        """
        SELECT o.id FROM orders o JOIN bookings b ON b.order_id = o.id
        GROUP BY o.id, o.status HAVING NOT bool_or(b.status = o.status)
            OR o.status = 'cancelled' AND bool_or(b.status <> 'cancelled')
            OR o.status = 'pending' AND bool_or(b.status <> 'pending')
        """
    )
    assert not torn, f"P4: torn orders: {torn}"


async def never_lost(cell: Cell) -> None:
    """P2 and P7: what was told is what stands; of a cancelled event nothing does."""
    rows = await cell.sql(
        """
        SELECT v.order_id, v.outcome, o.status, o.cancel_reason,
            (SELECT count(*) FROM bookings b WHERE b.order_id = o.id AND b.status <> 'cancelled') AS seats
        FROM verdicts v LEFT JOIN orders o ON o.id = v.order_id
        """
    )
    stands = {row["order_id"]: row for row in rows}
    ended = {
        row["order_id"] for row in rows if row["cancel_reason"] in ("event", "expired", "failed", "staff")
    }
    for person in cell.people:
        for order_id, sent in person.orders.items():
            told, row = cell.told[order_id], stands.get(order_id)
            assert row is not None, f"P3: {order_id} was told {told} and has no verdict"
            if told == "booked":
                assert row["outcome"] == "committed", f"P2: {order_id} was booked and is {row['outcome']}"
                if order_id not in ended:
                    assert row["seats"] == len(sent["seats"]), (
                        f"P2: {order_id} was booked and has {row['seats']} seats"
                    )
            elif told == "cancelled":
                assert row["status"] == "cancelled", f"P3: {order_id} was cancelled and is {row['status']}"
            else:
                assert row["outcome"] != "committed", f"P3: {order_id} was told {told} and is booked"
    if cell.closed:
        assert not await cell.sql("SELECT id FROM bookings WHERE status <> 'cancelled'"), (
            "P7: a booking is left"
        )


async def money(cell: Cell) -> None:
    """P8: captured = seats owned + owed or paid back + what is being re-seated; nothing is paid back twice."""
    rows = await cell.sql(
        """
        SELECT p.id, p.amount, p.status, p.reseat_order_id IS NOT NULL AS waits,
            (SELECT coalesce(sum(b.price), 0) FROM bookings b
                WHERE b.order_id = p.order_id AND b.status = 'confirmed') AS owned,
            (SELECT coalesce(sum(r.amount), 0) FROM refunds r WHERE r.payment_id = p.id) AS owed,
            (SELECT coalesce(sum(r.amount), 0) FROM refunds r
                WHERE r.payment_id = p.id AND r.status = 'done') AS done,
            (SELECT coalesce(sum(c.amount), 0) FROM test_card_refunds c WHERE c.session = p.session) AS went_back,
            (SELECT state FROM test_card_sessions c WHERE c.session = p.session) AS card
        FROM payments p WHERE p.provider = 'test_card'
        """
    )
    for row in rows:
        captured = row["amount"] if row["status"] in ("captured", "refund_due", "refunded") else 0
        waits = row["amount"] if row["waits"] else 0
        assert captured == row["owned"] + row["owed"] + waits, f"P8: {dict(row)}"
        assert row["done"] <= row["went_back"] <= row["owed"], f"P8: {dict(row)}"
        if row["card"] == "paid":
            assert captured, f"P8: the card was charged for nothing: {dict(row)}"
