"""What the model of Postgres does for the statements of late payments and refunds, and of the test card's memory."""

from uuid import UUID

from seatmap.ledger import payments as payment_sql
from tests.simulation.postgres_model import Row, Transaction
from tests.simulation.statements import statement
from tests.simulation.statements_money import owe_refund, payment_row

# ---- ended sessions ----


@statement(
    f"""
    {payment_sql._PAYMENT} WHERE p.status IN ('expired', 'failed') AND p.session IS NOT NULL AND NOT p.session_ended
    ORDER BY p.id LIMIT 100
    """
)
async def to_end(txn: Transaction) -> list[Row]:
    return [
        payment_row(txn, row)
        for row in sorted(txn.rows("payments"), key=lambda row: row["id"])
        if row["status"] in ("expired", "failed") and row["session"] is not None and not row["session_ended"]
    ]


@statement("UPDATE payments SET session_ended = true WHERE id = $1")
async def session_ended(txn: Transaction, payment_id: int) -> list[Row]:
    await txn.update("payments", payment_id, session_ended=True)
    return []


# ---- late payments ----


@statement(
    """
    SELECT p.id AS payment_id, p.provider, p.reseat_order_id AS order_id, o.event_id, o.visitor,
        o.name, o.email, p.amount, extract(epoch FROM now() - p.updated_at)::float8 AS age_s,
        (SELECT array_agg(b.seat ORDER BY b.seat) FROM bookings b WHERE b.order_id = o.id) AS seats
    FROM payments p JOIN orders o ON o.id = p.order_id
    WHERE p.status = 'captured' AND p.reseat_order_id IS NOT NULL AND ($1::uuid IS NULL OR o.id = $1)
    ORDER BY p.id LIMIT 100
    """
)
async def late(txn: Transaction, of_order: UUID | None) -> list[Row]:
    rows = []
    for payment in txn.find("payments", status="captured"):
        if payment["reseat_order_id"] is None or of_order not in (None, payment["order_id"]):
            continue
        order = txn.get("orders", payment["order_id"])
        assert order is not None
        row = {
            "payment_id": payment["id"],
            "provider": payment["provider"],
            "order_id": payment["reseat_order_id"],
        }
        row |= {name: order[name] for name in ("event_id", "visitor", "name", "email")}
        row |= {"amount": payment["amount"], "age_s": txn.now - payment["updated_at"]}
        row["seats"] = sorted(booking["seat"] for booking in txn.find("bookings", order_id=order["id"]))
        rows.append(row)
    return sorted(rows, key=lambda row: row["payment_id"])


@statement("UPDATE orders SET visitor = $2 WHERE id = $1")
async def rename(txn: Transaction, order_id: UUID, visitor: str) -> list[Row]:
    await txn.update("orders", order_id, visitor=visitor)
    return []


@statement(
    """
    WITH moved AS (SELECT id, order_id FROM payments WHERE id = $1),
    unpaid AS (UPDATE orders SET payment_status = 'none' WHERE id = (SELECT order_id FROM moved))
    UPDATE payments SET order_id = $2, reseat_order_id = NULL WHERE id = $1
    """
)
async def move_payment(txn: Transaction, payment_id: int, order_id: UUID) -> list[Row]:
    payment = txn.get("payments", payment_id)
    assert payment is not None
    await txn.update("orders", payment["order_id"], payment_status="none")
    await txn.update("payments", payment_id, order_id=order_id, reseat_order_id=None)
    return []


@statement("UPDATE events SET seq = seq + 1 WHERE id = $1")
async def lock_event(txn: Transaction, event_id: int) -> list[Row]:
    await txn.event(event_id)
    return []


@statement("UPDATE payments SET reseat_order_id = NULL WHERE id = $1 AND reseat_order_id = $2 RETURNING id")
async def no_longer_late(txn: Transaction, payment_id: int, order_id: UUID) -> list[Row]:
    did = await txn.update(
        "payments", payment_id, when=lambda row: row["reseat_order_id"] == order_id, reseat_order_id=None
    )
    return [{"id": payment_id}] if did else []


@statement("SELECT owe_refund($1, $2, 'late')")
async def owe_late_refund(txn: Transaction, payment_id: int, amount: int) -> list[Row]:
    await owe_refund(txn, payment_id, amount, "late")
    return [{"owe_refund": ""}]


# ---- refunds ----


@statement(
    f"""
    WITH taken AS (
        SELECT id FROM refunds WHERE status = 'due'
            OR status = 'sent' AND updated_at < now() - {payment_sql.SENT_AGAIN_S} * interval '1 second'
        ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED
    )
    UPDATE refunds r SET status = 'sent' FROM taken t, payments p
    WHERE r.id = t.id AND p.id = r.payment_id
    RETURNING r.id, p.provider, coalesce(p.session, '') AS session, r.amount, p.currency
    """
)
async def refunds_to_send(txn: Transaction) -> list[Row]:
    rows = []
    for refund in txn.rows("refunds"):
        again = refund["status"] == "sent" and refund["updated_at"] < txn.now - payment_sql.SENT_AGAIN_S
        if not (refund["status"] == "due" or again) or not txn.free("refunds", refund["id"]):
            continue
        await txn.update("refunds", refund["id"], status="sent")
        payment = txn.get("payments", refund["payment_id"])
        assert payment is not None
        row = {"id": refund["id"], "provider": payment["provider"], "session": payment["session"] or ""}
        rows.append(row | {"amount": refund["amount"], "currency": payment["currency"]})
    return rows


