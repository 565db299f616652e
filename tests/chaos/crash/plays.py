"""What people do in a cell, from its beginning to its end."""

import asyncio
from uuid import uuid4

from seatmap.booking.commands import Begin, Hold
from seatmap.checkout.rebuild import rebuild
from seatmap.errors import Refused, Unavailable
from seatmap.keys import keys
from seatmap.ledger import events, orders
from seatmap.ledger.orders import Purchase
from tests.chaos.crash.cell import Cell
from tests.chaos.crash.money import paid_order
from tests.chaos.crash.people import ANSWER_S, PAUSE_S, Person
from tests.chaos.crash.show import price_of
from tests.chaos.crash.until import until

# ---- book ----


async def book(cell: Cell) -> None:
    """A buyer books while a rival wants the same seats; whatever happens, exactly one of them has them."""
    buyer, rival = cell.person(), cell.person()
    hold_id = await buyer.hold(0, 1)
    wanting = cell.spawn(want(cell, rival, 0, 1))
    async with cell.in_postgres():
        _, told = await buyer.book(hold_id, 0, 1)
    await cell.healed()
    wanting.cancel()
    await asyncio.wait({wanting})
    if told == "booked":
        assert wanting.cancelled() or cell.closed, f"P5: a rival got seats that are booked; {cell.logs()}"
    elif wanting.cancelled() and not cell.closed:
        await buyer.buy(0, 1)


async def want(cell: Cell, rival: Person, *seats: int) -> None:
    """Until it has them, or the event is closed."""
    # A hold whose answer is lost would else be nobody's, for minutes.
    await rival.get_name()
    while not cell.closed:
        code, mine = await rival.command("hold", seats=seats)
        if not code and (await rival.book(mine["hold_id"], *seats))[1] == "booked":
            return
        await asyncio.sleep(PAUSE_S)


async def refused_by_redis(cell: Cell) -> None:
    """The hold is gone: the refusal is a verdict, before anybody is told."""
    buyer = cell.person()
    hold_id = await buyer.hold(0, 1)
    await buyer.command("release", hold_id=hold_id)
    _, told = await buyer.book(hold_id, 0, 1)
    assert told in ("hold_expired", "order_aborted"), told
    await cell.healed()
    await cell.person().buy(0, 1)


async def refused_by_postgres(cell: Cell) -> None:
    """The price is another: the seats go back to their hold, and can be bought at the right one."""
    buyer = cell.person()
    hold_id = await buyer.hold(0, 1)
    _, told = await buyer.book(hold_id, 0, 1, total=1)
    assert told in ("price_changed", "order_aborted"), told
    await cell.healed()
    await buyer.buy(0, 1)


# ---- cancel ----


async def cancel(cell: Cell) -> None:
    """The seats of a cancelled order can be bought by somebody else."""
    buyer, rival = cell.person(), cell.person()
    order_id = await buyer.buy(0, 1)
    wanting = cell.spawn(want(cell, rival, 0, 1))
    async with cell.in_postgres():
        assert await buyer.cancel(order_id) == "cancelled"
    await cell.healed()
    assert await buyer.cancel(order_id) == "cancelled"
    await asyncio.wait_for(wanting, ANSWER_S)


async def reseat(cell: Cell) -> None:
    """The box office moves an order; the seats it left can be bought, and the seats it has cannot."""
    order_id = await cell.person().buy(0, 1)
    code, _ = await cell.admin.ask(f"/api/admin/orders/{order_id}/reseat", {"seats": {"0": 2}})
    assert not code, code
    await cell.healed()
    rows = await cell.sql("SELECT seat FROM bookings WHERE order_id = $1 AND status = 'confirmed'", order_id)
    assert sorted(row[0] for row in rows) == [1, 2]
    await cell.person().buy(0)
    code, _ = await cell.person().command("hold", seats=[2])
    assert code == "seat_taken"


async def sell(cell: Cell) -> None:
    """The box office sells over the counter, once, and nobody else gets the seats."""
    order_id = uuid4()
    sale = {"order_id": str(order_id), "seats": [0, 1], "total": price_of(0, 1), "name": "Grace"}
    code, answer = await cell.admin.ask(f"/api/admin/events/{cell.event_id}/sell", sale)
    assert (code, answer.get("payment_status")) == ("", "paid"), code
    await cell.healed()
    rows = await cell.sql("SELECT seat FROM bookings WHERE order_id = $1 AND status = 'confirmed'", order_id)
    assert sorted(row[0] for row in rows) == [0, 1]
    code, _ = await cell.person().command("hold", seats=[1])
    assert code == "seat_taken", code
    code, _ = await cell.admin.ask(f"/api/admin/orders/{order_id}/cancel", {})
    assert not code, code
    await cell.person().buy(0, 1)


async def edit_seats(cell: Cell) -> None:
    """Seats go off sale, and come back."""
    path = f"/api/admin/events/{cell.event_id}/seats"
    code, _ = await cell.admin.ask(path, {"seats": [4, 5], "status": "blocked"})
    assert not code, code
    await cell.healed()
    code, _ = await cell.person().command("hold", seats=[4])
    assert code == "seat_blocked"
    code, _ = await cell.admin.ask(path, {"seats": [4, 5], "status": "available"})
    assert not code, code
    await cell.person().buy(4, 5)


# ---- the event is cancelled ----


async def cancel_event(cell: Cell) -> None:
    """Closed is closed: what was booked is owed back, and what is being booked is refused."""
    await paid_order(cell, cell.person(), 0, 1)
    await cell.person().buy(2)
    buyer = cell.person()
    hold_id = await buyer.hold(4)
    code, _ = await cell.admin.ask(f"/api/admin/events/{cell.event_id}/cancel", {})
    assert code in ("", "wrong_state"), code  # which it is when it was done by the try whose answer was lost
    cell.closed = True
    _, told = await buyer.book(hold_id, 4)
    assert told != "booked", "P7: it was closed"
    if cell.armed == "worker":
        await cell.start_worker()
    await cell.healed()
    await time_passes_for_jobs(cell)


