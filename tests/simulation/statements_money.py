"""What the model of Postgres does for the statements of cancelling and of payments."""

from typing import Any
from uuid import UUID

import asyncpg

from seatmap.ledger import payments as payment_sql
from tests.simulation.postgres_model import ACTIVE, Row, Transaction
from tests.simulation.statements import statement

OPEN = ("created", "authorized")
SETTLED = ("result", "payment_id", "order_id", "event_id", "visitor", "seats", "standing")


# ---- giving back ----


async def owe_refund(txn: Transaction, payment_id: int, amount: int, reason: str) -> None:
    pay = await txn.locked("payments", payment_id)
    assert pay is not None
    owed = sum(refund["amount"] for refund in txn.find("refunds", payment_id=payment_id))
    back = min(amount, pay["amount"] - owed)
    if pay["status"] != "captured" or back <= 0:
        return
    refund_id = txn.database.number("refunds")
    status = "by_hand" if pay["provider"] == "door" else "due"
    refund = {"id": refund_id, "payment_id": payment_id, "amount": back, "reason": reason, "status": status}
    await txn.insert("refunds", refund_id, refund | {"updated_at": txn.now})
    if owed + back == pay["amount"]:
        await txn.update("payments", payment_id, status="refund_due")
        await txn.update("orders", pay["order_id"], payment_status="refund_due")


async def cancel_within(txn: Transaction, order_id: UUID, seats: Any, reason: str, seq: int) -> list[int]:
    gone, worth = [], 0
    for row in txn.find("bookings", order_id=order_id):
        if row["status"] in ACTIVE and (seats is None or row["seat"] in seats):
            await txn.update("bookings", row["id"], status="cancelled", seq_off=seq)
            gone.append(row["seat"])
            worth += row["price"]
    pay = next(iter(txn.find("payments", order_id=order_id)), None)
    if gone and pay is not None and pay["status"] == "captured":
        await owe_refund(txn, pay["id"], worth, reason)
    if not any(row["status"] in ACTIVE for row in txn.find("bookings", order_id=order_id)):
        for payment in txn.find("payments", order_id=order_id):
            becomes = "failed" if reason == "failed" else "expired"
            await txn.update(
                "payments", payment["id"], when=lambda row: row["status"] in OPEN, status=becomes
            )
        changes: Row = {"status": "cancelled", "cancel_reason": reason}
        if reason == "failed":
            changes["payment_status"] = "failed"
        await txn.update("orders", order_id, when=lambda row: row["status"] in ACTIVE, **changes)
    return sorted(gone)


@statement("SELECT * FROM cancel_order($1, $2, $3, $4)")
async def cancel_order(
    txn: Transaction, order_id: UUID, visitor: str | None, seats: Any, reason: str
) -> list[Row]:
    verdict, order = txn.get("verdicts", order_id), txn.get("orders", order_id)
    whose = order["visitor"] if order else verdict and verdict["visitor"]

    def answer(result: str, gone: list[int] | None = None) -> list[Row]:
        known = verdict is not None and result != "order_not_found"
        event_id = verdict["event_id"] if verdict is not None and known else None
        return [{"result": result, "event_id": event_id, "visitor": whose if known else None, "seats": gone}]

    if verdict is None or (visitor is not None and whose != visitor):
        return answer("order_not_found")
    if verdict["outcome"] != "committed":
        return answer("order_not_active")
    ev = await txn.event(verdict["event_id"])
    assert ev is not None
    order = txn.get("orders", order_id)
    if seats is not None and order is not None and order["status"] == "pending":
        return answer("order_not_active")
    await cancel_within(txn, order_id, seats, reason, ev["seq"])
    gone = {
        row["seat"]
        for row in txn.find("bookings", order_id=order_id, status="cancelled")
        if seats is None or row["seat"] in seats
    }
    return answer("cancelled", sorted(gone) or None)


@statement("SELECT * FROM expire_order($1)")
async def expire_order(txn: Transaction, order_id: UUID) -> list[Row]:
    order = txn.get("orders", order_id)
    if order is None:
        return []
    ev = await txn.event(order["event_id"])
    assert ev is not None
    order = await txn.locked("orders", order_id)
    assert order is not None
    if order["status"] != "pending":
        return []
    gone = await cancel_within(txn, order_id, None, "expired", ev["seq"])
    return [{"event_id": order["event_id"], "visitor": order["visitor"], "seats": gone}]


@statement("SELECT count(*) FROM orders WHERE event_id = $1 AND status IN ('pending', 'confirmed')")
async def count_active(txn: Transaction, event_id: int) -> list[Row]:
    return [{"count": sum(row["status"] in ACTIVE for row in txn.find("orders", event_id=event_id))}]


@statement("SELECT cancel_orders_of_event($1, $2)")
async def cancel_orders_of_event(txn: Transaction, event_id: int, limit: int) -> list[Row]:
    ev = await txn.event(event_id)
    if ev is None or ev["status"] != "cancelled":
        raise asyncpg.RaiseError(f"event {event_id} is not cancelled")
    active = [row["id"] for row in txn.find("orders", event_id=event_id) if row["status"] in ACTIVE]
    active.sort(key=lambda order_id: order_id.bytes)
    for order_id in active[:limit]:
        await cancel_within(txn, order_id, None, "event", ev["seq"])
    return [{"cancel_orders_of_event": len(active[:limit])}]


