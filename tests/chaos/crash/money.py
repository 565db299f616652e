"""What people do in a cell that costs money."""

from uuid import UUID

from seatmap.checkout.payment import open_cashier
from seatmap.ledger import payments
from tests.chaos.crash.cell import Cell
from tests.chaos.crash.people import Person
from tests.chaos.crash.until import until

PAID = {"payment_method": "test_card"}


async def paid_order(cell: Cell, buyer: Person, *seats: int) -> tuple[UUID, str]:
    """An order that is paid by card, and the session that it was paid in."""
    order_id = await buyer.buy(*seats, **PAID)
    session = await pay(cell, order_id)
    return order_id, session


async def pay(cell: Cell, order_id: UUID, outcome: str = "approve") -> str:
    """The buyer presses the button, and the provider sends its message until it is taken, and then once more."""
    payment = await payments.of_order(cell.stores.pool, order_id)
    assert payment is not None
    assert payment.session
    for delivery in await cell.card.press(payment, outcome):  # type: ignore[arg-type]
        for _ in range(2):
            await deliver(cell, delivery.headers, delivery.body)
    return payment.session


async def deliver(cell: Cell, headers: dict[str, str], body: bytes) -> None:
    provider = cell.person(headers)
    code, _ = await provider.ask_raw("/api/payments/test_card/webhook", body)
    assert not code, code


async def cancel_paid(cell: Cell) -> None:
    """What was paid for an order is owed back from the moment that it is cancelled, whoever dies."""
    buyer = cell.person()
    order_id, _ = await paid_order(cell, buyer, 0, 1)
    assert await buyer.cancel(order_id) == "cancelled"
    await cell.healed()


async def staff_cancel(cell: Cell) -> None:
    """The box office takes a paid order back."""
    order_id, _ = await paid_order(cell, cell.person(), 0, 1)
    code, _ = await cell.admin.ask(f"/api/admin/orders/{order_id}/cancel", {})
    assert not code, code
    await cell.healed()
    await cell.person().buy(0, 1)


async def paying(cell: Cell) -> None:
    """An order is paid by card, and its provider says so twice."""
    buyer = cell.person()
    order_id = await buyer.buy(0, 1, **PAID)
    async with cell.in_postgres():
        await pay(cell, order_id)
    await cell.healed()
    rows = await cell.sql("SELECT status, payment_status FROM orders WHERE id = $1", order_id)
    assert tuple(rows[0]) == ("confirmed", "paid")


async def time_is_over(cell: Cell, order_id: UUID) -> None:
    await cell.sql("UPDATE orders SET pay_by = now() - interval '1 second' WHERE id = $1", order_id)


async def unpaid(cell: Cell) -> None:
    """An order is not paid in time: its seats can be bought."""
    order_id = await cell.person().buy(0, 1, **PAID)
    await time_is_over(cell, order_id)
    await cell.start_worker()
    await cell.healed()
    await cell.person().buy(0, 1)


async def paid_late(cell: Cell) -> None:
    """The money comes when the order has ended: it gets its seats again, or goes back."""
    order_id = await cell.person().buy(0, 1, **PAID)
    await time_is_over(cell, order_id)
    cashier = await open_cashier(cell.stores)
    payment = await payments.of_order(cell.stores.pool, order_id)
    assert payment is not None

    async def ended() -> bool:
        await cashier.expire()
        return bool(await cell.sql("SELECT FROM orders WHERE id = $1 AND status = 'cancelled'", order_id))

    await until(ended)
    late = cell.card.message(payment.session, "captured", payment.amount, payment.currency)
    await deliver(cell, late.headers, late.body)
    await cell.healed()

    async def decided() -> bool:
        return not await cell.sql("SELECT id FROM payments WHERE reseat_order_id IS NOT NULL")

    await until(decided)


async def refund(cell: Cell) -> None:
    """What was paid for a cancelled order goes back once, however often it is sent."""
    buyer = cell.person()
    order_id, _ = await paid_order(cell, buyer, 0, 1)
    assert await buyer.cancel(order_id) == "cancelled"
    await cell.start_worker()
    await cell.healed()
    # Time passes, after which a refund without an answer is sent again.
    await cell.sql("ALTER TABLE refunds DISABLE TRIGGER touch")
    await cell.sql("UPDATE refunds SET updated_at = updated_at - interval '1 hour'")
    await cell.sql("ALTER TABLE refunds ENABLE TRIGGER touch")

    async def went_back() -> bool:
        return bool(await cell.sql("SELECT FROM refunds WHERE status = 'done'"))

    await until(went_back)
