"""The names of an event's keys in Redis. One hash tag: an event lives in one slot of a cluster."""

from typing import NamedTuple


class Keys(NamedTuple):
    """The keys of one event, in the order in which the scripts take them (`_lib.lua`)."""

    meta: str  # hash: epoch, version, rid, status, plan_version, n, sale window, limits, clock floor
    seats: str  # string: one byte per seat, a model.Status
    owners: str  # hash: seat → h|hold_id, p|order_id (undecided), c|order_id (claimed), b|order_id, a| (held back)
    holds: str  # hash: hold_id → visitor|deadline|extended|seats
    visitors: str  # hash: visitor → seats held and undecided|hold_id|order_id
    expiry: str  # zset: hold_id by the moment others may take its seats
    orders: str  # hash: undecided order_id → visitor|hold_id|deadline|extended|body hash|seats
    pending: str  # zset: undecided order_id by the moment it became so
    log: str  # stream: one entry per batch, its id is the version it leads to
    accessible: str  # hash: the seats that are held back until meta's accessible_until
    channel: str  # sharded channel: the entries of the log


def keys(event_id: int) -> Keys:
    """The keys of the event."""
    return Keys(*(f"{{seatmap:{event_id}}}:{name}" for name in Keys._fields))


def processes(event_id: int) -> str:
    """Where the web processes of the event tell each other of themselves; no script knows it."""
    return f"{{seatmap:{event_id}}}:processes"


def staging(event_id: int, epoch: int) -> tuple[str, str]:
    """Where a rebuild loads seats and owners before it swaps them in; named by its epoch."""
    return (f"{{seatmap:{event_id}}}:seats:{epoch}", f"{{seatmap:{event_id}}}:owners:{epoch}")
