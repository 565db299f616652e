"""What must be true: of every commit, and of everything once all is well again."""

from collections import Counter
from itertools import pairwise
from typing import Any
from uuid import UUID

from tests.simulation.people import Crowd, Placed
from tests.simulation.postgres_model import ACTIVE, Database, Row, Transaction
from tests.simulation.redis_world import NAMES, RedisWorld
from tests.simulation.run_context import Run
from tests.simulation.statements import order_sql

DECIDE = "SELECT decide_abort($1, $2, $3, $4, $5, $6)"
CAPTURED = ("captured", "refund_due", "refunded")


class CommitWatch:
    """Looks at each transaction of Postgres as it is committed."""

    def __init__(self, run: Run, database: Database) -> None:
        self.run = run
        self.crowd: Crowd | None = None
        self._database = database
        database.on_commit.append(self._committed)

    def _committed(self, txn: Transaction) -> None:
        run = self.run
        closed = self.crowd is not None and self.crowd.closed_at is not None
        for booking in txn.writes.get("bookings", {}).values():
            run.trace("booking", booking["seat"], booking["order_id"].hex[:8], booking["status"])
            if closed and booking["status"] in ACTIVE:
                run.broken(f"P7: seat {booking['seat']} was booked after the event was said to be cancelled")
        for refund in txn.writes.get("refunds", {}).values():
            self.run.rare["a late payment was given back"] += (
                refund["reason"] == "late" and refund["status"] == "due"
            )
        for order_id, verdict in txn.writes.get("verdicts", {}).items():
            run.operations[f"verdict {verdict['outcome']}"] += 1
            run.trace("verdict", order_id.hex[:8], verdict["outcome"], verdict["reason"])

    def asked(self, sql: str, args: tuple[Any, ...], rows: list[Row] | Exception) -> None:
        """After a statement: what Redis has given to an order, Postgres does not find taken."""
        if isinstance(rows, Exception):
            return
        if sql == DECIDE:
            self._decided(args)
        if sql != order_sql._BOOK:
            return
        if args[11][0] is not None and rows and rows[0]["standing"]:
            self.run.rare["a late payment got its seats again"] += 1
        told = {row["order_id"]: row for row in rows}
        for order_id in args[1]:
            row = told.get(order_id)
            if row is None:
                self.run.rare["a tombstone was committed while a booking waited"] += 1
            elif row["reason"] in ("seat_taken", "seat_blocked", "seat_out_of_range"):
                if not self._was_refused_before_begin(order_id):
                    self.run.broken(
                        f"P1: order {order_id.hex} was begun in this epoch, and meets {row['reason']}"
                    )
            elif row["outcome"] == "aborted":
                self.run.rare["a booking met its tombstone"] += 1
            elif row["reason"] == "wrong_epoch":
                self.run.rare["an order of an old epoch was refused"] += 1
            elif row["standing"] is None and row["outcome"] == "committed":
                self.run.rare["an order was booked already when it came again"] += 1

    def _was_refused_before_begin(self, order_id: UUID) -> bool:
        """Two try one late payment; the seats came free in Redis after it had refused the first."""
        verdict = self._database.tables["verdicts"].get(order_id)
        return verdict is not None and verdict["seq"] == 0  # it was no booking that met the event

    def _decided(self, args: tuple[Any, ...]) -> None:
        verdict = self._database.tables["verdicts"].get(args[0])
        if verdict is not None and verdict["outcome"] == "committed":
            self.run.rare["a tombstone came too late"] += 1


def check_ledger(run: Run, database: Database, crowd: Crowd) -> None:
    """P1 to P4 and P8, of what Postgres remembers and of what everybody was told."""
    tables = database.tables
    _never_twice(run, list(tables["bookings"].values()))
    for order_id, placed in crowd.orders.items():
        _as_told(run, tables, order_id, placed)
    for order_id, order in tables["orders"].items():
        bookings = [row for row in tables["bookings"].values() if row["order_id"] == order_id]
        if len({row["status"] for row in bookings}) != 1 or {row["status"] for row in bookings} != {
            order["status"]
        }:
            run.broken(f"P4: order {order_id} is {order['status']}, its bookings {bookings}")
        placed = crowd.orders.get(order_id)
        if placed is not None and sorted(row["seat"] for row in bookings) != sorted(placed.order.seats):
            run.broken(f"P4: order {order_id} of {placed.order.seats} has {bookings}")
        if tables["verdicts"][order_id]["outcome"] != "committed":
            run.broken(f"P3: order {order_id} exists, and its verdict is {tables['verdicts'][order_id]}")
    _balanced(run, tables)


def _never_twice(run: Run, bookings: list[Row]) -> None:
    by_seat: dict[int, list[tuple[int, float]]] = {}
    for row in bookings:
        off = row["seq_off"] if row["seq_off"] is not None else float("inf")
        by_seat.setdefault(row["seat"], []).append((row["seq_on"], off))
    for seat, spans in by_seat.items():
        spans.sort()
        for (_, off), (on, _) in pairwise(spans):
            if on < off:
                run.broken(f"P1: seat {seat} was sold twice: {spans}")


