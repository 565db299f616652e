"""Failpoints: places on the write path where a test can end, delay or fail the process. None is set by default.

    SEATMAP_FAILPOINTS="book.after_begin=exit; cancel.after_commit=sleep(300)@0.1; rebuild.after_read=raise*1"

One entry is `point=action`, with `@probability` (of acting when it is reached; 1 if absent) and `*times` (that it
acts at most; without limit if absent). Actions: `exit` or `exit(code)` ends the process at once, as kill -9 does
(137 if absent); `sleep(ms)`; `raise` fails as a store that is away does.

The command line sets them, from its environment, before anything else runs. Nothing that comes over the network can.
"""

import asyncio
import logging
import os
import random
import re
from collections.abc import Coroutine
from typing import Any, TypeVar

from msgspec import Struct

from seatmap.errors import SettingInvalid, Unavailable

SETTING = "SEATMAP_FAILPOINTS"
EXIT_CODE = 137
UNDER_WAY_S = 0.2  # after which a statement has been sent, and an answer has left

# Where each one is; "commit" is Postgres'.
POINTS = {
    "book.before_begin": "nothing done yet",
    "book.after_begin": "the seats are undecided in Redis",
    "book.before_postgres": "a batch of orders has its connection",
    "book.in_postgres": "the statement that decides a batch is under way",
    "book.after_commit": "the batch is committed, nobody was told",
    "book.after_ack": "the buyer was told, Redis was not",
    "book.before_finish": "the verdict is a refusal, and nobody was told",
    "book.after_finish": "Redis was told",
    "book.before_refusal": "Redis refused to begin; that is not written down yet",
    "book.after_refusal": "the refusal is written down, the buyer was not told",
    "cancel.before_postgres": "nothing done yet",
    "cancel.in_postgres": "the statement is under way",
    "cancel.after_commit": "the order is cancelled in Postgres alone",
    "cancel.after_ack": "the buyer was told, Redis was not",
    "cancel.after_finish": "Redis was told",
    "staff_cancel.before_commit": "the transaction of the box office is open",
    "staff_cancel.after_commit": "the seats are given back in Postgres alone",
    "staff_cancel.after_finish": "Redis was told",
    "reseat.before_take": "nothing done yet",
    "reseat.after_take": "Redis has claimed the new seats",
    "reseat.before_commit": "the transaction that moves the order is open",
    "reseat.after_commit": "the order has moved in Postgres alone",
    "reseat.after_settle": "Redis has booked the new seats and not freed the old",
    "reseat.after_finish": "Redis was told all of it",
    "sell.before_take": "nothing done yet",
    "sell.after_take": "Redis has claimed the seats",
    "sell.before_commit": "the transaction that books them is open",
    "sell.after_commit": "they are sold in Postgres alone",
    "sell.after_settle": "Redis was told, the box office was not",
    "pay.after_session": "the provider has a session that the order does not know",
    "pay.before_postgres": "a provider's message is here",
    "pay.in_postgres": "the statement that carries the message out is under way",
    "pay.after_commit": "the claim has ended in Postgres alone",
    "pay.after_finish": "Redis was told",
    "pay_expire.after_end": "the provider's session is ended, the order is not",
    "pay_expire.after_commit": "the order is ended in Postgres alone",
    "pay_expire.after_finish": "Redis was told",
    "pay_late.after_hold": "the seats of a late payment are held again",
    "pay_late.after_begin": "they are undecided under the new order",
    "pay_late.after_commit": "the new order is decided in Postgres alone",
    "pay_late.after_finish": "Redis was told",
    "refund.before_send": "a refund is marked as sent and was not",
    "refund.after_send": "the provider has paid back, which is not written down",
    "cancel_event.before_commit": "the transaction that closes an event is open",
    "cancel_event.before_chunk": "the job is about to cancel the next orders",
    "cancel_event.after_chunk": "it has cancelled some of them",
    "cancel_event.before_rebuild": "all are cancelled in Postgres alone",
    "cancel_event.after_rebuild": "Redis was told, the job is not done",
    "announce.before_redis": "an event's new state is committed, Redis was not told",
    "announce.after_redis": "Redis was told",
    "edit_seats.after_take_off": "seats are off sale in Redis alone",
    "edit_seats.before_commit": "the transaction of the edit is open",
    "edit_seats.after_commit": "the edit is committed; Redis has not put back what is on offer",
    "rebuild.before_mark": "nothing done yet",
    "rebuild.after_mark": "the event answers that it is being restored",
    "rebuild.after_epoch": "the epoch is raised in Postgres, nothing read yet",
    "rebuild.after_read": "the bookings are read, nothing loaded yet",
    "rebuild.after_stage": "the new state is beside the old one",
    "rebuild.after_swap": "the new state is in place",
    "sweep.before": "expired holds are about to be ended",
    "sweep.after": "they were",
    "resolve.before_tombstone": "an undecided order was found",
    "verdict.after_insert": "a tombstone or refusal is committed, unless there was a verdict; nobody read which",
    "resolve.before_finish": "the verdict is read, Redis was not told",
    "resolve.after_finish": "Redis was told",
    "reconcile.before_repair": "a lasting difference is about to be corrected",
    "reconcile.after_repair": "it was",
}

