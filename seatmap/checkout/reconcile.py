"""Comparing Redis with Postgres, for `verify`, and bringing Redis to what Postgres says, for the worker."""

import asyncio
from uuid import UUID

from msgspec import Struct

from seatmap.booking.commands import Command, Repair, Settle
from seatmap.checkout.stores import Stores
from seatmap.errors import SeatmapError
from seatmap.failpoints import failpoint
from seatmap.ledger import events, orders
from seatmap.model import Status

_STANDING = {"confirmed": "booked", "pending": "claimed"}
_STATUS = {
    "booked": Status.booked,
    "claimed": Status.held,
    "blocked": Status.blocked,
    "free": Status.available,
}


class Difference(Struct, frozen=True):
    """One seat about which the stores differ. `order_id` is Postgres', 32 hex digits or empty."""

    seat: int
    redis: str  # status and owner token, as Redis has them
    postgres: str  # booked, claimed, blocked or free
    order_id: str
    owner_seen: str
    status_seen: int
    visitor: str = ""  # of a claim in Postgres


async def differences(stores: Stores, event_id: int) -> list[Difference]:
    """What differs now. While sales go on some of it is only in flight: trust what is seen twice."""
    snapshot = await stores.state.snapshot(event_id)
    owners = await stores.state.owners(event_id)
    tokens = await stores.state.live_tokens(event_id)
    occupied = await events.occupied(stores.pool, event_id)
    booked = {seat: claim for seat, *claim in occupied.taken}
    blocked = set(occupied.blocked)
    found = []
    for seat, status in enumerate(snapshot.statuses):
        owner = owners.get(seat, "")
        if status == Status.available and not owner and seat not in booked and seat not in blocked:
            continue
        order_id, standing, visitor = booked.get(seat, ("", "", ""))
        orphaned = owner[:2] in ("h|", "p|") and owner not in tokens
        if orphaned or not _agree(status, owner, order_id, standing, seat in blocked):
            postgres = _STANDING[standing] if order_id else "blocked" if seat in blocked else "free"
            redis = f"{Status(status).name} {owner}".strip()
            found.append(Difference(seat, redis, postgres, order_id, owner, status, visitor))
    return found


def _agree(status: int, owner: str, order_id: str, standing: str, blocked: bool) -> bool:
    kind, _, holder = owner.partition("|")
    if kind == "p":
        # Undecided: the resolver's business, whatever Postgres says so far.
        return status == Status.held and (not order_id or order_id == holder)
    if kind == "a" and not order_id and not blocked:
        return status == Status.blocked  # held back, by Redis' clock
    if order_id:
        expected = ("b", Status.booked) if standing == "confirmed" else ("c", Status.held)
        return (kind, status) == expected and holder == order_id
    if blocked:
        return status == Status.blocked and not owner
    return (kind, status) in (("", Status.available), ("h", Status.held))


async def lasting_differences(stores: Stores, event_id: int, *, pause_s: float = 1.0) -> list[Difference]:
    """What differs in two looks, `pause_s` apart."""
    first = await differences(stores, event_id)
    if not first:
        return []
    await asyncio.sleep(pause_s)
    return [found for found in await differences(stores, event_id) if found in first]


async def under_way(stores: Stores, found: list[Difference]) -> list[Difference]:
    """Claims that may get their booking yet: sales over the counter and reseats claim in Redis first."""
    return [
        difference
        for difference in found
        if difference.owner_seen.startswith("c|")
        and difference.postgres == "free"
        and await orders.standing(stores.pool, UUID(difference.owner_seen[2:])) != "cancelled"
    ]


async def repair(stores: Stores, event_id: int, found: list[Difference]) -> int:
    """Correct Redis by compare-and-set; how many seats that changed. Postgres is never changed by this."""
    done = 0
    for difference in found:
        try:
            correction = await _correction(stores, difference)
            await failpoint("reconcile.before_repair")
            answer = await stores.desk.decide(event_id, correction)
            await failpoint("reconcile.after_repair")
        except SeatmapError:
            continue  # the next round looks again
        done += answer.word == "OK"
    stores.counts["drift_repaired"] += done
    return done


async def _correction(stores: Stores, difference: Difference) -> Command:
    kind, _, holder = difference.owner_seen.partition("|")
    if kind == "c":
        # A claim is ended like any other, so that its visitor's count is given back; what else is wrong about the
        # seat is seen in the next round.
        booked = difference.postgres == "booked" and difference.order_id == holder
        visitor = await orders.visitor_of(stores.pool, UUID(holder))
        return Settle(holder, visitor, (difference.seat,), "confirmed" if booked else "freed")
    return Repair(
        difference.seat,
        difference.owner_seen,
        difference.status_seen,
        _STATUS[difference.postgres],
        difference.order_id,
        difference.visitor,
    )