async def time_passes_for_jobs(cell: Cell) -> None:
    """A job of a worker that died is taken by another after half a minute without a sign of life."""
    await cell.sql("UPDATE pgqueuer SET heartbeat = heartbeat - interval '1 hour'")


async def close_it(cell: Cell) -> None:
    """The event is cancelled by another process, while this one is at its failpoint."""
    await events.cancel(cell.stores.pool, cell.event_id)
    cell.closed = True


# ---- Redis loses the event, or is rebuilt ----


async def rebuild_it(cell: Cell) -> None:
    """Another process rebuilds the event, while this one is at its failpoint."""

    async def done() -> bool:
        await rebuild(cell.stores, cell.event_id)
        return True

    await until(done)


async def lose(cell: Cell) -> None:
    """Redis forgets what epoch the event is at: it is rebuilt, with the holds that it still has."""
    buyer, holder, early = cell.person(), cell.person(), cell.person()
    await buyer.buy(0, 1)
    hold_id = await holder.hold(2)
    order_id = await early.buy(3)
    assert await early.cancel(order_id) == "cancelled"
    stale = await begun(cell, 6, 7)
    outcome: list[str] = []

    async def commit_late(cell: Cell) -> None:
        """An order that began before the rebuild reaches Postgres in the middle of it."""
        outcome.append(await commit(cell, stale))

    cell.at_the_hit = commit_late
    await cell.stores.redis.command("DEL", keys(cell.event_id).meta)
    await cell.healed()
    answer = await hold_here(cell, "somebody-quick", 6, 7)
    owner = (await cell.stores.state.owners(cell.event_id)).get(6)
    if outcome == ["committed"]:
        assert answer == "seat_taken", f"P1: Redis offers seats that are booked; {cell.logs()}"
        assert owner == f"b|{stale.order_id.hex}", f"P2: a rebuild lost a booking: {owner}; {cell.logs()}"
    _, told = await holder.book(await again(holder, hold_id, 2), 2)
    assert told == "booked", told


async def again(holder: Person, hold_id: str, seat: int) -> str:
    """The id of the hold, which survives a Redis that kept it."""
    code, mine = await holder.command("hold", hold_id=hold_id, seats=[seat])
    assert not code, f"P5: a hold that Redis still had was lost: {code}"
    return str(mine["hold_id"])


async def begun(cell: Cell, *seats: int) -> Purchase:
    """An order that some other process has begun in Redis, and not brought to Postgres yet."""
    visitor = f"visitor-{uuid4().hex}"
    order_id = uuid4()
    hold_id = (await cell.stores.desk.decide(cell.event_id, Hold(visitor, "", seats))).mine.hold_id
    answer = await cell.stores.desk.decide(
        cell.event_id, Begin(visitor, hold_id, order_id.hex, b"body".hex(), seats)
    )
    return Purchase(
        order_id=order_id,
        event_id=cell.event_id,
        epoch=answer.position.epoch,
        visitor=visitor,
        seats=seats,
        total=price_of(*seats),
        name="Ada",
        email="ada@example.org",
        body_hash=b"body",
    )


async def commit(cell: Cell, purchase: Purchase) -> str:
    async with cell.alone() as conn:
        verdicts = await orders.book(conn, cell.event_id, [purchase], 900)
    return verdicts[purchase.order_id].outcome


async def hold_here(cell: Cell, visitor: str, *seats: int) -> str:
    """What a hold comes to, tried from here as soon as the event can be asked."""
    while True:
        try:
            await cell.stores.desk.decide(cell.event_id, Hold(visitor, "", seats))
        except Unavailable:
            await asyncio.sleep(PAUSE_S)
        except Refused as refusal:
            return refusal.code
        else:
            return ""


# ---- what happens by itself ----


async def sweep(cell: Cell) -> None:
    """A hold ends: its seats can be bought."""
    await cell.person().hold(0, 1)
    await cell.start_worker()
    await cell.person().buy(0, 1)
    await cell.healed()


async def resolve(cell: Cell) -> None:
    """Two orders whose process died: one had come to Postgres. Both get the verdict that stands."""
    cell.pause_web()
    lost, kept = await begun(cell, 0, 1), await begun(cell, 2, 3)
    assert await commit(cell, kept) == "committed"
    await cell.start_worker()
    await cell.healed()

    async def settled() -> bool:
        return not set(await cell.stores.state.live_tokens(cell.event_id)) & {
            f"p|{lost.order_id.hex}",
            f"p|{kept.order_id.hex}",
        }

    await until(settled)
    assert await commit(cell, lost) == "aborted", "P3: an order was booked after it had been given up"
    owners = await cell.stores.state.owners(cell.event_id)
    assert {owners[seat] for seat in (2, 3)} == {f"b|{kept.order_id.hex}"}
    assert {owners[seat][0] for seat in (0, 1)} == {"h"}, (
        "the seats of an order that was given up go back to their hold"
    )


async def reconcile(cell: Cell) -> None:
    """Postgres has freed what Redis still shows as booked."""
    buyer = cell.person()
    order_id = await buyer.buy(0, 1)
    rows = await cell.sql("SELECT visitor FROM orders WHERE id = $1", order_id)
    await orders.cancel(cell.stores.pool, order_id, rows[0][0])
    cell.told[order_id] = "cancelled"
    await cell.start_worker()
    await cell.healed()
    await cell.person().buy(0, 1)