def _as_told(run: Run, tables: dict[str, dict[Any, Row]], order_id: Any, placed: Placed) -> None:
    verdict, order = tables["verdicts"].get(order_id), tables["orders"].get(order_id)
    if len(placed.told) > 1:
        run.broken(f"P3: order {order_id} was told {placed.told}")
    for told in placed.told:
        if verdict is None:
            run.broken(f"P3: order {order_id} was told {told} and has no verdict")
        elif told == "committed" and verdict["outcome"] != "committed":
            run.broken(f"P2: order {order_id} was told booked and is {verdict}")
        elif told != "committed" and (
            verdict["outcome"] == "committed" or told != f"refused:{verdict['reason']}"
        ):
            run.broken(f"P3: order {order_id} was told {told} and is {verdict}")
    if order is None:
        return
    if order["status"] == "cancelled":
        why = order["cancel_reason"]
        asked = {"buyer": placed.cancel_asked, "event": tables["events"][1]["status"] == "cancelled"}
        if not asked.get(why, why in ("expired", "failed")) or (
            why in ("expired", "failed") and order["pay_by"] is None
        ):
            run.broken(f"P2: order {order_id} was cancelled by nobody: {order}")
    elif placed.cancel_told:
        run.broken(f"order {order_id} was said to be cancelled and is {order['status']}")


def _balanced(run: Run, tables: dict[str, dict[Any, Row]]) -> None:
    """Captured = seats owned + refunds, for every payment; the card paid back each refund once."""
    back: Counter[int] = Counter()
    card: Counter[str] = Counter()
    for row in tables["refunds"].values():
        back[row["payment_id"]] += row["amount"]
        if row["status"] != "done":
            run.broken(f"P8: refund {row} was never paid")
    for row in tables["test_card_refunds"].values():
        card[row["session"]] += row["amount"]
    states = {row["session"]: row["state"] for row in tables["test_card_sessions"].values()}
    for payment in tables["payments"].values():
        owned = sum(
            row["price"]
            for row in tables["bookings"].values()
            if row["order_id"] == payment["order_id"] and row["status"] == "confirmed"
        )
        captured = payment["amount"] if payment["status"] in CAPTURED else 0
        if captured != owned + back[payment["id"]] or payment["reseat_order_id"] is not None:
            run.broken(f"P8: {payment} owns {owned} and got {back[payment['id']]} back")
        if back[payment["id"]] != card[payment["session"]]:
            run.broken(f"P8: the card paid {card[payment['session']]} back of {payment}")
        if states.get(payment["session"]) == "paid" and not captured:
            run.broken(f"P8: the money of {payment} was taken and is nowhere")


def wrong_in_redis(world: RedisWorld, database: Database) -> list[str]:
    """Where records of the event do not agree with each other, or with Postgres."""
    wrong: list[str] = []
    names = (NAMES.owners, NAMES.holds, NAMES.orders, NAMES.visitors)
    replies = world.real.many(
        world.now.db,
        *(["HGETALL", name] for name in names),
        ["GET", NAMES.seats],
        ["ZRANGE", NAMES.expiry, 0, -1],
        ["ZRANGE", NAMES.pending, 0, -1],
    )
    owners, holds, orders, visitors = (
        {k.decode(): v.decode() for k, v in zip(flat[::2], flat[1::2], strict=True) if k != b"-"}
        for flat in replies[:4]
    )
    statuses, expiry, pending = (
        replies[4],
        *({name.decode() for name in names if name != b"-"} for names in replies[5:]),
    )
    if orders or pending:
        wrong.append(f"P3: orders are undecided for ever: {orders} {pending}")
    expected: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for row in database.tables["bookings"].values():
        if row["status"] in ACTIVE:
            order = database.tables["orders"][row["order_id"]]
            kind = "b" if row["status"] == "confirmed" else "c"
            expected[str(row["seat"])] = f"{kind}|{order['id'].hex}"
            if kind == "c":
                counts[order["visitor"]] += 1
    for hold_id, text in holds.items():
        visitor, _, _, seats = text.split("|")
        counts[visitor] += len(seats.split(","))
        for seat in seats.split(","):
            if seat in expected:
                wrong.append(f"seat {seat} is in hold {hold_id} and {expected[seat]}")
            expected[seat] = f"h|{hold_id}"
    if owners != expected:
        wrong.append(f"the stores differ: Redis has {owners}, expected {expected}")
    if {name: int(text.split("|")[0]) for name, text in visitors.items()} != counts:
        wrong.append(f"the visitors' counts are wrong: {visitors}, expected {dict(counts)}")
    if expiry != set(holds):
        wrong.append(f"holds that never end: {expiry ^ set(holds)}")
    shown = {"h": 1, "c": 1, "b": 2}
    for seat, status in enumerate(statuses):
        blocked = database.tables["seats"][(1, seat)]["status"] == "blocked"
        wanted = shown[expected[str(seat)][0]] if str(seat) in expected else 3 if blocked else 0
        if status != wanted:
            wrong.append(f"seat {seat} is shown as {status} instead of {wanted}")
    return wrong