log = logging.getLogger(__name__)

T = TypeVar("T")


class _Armed(Struct):
    action: str
    argument: int
    probability: float
    times_left: int | None  # None: without limit


_armed: dict[str, _Armed] = {}


def arm(text: str) -> None:
    """Set what `text` says in place of what was set. Raises SettingInvalid, which says what is wrong."""
    entries = (entry.strip() for entry in text.split(";"))
    parsed = dict(_parse(text, entry) for entry in entries if entry)
    _armed.clear()
    _armed.update(parsed)
    if _armed:
        log.warning("THIS PROCESS FAILS ON PURPOSE, as only tests should: %s=%s", SETTING, text)


async def failpoint(name: str, *, after_s: float = 0.0) -> None:
    """A place where the process may be told to end, wait or fail; by default it does nothing.

    Where it is set it acts `after_s` after it was reached. Raises Unavailable if it is told to fail.
    """
    if _armed:
        await _reach(name, after_s)


async def during(name: str, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; a failpoint in the middle of it, which abandons it if it is told to fail."""
    if name not in _armed:
        return await work
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=UNDER_WAY_S)
        await _reach(name)
        return await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _reach(name: str, after_s: float = 0.0) -> None:
    armed = _armed.get(name)
    if armed is None or armed.times_left == 0 or random.random() >= armed.probability:
        return
    if armed.times_left is not None:
        armed.times_left -= 1
    if after_s:
        await asyncio.sleep(after_s)
    log.warning("failpoint %s: %s", name, armed.action)
    if armed.action == "exit":
        os._exit(armed.argument)
    if armed.action == "raise":
        raise Unavailable(f"The failpoint {name} makes this fail, for a test.")
    await asyncio.sleep(armed.argument / 1000)


_ENTRY = re.compile(
    r"(?P<name>[^=\s]+)\s*=\s*(?P<action>\w+)(\((?P<argument>\d+)\))?"
    r"(@(?P<probability>0?\.\d+|0|1|1\.0+))?(\*(?P<times>\d+))?"
)


def _parse(text: str, entry: str) -> tuple[str, _Armed]:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise SettingInvalid(
            SETTING, text, f"{entry!r} should read name=action[(argument)][@probability][*times]"
        )
    name, action, argument = found["name"], found["action"], found["argument"]
    if name not in POINTS:
        raise SettingInvalid(SETTING, text, f"there is no failpoint {name!r}; there are {', '.join(POINTS)}")
    if action not in ("exit", "sleep", "raise"):
        raise SettingInvalid(SETTING, text, f"{action!r} is none of the actions exit, sleep and raise")
    if (action == "sleep") != bool(argument) and action != "exit":
        wanted = "needs its milliseconds, as in sleep(300)" if action == "sleep" else "takes no argument"
        raise SettingInvalid(SETTING, text, f"{action} {wanted}")
    times = found["times"]
    return name, _Armed(
        action,
        int(argument) if argument else EXIT_CODE,
        float(found["probability"] or 1),
        int(times) if times else None,
    )
