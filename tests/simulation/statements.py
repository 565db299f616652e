"""What the model of Postgres does for each statement of the write path; here, of orders.

A statement is known by its whole text. One that the product changes or adds is refused as unknown until its model
is written, or looked through again, here; tests/integration/test_ledger_model.py then compares both.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg

from seatmap.ledger import orders as order_sql
from tests.simulation.postgres_model import ACTIVE, Row, Transaction, moment

Handler = Callable[..., Awaitable[list[Row]]]
KNOWN: dict[str, Handler] = {}


class UnknownStatementError(Exception):
    """The product asked Postgres something that the simulation has no model of."""


def normalized(sql: str) -> str:
    return " ".join(re.sub(r"--[^\n]*", "", sql).split())


def statement(*texts: str) -> Callable[[Handler], Handler]:
    """The model of these statements."""

    def add(handler: Handler) -> Handler:
        for text in texts:
            KNOWN[normalized(text)] = handler
        return handler

    return add


def handler_of(sql: str) -> Handler:
    try:
        return KNOWN[normalized(sql)]
    except KeyError:
        raise UnknownStatementError(
            "tests/simulation has no model of this statement; write it beside the others"
        ) from None


# ---- booking ----


@statement(order_sql._BOOK)
async def book_orders(txn: Transaction, event_id: int, *columns: Any) -> list[Row]:
    ids, epochs, visitors, hashes, totals, names, emails, ord_, seats, methods, paid_by, pay_s = columns
    ev = await txn.event(event_id)
    on_sale = ev is not None and ev["deleted_at"] is None and ev["status"] == "published"
    known = {order_id: found for order_id in ids if (found := txn.get("verdicts", order_id)) is not None}
    fresh = [n for n, order_id in enumerate(ids) if order_id not in known]
    chosen = [
        [seat for place, seat in zip(ord_, seats, strict=True) if place == n + 1] for n in range(len(ids))
    ]
    decided = {}
    met: set[int] = set()
    asked_by: dict[str, int] = {}
    for n in fresh:
        wanted = [_wanted(txn, event_id, ev, seat, met) for seat in chosen[n]]
        asked_by[visitors[n]] = asked_by.get(visitors[n], 0) + len(wanted)
        count = asked_by[visitors[n]] + _active_of(txn, event_id, visitors[n])
        method = methods[n] or (ev["payment_methods"][0] if ev else None)
        why = _why_not(ev, on_sale, epochs[n], totals[n], wanted, count, method, paid_by[n])
        decided[n] = (why, wanted, method)
    told = []
    for n in sorted(fresh, key=lambda n: ids[n].bytes):
        why, wanted, method = decided[n]
        verdict = _verdict(ids[n], event_id, visitors[n], hashes[n], "refused" if why else "committed", why)
        if await txn.insert("verdicts", ids[n], verdict | {"seq": ev["seq"] if ev else 0}):
            told.append((n, why, wanted, method))
    answers: list[Row] = []
    for n, why, wanted, method in told:
        standing = None
        if not why:
            assert ev is not None
            buyer = {"visitor": visitors[n], "name": names[n], "email": emails[n], "total": totals[n]}
            standing = await _buy(txn, ev, ids[n], buyer, wanted, method, paid_by[n], pay_s)
        answers.append(_answer(ids[n], "refused" if why else "committed", why, standing))
    for n, order_id in enumerate(ids):
        if order_id in known:
            v = known[order_id]
            same = v["outcome"] == "aborted" or (v["visitor"], v["body_hash"]) == (visitors[n], hashes[n])
            answers.append(
                _answer(order_id, v["outcome"], v["reason"], None)
                if same
                else _answer(order_id, "refused", "order_reused", None)
            )
    return answers


def _answer(order_id: UUID, outcome: str, reason: str, standing: str | None) -> Row:
    return {"order_id": order_id, "outcome": outcome, "reason": reason, "standing": standing}


def _verdict(order_id: UUID, event_id: int, visitor: str, body: bytes, outcome: str, reason: str) -> Row:
    return {
        "order_id": order_id,
        "event_id": event_id,
        "visitor": visitor,
        "body_hash": body,
        "outcome": outcome,
        "reason": reason,
        "seq": 0,
    }


def _wanted(txn: Transaction, event_id: int, ev: Row | None, seat: int, met: set[int]) -> Row:
    found = txn.get("seats", (event_id, seat))
    taken = seat in met or any(
        booking["status"] in ACTIVE for booking in txn.find("bookings", event_id=event_id, seat=seat)
    )
    met.add(seat)
    if found is None or ev is None:
        return {"seat": seat, "status": None, "price": None, "taken": taken}
    category = txn.get("categories", found["category_id"])
    assert category is not None
    price = category["price"] + ev["fee_per_seat"]
    return {"seat": seat, "status": found["status"], "price": price, "taken": taken}


def _active_of(txn: Transaction, event_id: int, visitor: str) -> int:
    orders = {row["id"] for row in txn.find("orders", visitor=visitor, event_id=event_id)}
    return sum(row["order_id"] in orders and row["status"] in ACTIVE for row in txn.rows("bookings"))


def _why_not(
    ev: Row | None,
    on_sale: bool,
    epoch: int,
    total: int,
    wanted: list[Row],
    count: int,
    method: Any,
    paid_by: Any,
) -> str:
    if not on_sale or ev is None:
        return "not_on_sale"
    checks = (
        ("wrong_epoch", epoch != ev["epoch"]),
        ("no_seats", not wanted),
        ("seat_out_of_range", any(seat["status"] is None for seat in wanted)),
        ("seat_blocked", any(seat["status"] == "blocked" for seat in wanted)),
        ("seat_taken", any(seat["taken"] for seat in wanted)),
        ("price_changed", total != sum(seat["price"] or 0 for seat in wanted)),
        ("too_many_seats", count > ev["seats_per_visitor"]),
        ("method_not_offered", paid_by is None and method not in ev["payment_methods"]),
    )
    return next((code for code, holds in checks if holds), "")


async def _buy(
    txn: Transaction,
    ev: Row,
    order_id: UUID,
    buyer: Row,
    wanted: list[Row],
    method: str,
    paid_by: Any,
    pay_s: int,
) -> str:
    total = buyer["total"]
    paying = paid_by is None and total > 0 and method not in ("free", "door")
    status = "pending" if paying else "confirmed"
    free = total == 0 or method == "free"
    order = {
        "id": order_id,
        "event_id": ev["id"],
        **buyer,
        "status": status,
        "currency": ev["currency"],
        "payment_status": "paid" if paid_by is not None else "none" if free else "unpaid",
        "payment_method": method,
        "pay_by": txn.now + pay_s if paying else None,
        "created_at": txn.now,
        "cancel_reason": "",
    }
    await txn.insert("orders", order_id, order)
    if paid_by is None and total > 0 and method != "free":
        payment_id = txn.database.number("payments")
        payment = {
            "id": payment_id,
            "order_id": order_id,
            "provider": method,
            "session": None,
            "url": "",
            "amount": total,
            "currency": ev["currency"],
            "status": "created",
            "reseat_order_id": None,
            "session_ended": False,
            "updated_at": txn.now,
        }
        await txn.insert("payments", payment_id, payment)
    for seat in wanted:
        await add_booking(txn, ev, order_id, seat["seat"], status, seat["price"])
    return "pending" if paying else "free" if method == "free" else "confirmed"


async def add_booking(txn: Transaction, ev: Row, order_id: UUID, seat: int, status: str, price: int) -> None:
    booking_id = txn.database.number("bookings")
    booking = {
        "id": booking_id,
        "order_id": order_id,
        "event_id": ev["id"],
        "seat": seat,
        "status": status,
        "price": price,
        "seq_on": ev["seq"],
        "seq_off": None,
    }
    await txn.insert("bookings", booking_id, booking)


@statement("SELECT decide_abort($1, $2, $3, $4, $5, $6)")
async def decide_abort(
    txn: Transaction, order_id: UUID, event_id: int, visitor: str, body: bytes, outcome: str, reason: str
) -> list[Row]:
    if outcome not in ("aborted", "refused"):
        raise asyncpg.RaiseError(f"only a booking can give the outcome {outcome}")
    await txn.insert("verdicts", order_id, _verdict(order_id, event_id, visitor, body, outcome, reason))
    return [{"decide_abort": ""}]


@statement("SELECT visitor, body_hash, outcome, reason FROM verdicts WHERE order_id = $1")
async def read_verdict(txn: Transaction, order_id: UUID) -> list[Row]:
    row = txn.get("verdicts", order_id)
    return [{name: row[name] for name in ("visitor", "body_hash", "outcome", "reason")}] if row else []


@statement("SELECT status FROM orders WHERE id = $1")
async def read_standing(txn: Transaction, order_id: UUID) -> list[Row]:
    row = txn.get("orders", order_id)
    return [{"status": row["status"]}] if row else []


@statement("SELECT visitor FROM orders WHERE id = $1")
async def read_visitor(txn: Transaction, order_id: UUID) -> list[Row]:
    row = txn.get("orders", order_id)
    return [{"visitor": row["visitor"]}] if row else []


@statement(f"{order_sql._SELECT} WHERE o.id = $1 AND o.visitor = $2 AND o.deleted_at IS NULL ORDER BY b.seat")
async def read_order(txn: Transaction, order_id: UUID, visitor: str) -> list[Row]:
    order = txn.get("orders", order_id)
    if order is None or order["visitor"] != visitor:
        return []
    payment = next(iter(txn.find("payments", order_id=order_id)), None)
    event = txn.get("events", order["event_id"])
    assert event is not None
    pay_by_ms = max(0, round(1000 * (order["pay_by"] - txn.now))) if order["pay_by"] is not None else 0
    head = {name: order[name] for name in ("id", "event_id", "status", "total", "currency", "name", "email")}
    head |= {
        "event_name": event["name"],
        "payment_status": order["payment_status"],
        "payment_method": order["payment_method"],
        "created_at": moment(order["created_at"]),
        "pay_by_ms": pay_by_ms,
        "provider": payment and payment["provider"],
        "url": payment and payment["url"],
    }
    rows = []
    latest = {
        row["seat"]: row for row in txn.find("bookings", order_id=order_id)
    }  # in the order of their making
    for _, booking in sorted(latest.items()):
        seat = txn.get("seats", (booking["event_id"], booking["seat"]))
        assert seat is not None
        category = txn.get("categories", seat["category_id"])
        assert category is not None
        rows.append(
            head
            | {"seat": booking["seat"], "label": seat["label"], "category": category["name"]}
            | {"price": booking["price"], "seat_status": booking["status"]}
        )
    return rows
