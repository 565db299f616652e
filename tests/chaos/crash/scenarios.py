"""The operations of the matrix, and the failpoints that each passes through.

A play begins with the web process running. Where the failpoint is the worker's, the play starts the worker when all
that it is to do has been prepared; else the worker starts after the failpoint was hit, so that nobody is faster.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct

from tests.chaos.crash.cell import Cell
from tests.chaos.crash.money import cancel_paid, paid_late, paying, refund, staff_cancel, unpaid
from tests.chaos.crash.plays import (
    book,
    cancel,
    cancel_event,
    close_it,
    edit_seats,
    lose,
    rebuild_it,
    reconcile,
    refused_by_postgres,
    refused_by_redis,
    reseat,
    resolve,
    sell,
    sweep,
)

Play = Callable[[Cell], Awaitable[None]]


class Scenario(Struct, frozen=True):
    """`points` are those it passes, in the process `armed`. `meanwhile` happens when the point is reached."""

    play: Play
    points: tuple[str, ...]
    armed: str = "web"
    settings: Mapping[str, Any] = {}
    meanwhile: Callable[[Cell], Awaitable[None]] | None = None


def named(operation: str) -> Callable[[str], tuple[str, ...]]:
    return lambda words: tuple(f"{operation}.{word}" for word in words.split())


BOOK = named("book")(
    "before_begin after_begin before_postgres in_postgres after_commit after_ack after_finish"
)
CANCEL = named("cancel")("before_postgres in_postgres after_commit after_ack after_finish")
REBUILD = named("rebuild")("before_mark after_mark after_epoch after_read after_stage after_swap")
CHUNKS = named("cancel_event")("before_chunk after_chunk before_rebuild after_rebuild")
REFUSAL = (*named("book")("before_refusal after_refusal"), "verdict.after_insert")
RESOLVE = (*named("resolve")("before_tombstone before_finish after_finish"), "verdict.after_insert")
CLOSING = ("cancel_event.before_commit", "announce.before_redis", "announce.after_redis")

SCENARIOS: dict[str, Scenario] = {
    "book": Scenario(book, BOOK),
    "book-while-rebuilt": Scenario(book, BOOK, meanwhile=rebuild_it),
    "book-while-event-cancelled": Scenario(book, BOOK, meanwhile=close_it),
    "refused-by-redis": Scenario(refused_by_redis, REFUSAL),
    "refused-by-postgres": Scenario(refused_by_postgres, named("book")("before_finish after_finish")),
    "cancel": Scenario(cancel, CANCEL),
    "cancel-while-rebuilt": Scenario(cancel, CANCEL, meanwhile=rebuild_it),
    "cancel-while-event-cancelled": Scenario(cancel, CANCEL, meanwhile=close_it),
    "cancel-paid": Scenario(cancel_paid, ("cancel.after_commit", "cancel.after_ack")),
    "box-office-cancel": Scenario(
        staff_cancel, named("staff_cancel")("before_commit after_commit after_finish")
    ),
    "reseat": Scenario(
        reseat, named("reseat")("before_take after_take before_commit after_commit after_settle after_finish")
    ),
    "sell": Scenario(sell, named("sell")("before_take after_take before_commit after_commit after_settle")),
    "edit-seats": Scenario(edit_seats, named("edit_seats")("after_take_off before_commit after_commit")),
    "pay": Scenario(
        paying, named("pay")("after_session before_postgres in_postgres after_commit after_finish")
    ),
    "unpaid": Scenario(unpaid, named("pay_expire")("after_end after_commit after_finish"), "worker"),
    "paid-late": Scenario(paid_late, named("pay_late")("after_hold after_begin after_commit after_finish")),
    "refund": Scenario(refund, named("refund")("before_send after_send"), "worker"),
    "event-cancel": Scenario(cancel_event, CLOSING),
    "event-cancel-job": Scenario(cancel_event, (*CHUNKS, *REBUILD), "worker"),
    "rebuild": Scenario(lose, REBUILD),
    "sweep": Scenario(
        sweep,
        named("sweep")("before after"),
        "worker",
        {"hold_seconds": 1, "grace_ms": 0, "head_check_ms": 60000},
    ),
    "resolve": Scenario(resolve, RESOLVE, "worker"),
    "reconcile": Scenario(reconcile, named("reconcile")("before_repair after_repair"), "worker"),
}
