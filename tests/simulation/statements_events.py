"""What the model of Postgres does for the statements of events and jobs."""

import json

from seatmap.ledger import events as event_sql
from seatmap.model import Event
from tests.simulation.postgres_model import ACTIVE, Row, Transaction, moment
from tests.simulation.statements import statement

ENQUEUE = "simulated: put a job into the queue"
DEQUEUE = "simulated: take a job from the queue"
DEQUEUED = "simulated: a job was done"
LEASE_S = 10.0


def _event_row(txn: Transaction, event: Row) -> Row:
    categories = sorted(
        txn.find("categories", event_id=event["id"]), key=lambda row: (row["position"], row["id"])
    )
    fields = {name: event[name] for name in Event.__struct_fields__ if name != "categories"}
    for name in ("starts_at", "on_sale_from", "on_sale_until", "accessible_until"):
        fields[name] = moment(fields[name])
    told = [{name: row[name] for name in ("id", "name", "price", "color")} for row in categories]
    return {**fields, "deleted_at": event["deleted_at"], "categories": json.dumps(told)}


@statement(f"{event_sql.SELECT} WHERE e.deleted_at IS NULL AND e.id = $1")
async def read_event(txn: Transaction, event_id: int) -> list[Row]:
    event = txn.get("events", event_id)
    return [_event_row(txn, event)] if event and event["deleted_at"] is None else []


@statement(
    f"{event_sql.SELECT} WHERE e.deleted_at IS NULL AND e.status = 'published' ORDER BY e.starts_at, e.id"
)
async def read_published(txn: Transaction) -> list[Row]:
    found = [event for event in txn.find("events", status="published") if event["deleted_at"] is None]
    return [_event_row(txn, event) for event in sorted(found, key=lambda row: (row["starts_at"], row["id"]))]


@statement(
    """
    SELECT e.id, e.epoch FROM events e
    WHERE e.status = 'cancelled' AND e.deleted_at IS NULL AND e.updated_at > now() - interval '1 day'
        AND NOT EXISTS (
            SELECT FROM orders o WHERE o.event_id = e.id AND o.status IN ('pending', 'confirmed'))
    ORDER BY e.id
    """
)
async def read_closed(txn: Transaction) -> list[Row]:
    """A run lasts less than a day."""
    found = [event for event in txn.find("events", status="cancelled") if event["deleted_at"] is None]
    active = {
        order["event_id"] for order in txn.find("orders") if order["status"] in ("pending", "confirmed")
    }
    return [
        {"id": event["id"], "epoch": event["epoch"]}
        for event in sorted(found, key=lambda row: row["id"])
        if event["id"] not in active
    ]


@statement("UPDATE events SET epoch = epoch + 1 WHERE id = $1 AND deleted_at IS NULL RETURNING epoch")
async def raise_epoch(txn: Transaction, event_id: int) -> list[Row]:
    event = await txn.locked("events", event_id)
    if event is None or event["deleted_at"] is not None:
        return []
    await txn.update("events", event_id, epoch=event["epoch"] + 1)
    return [{"epoch": event["epoch"] + 1}]


@statement(
    """
    UPDATE events SET status = 'cancelled', status_version = status_version + 1, epoch = epoch + 1
    WHERE id = $1 AND status <> 'cancelled' AND deleted_at IS NULL RETURNING epoch
    """
)
async def cancel_event(txn: Transaction, event_id: int) -> list[Row]:
    event = await txn.locked("events", event_id)
    if event is None or event["deleted_at"] is not None or event["status"] == "cancelled":
        return []
    raised = {"status_version": event["status_version"] + 1, "epoch": event["epoch"] + 1}
    await txn.update("events", event_id, status="cancelled", **raised)
    return [{"epoch": raised["epoch"]}]


@statement("SELECT epoch FROM events WHERE id = $1 AND deleted_at IS NULL")
async def read_epoch(txn: Transaction, event_id: int) -> list[Row]:
    event = txn.get("events", event_id)
    return [{"epoch": event["epoch"]}] if event and event["deleted_at"] is None else []


@statement(
    """
    SELECT seat, order_id, status, CASE status
        WHEN 'pending' THEN (SELECT visitor FROM orders WHERE id = order_id) ELSE '' END
    FROM bookings
    WHERE event_id = $1 AND status IN ('pending', 'confirmed')
    UNION ALL
    SELECT index, NULL, status, NULL FROM seats WHERE event_id = $1 AND status = 'blocked'
    ORDER BY 1
    """
)
async def occupied(txn: Transaction, event_id: int) -> list[Row]:
    rows: list[Row] = []
    for row in txn.find("bookings", event_id=event_id):
        if row["status"] in ACTIVE:
            order = txn.get("orders", row["order_id"])
            assert order is not None
            visitor = order["visitor"] if row["status"] == "pending" else ""
            rows.append(
                {"seat": row["seat"], "order_id": row["order_id"], "status": row["status"], "case": visitor}
            )
    rows += [
        {"seat": seat["index"], "order_id": None, "status": "blocked", "case": None}
        for seat in txn.find("seats", event_id=event_id, status="blocked")
    ]
    return sorted(rows, key=lambda row: row["seat"])


# ---- jobs ----


@statement("INSERT INTO jobs (kind, event_id, payload) VALUES ($1, $2, $3) RETURNING id, kind, payload")
async def add_job(txn: Transaction, kind: str, event_id: int, payload: str) -> list[Row]:
    job_id = txn.database.number("jobs")
    job = {"id": job_id, "kind": kind, "event_id": event_id, "state": "queued", "done": 0, "total": 0}
    await txn.insert("jobs", job_id, job)
    return [{"id": job_id, "kind": kind, "payload": payload}]


@statement("UPDATE jobs SET state = 'running', done = $2, total = $3, error = '' WHERE id = $1")
async def advance_job(txn: Transaction, job_id: int, done: int, total: int) -> list[Row]:
    await txn.update("jobs", job_id, state="running", done=done, total=total)
    return []


@statement("UPDATE jobs SET state = 'done', done = total, error = '', payload = '' WHERE id = $1")
async def finish_job(txn: Transaction, job_id: int) -> list[Row]:
    await txn.update("jobs", job_id, state="done")
    return []


@statement(ENQUEUE)
async def enqueue(txn: Transaction, job_id: int, kind: str, content: bytes) -> list[Row]:
    await txn.insert(
        "queue", job_id, {"id": job_id, "kind": kind, "content": content, "taken": None, "done": False}
    )
    return []


@statement(DEQUEUE)
async def dequeue(txn: Transaction) -> list[Row]:
    """pgqueuer's: a job that nobody has, or whose worker has not been heard of for a while."""
    for row in txn.rows("queue"):
        stale = row["taken"] is None or row["taken"] < txn.now - LEASE_S
        if not row["done"] and stale and txn.free("queue", row["id"]):
            await txn.update("queue", row["id"], taken=txn.now)
            return [{name: row[name] for name in ("id", "kind", "content")}]
    return []


@statement(DEQUEUED)
async def dequeued(txn: Transaction, job_id: int) -> list[Row]:
    await txn.update("queue", job_id, done=True)
    return []