@statement("SELECT payment_id FROM refunds WHERE id = $1")
async def payment_of_refund(txn: Transaction, refund_id: int) -> list[Row]:
    refund = txn.get("refunds", refund_id)
    return [{"payment_id": refund["payment_id"]}] if refund else []


@statement("SELECT FROM payments WHERE id = $1 FOR UPDATE")
async def lock_payment(txn: Transaction, payment_id: int) -> list[Row]:
    return [{}] if await txn.locked("payments", payment_id) else []


@statement("UPDATE refunds SET status = $2 WHERE id = $1 AND status <> 'done'")
async def end_refund(txn: Transaction, refund_id: int, status: str) -> list[Row]:
    await txn.update("refunds", refund_id, when=lambda row: row["status"] != "done", status=status)
    return []


@statement(
    """
    UPDATE payments SET status = 'refund_due' WHERE id = $1 AND status = 'stuck'
        AND NOT EXISTS (SELECT FROM refunds WHERE payment_id = $1 AND status <> 'done')
    """
)
async def paid_after_all(txn: Transaction, payment_id: int) -> list[Row]:
    if all(row["status"] == "done" for row in txn.find("refunds", payment_id=payment_id)):
        await txn.update(
            "payments", payment_id, when=lambda row: row["status"] == "stuck", status="refund_due"
        )
    return []


@statement(
    """
    UPDATE payments SET status = $2 WHERE id = $1 AND status = 'refund_due'
        AND CASE $2 WHEN 'stuck' THEN EXISTS (
            SELECT FROM refunds WHERE payment_id = $1 AND status = 'failed')
        ELSE NOT EXISTS (
            SELECT FROM refunds WHERE payment_id = $1 AND status <> 'done') END
    RETURNING order_id
    """
)
async def refunded(txn: Transaction, payment_id: int, status: str) -> list[Row]:
    standing = {row["status"] for row in txn.find("refunds", payment_id=payment_id)}
    if not ("failed" in standing if status == "stuck" else standing <= {"done"}):
        return []
    did = await txn.update(
        "payments", payment_id, when=lambda row: row["status"] == "refund_due", status=status
    )
    payment = txn.get("payments", payment_id)
    return [{"order_id": payment["order_id"]}] if did and payment else []


@statement("UPDATE orders SET payment_status = 'refunded' WHERE id = $1")
async def order_refunded(txn: Transaction, order_id: UUID) -> list[Row]:
    await txn.update("orders", order_id, payment_status="refunded")
    return []


# ---- the test card's own memory ----


@statement(
    """
    INSERT INTO test_card_sessions (session, payment_id, amount, currency) VALUES ($1, $2, $3, $4)
    ON CONFLICT (payment_id) DO NOTHING
    """
)
async def open_session(
    txn: Transaction, session: str, payment_id: int, amount: int, currency: str
) -> list[Row]:
    row = {
        "session": session,
        "payment_id": payment_id,
        "amount": amount,
        "currency": currency,
        "state": "open",
    }
    await txn.insert("test_card_sessions", payment_id, row)
    return []


@statement("SELECT session FROM test_card_sessions WHERE payment_id = $1")
async def session_of_payment(txn: Transaction, payment_id: int) -> list[Row]:
    row = txn.get("test_card_sessions", payment_id)
    return [{"session": row["session"]}] if row else []


@statement("UPDATE test_card_sessions SET state = $2 WHERE session = $1 AND state = 'open' RETURNING true")
async def close_session(txn: Transaction, session: str, state: str) -> list[Row]:
    row = next(iter(txn.find("test_card_sessions", session=session)), None)
    if row is None:
        return []
    did = await txn.update(
        "test_card_sessions", row["payment_id"], when=lambda r: r["state"] == "open", state=state
    )
    return [{"bool": True}] if did else []


@statement("SELECT state, amount, currency FROM test_card_sessions WHERE session = $1")
async def read_session(txn: Transaction, session: str) -> list[Row]:
    return [
        {name: row[name] for name in ("state", "amount", "currency")}
        for row in txn.find("test_card_sessions", session=session)
    ]


@statement(
    """
    INSERT INTO test_card_refunds (refund_id, session, amount) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING
    """
)
async def pay_back(txn: Transaction, refund_id: int, session: str, amount: int) -> list[Row]:
    row = {"refund_id": refund_id, "session": session, "amount": amount}
    await txn.insert("test_card_refunds", refund_id, row)
    return []