# ---- payments ----


def payment_row(txn: Transaction, payment: Row) -> Row:
    order = txn.get("orders", payment["order_id"])
    assert order is not None
    event = txn.get("events", order["event_id"])
    assert event is not None
    pay_by = order["pay_by"] if order["pay_by"] is not None else txn.now
    names = ("amount", "currency", "status")
    return {
        "id": payment["id"],
        "order_id": payment["order_id"],
        "event_name": event["name"],
        "provider": payment["provider"],
        "session": payment["session"] or "",
        **{name: payment[name] for name in names},
        "pay_by_ms": max(0, round(1000 * (pay_by - txn.now))),
    }


@statement(f"{payment_sql._PAYMENT} WHERE p.order_id = $1")
async def payment_of_order(txn: Transaction, order_id: UUID) -> list[Row]:
    return [payment_row(txn, row) for row in txn.find("payments", order_id=order_id)]


@statement(f"{payment_sql._PAYMENT} WHERE p.provider = $1 AND p.session = $2")
async def payment_of_session(txn: Transaction, provider: str, session: str) -> list[Row]:
    return [payment_row(txn, row) for row in txn.find("payments", provider=provider, session=session)]


@statement("UPDATE payments SET session = $2, url = $3 WHERE id = $1 AND session IS NULL")
async def opened(txn: Transaction, payment_id: int, session: str, url: str) -> list[Row]:
    await txn.update(
        "payments", payment_id, when=lambda row: row["session"] is None, session=session, url=url
    )
    return []


@statement("SELECT * FROM settle_payment($1, $2, $3, $4, $5, $6)")
async def settle_payment(
    txn: Transaction, provider: str, message: str, session: str, outcome: str, amount: int, currency: str
) -> list[Row]:
    found = next(iter(txn.find("payments", provider=provider, session=session)), None)
    if found is None:
        return [dict.fromkeys(SETTLED) | {"result": "unknown"}]
    order = txn.get("orders", found["order_id"])
    assert order is not None
    ev = await txn.event(order["event_id"])
    pay = await txn.locked("payments", found["id"])
    assert ev is not None
    assert pay is not None
    order = await txn.locked("orders", pay["order_id"])
    assert order is not None
    held = sorted(row["seat"] for row in txn.find("bookings", order_id=order["id"]))
    said = "duplicate"
    if await txn.insert(
        "payment_messages", (provider, message), {"payment_id": pay["id"], "outcome": outcome}
    ):
        said = await _carry_out(txn, ev, pay, order, outcome, (amount, currency))
    after = txn.get("orders", order["id"])
    assert after is not None
    values = (said, pay["id"], order["id"], ev["id"], order["visitor"], held or None, after["status"])
    return [dict(zip(SETTLED, values, strict=True))]


async def _carry_out(
    txn: Transaction, ev: Row, pay: Row, order: Row, outcome: str, money: tuple[int, str]
) -> str:
    if pay["status"] not in ("created", "authorized", "failed", "expired"):
        return "noted"
    if outcome == "authorized":
        await txn.update(
            "payments", pay["id"], when=lambda row: row["status"] == "created", status="authorized"
        )
        return "noted"
    if outcome == "failed":
        if order["status"] != "pending":
            return "noted"
        await cancel_within(txn, order["id"], None, "failed", ev["seq"])
        return "failed"
    if money != (pay["amount"], pay["currency"]):
        await txn.update("payments", pay["id"], status="stuck")
        return "stuck"
    await txn.update("payments", pay["id"], status="captured")
    await txn.update("orders", order["id"], payment_status="paid")
    if order["status"] == "pending" and ev["status"] == "published":
        await txn.update("orders", order["id"], status="confirmed")
        for row in txn.find("bookings", order_id=order["id"], status="pending"):
            await txn.update("bookings", row["id"], status="confirmed")
        return "paid"
    if order["status"] == "pending":
        await cancel_within(txn, order["id"], None, "event", ev["seq"])
        return "refund"
    if order["cancel_reason"] in ("expired", "failed") and ev["status"] == "published":
        await txn.update("payments", pay["id"], reseat_order_id=txn.database.uuid())
        return "late"
    await owe_refund(txn, pay["id"], pay["amount"], "late")
    return "refund"


@statement(
    f"""
    {payment_sql._PAYMENT} WHERE o.status = 'pending' AND o.pay_by < now() AND ($1::uuid IS NULL OR o.id = $1)
    ORDER BY o.pay_by LIMIT 100
    """
)
async def overdue(txn: Transaction, of_order: UUID | None) -> list[Row]:
    due = []
    for payment in txn.rows("payments"):
        order = txn.get("orders", payment["order_id"])
        assert order is not None
        wanted = of_order in (None, order["id"])
        if wanted and order["status"] == "pending" and order["pay_by"] < txn.now:
            due.append((order["pay_by"], payment))
    return [payment_row(txn, payment) for _, payment in sorted(due, key=lambda found: found[0])]
