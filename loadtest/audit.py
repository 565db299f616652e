"""Whether what clients were told is what Postgres and Redis have: `python -m loadtest.audit RECORDS…`.

Ends with code 1 and a sentence for each lie. Wants a site that runs and nobody booking meanwhile.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated
from uuid import UUID

import msgspec
import typer
from msgspec import Struct
from rich.console import Console

from loadtest.record import Record, Seen, Told, read
from seatmap import config
from seatmap.config import Settings
from seatmap.embedded import attach
from seatmap.errors import SeatmapError
from seatmap.ledger import audit as ledger
from seatmap.ledger import events
from seatmap.ledger.audit import Claim, Decided
from seatmap.ledger.pool import open_pool
from seatmap.verify import verify

ACTIVE = ("pending", "confirmed")
SHOWN_MAX = 50


class Findings(Struct, frozen=True):
    """What was looked at, by name, and what is wrong, as sentences."""

    counts: dict[str, int]
    lies: list[str]


async def audit(settings: Settings, records: Iterable[Record]) -> Findings:
    """Compare records with both stores. Raises Unavailable where a store is away."""
    told: dict[int, list[Told]] = defaultdict(list)
    seen: list[Seen] = []
    for record in records:
        if isinstance(record, Told):
            told[record.event_id].append(record)
        else:
            seen.append(record)
    counts: Counter[str] = Counter(told=sum(map(len, told.values())), maps=len(seen))
    counts.update(record.answer for listed in told.values() for record in listed)
    lies = [lie for page in seen if (lie := _map(page))]
    lies += _maps_together(seen)
    pool = await open_pool(settings, size=2)
    try:
        known = {event.id for event in await events.published(pool)} | set(told)
        for event_id in sorted(known):
            claims, decided = await ledger.claims(pool, event_id), await ledger.decided(pool, event_id)
            counts["bookings"] += len(claims)
            lies += [f"Event {event_id}: {lie}" for lie in _twice(claims)]
            lies += [f"Event {event_id}: {lie}" for lie in _whole(claims, decided)]
            lies += [f"Event {event_id}: {lie}" for lie in _told(told[event_id], claims, decided)]
    finally:
        await pool.close()
    differences = await verify(settings, None)
    counts["differences"] = len(differences)
    lies += [
        f"Event {one.event_id}, seat {one.seat}: Redis says {one.redis}, Postgres {one.postgres}."
        for one in differences
    ]
    return Findings(dict(counts), lies)


def _map(page: Seen) -> str:
    """What is wrong with a page's last map, or nothing."""
    at = f"at ({page.epoch}, {page.version})"
    if not page.site:
        return f"Event {page.event_id}: a page stayed {at} and never came to where the site was."
    wrong = [
        seat for seat, (mine, theirs) in enumerate(zip(page.page, page.site, strict=False)) if mine != theirs
    ]
    if wrong or len(page.page) != len(page.site):
        return f"Event {page.event_id}: a page {at} is not the site's map in seats {wrong[:10]}."
    return ""


def _maps_together(seen: Sequence[Seen]) -> list[str]:
    at: dict[tuple[int, int, int], set[str]] = defaultdict(set)
    for page in seen:
        at[page.event_id, page.epoch, page.version].add(page.page)
    return [
        f"Event {event_id}: pages at ({epoch}, {version}) have {len(maps)} different maps."
        for (event_id, epoch, version), maps in at.items()
        if len(maps) > 1
    ]


def _twice(claims: Sequence[Claim]) -> list[str]:
    """Seats that two orders had at the same time; `claims` are by seat, then by age."""
    return [
        f"seat {one.seat} belonged to {one.order_id} and to {other.order_id} at the same time."
        for one, other in pairwise(claims)
        if one.seat == other.seat and (one.seq_off is None or other.seq_on < one.seq_off)
    ]


def _whole(claims: Sequence[Claim], decided: Mapping[UUID, Decided]) -> list[str]:
    """Orders that were carried out in part."""
    found: dict[UUID, set[str]] = defaultdict(set)
    for claim in claims:
        found[claim.order_id].add(claim.status)
    lies = []
    for order_id, verdict in decided.items():
        expected = {verdict.status} if verdict.outcome == "committed" else set()
        has = found.pop(order_id, set())
        if has != expected:
            lies.append(
                f"order {order_id} is {verdict.outcome} {verdict.status}, its bookings {sorted(has)}."
            )
    lies += [f"order {order_id} has bookings and no verdict." for order_id in found]
    return lies


def _told(told: Sequence[Told], claims: Sequence[Claim], decided: Mapping[UUID, Decided]) -> list[str]:
    """Answers that are not what stands."""
    booked: dict[UUID, set[int]] = defaultdict(set)
    for claim in claims:
        booked[claim.order_id].add(claim.seat)
    cancel_asked = {record.order_id for record in told if record.command == "cancel"}
    cancelled = {record.order_id for record in told if record.answer == "cancelled"}
    lies = []
    for record in told:
        order_id = UUID(record.order_id)
        verdict = decided.get(order_id)
        stands = f"{verdict.outcome} {verdict.status}".strip() if verdict else "nothing"
        if record.answer == "booked":
            allowed = {"committed confirmed"}
            if record.order_id in cancelled:
                allowed = {"committed cancelled"}
            elif record.order_id in cancel_asked:
                allowed.add("committed cancelled")
            if stands not in allowed:
                lies.append(f"order {order_id} was told to be booked; Postgres has {stands}.")
            elif booked[order_id] != set(record.seats):
                lies.append(f"order {order_id} was for {record.seats}; Postgres has {booked[order_id]}.")
        elif record.answer == "refused" and record.command == "book" and stands.startswith("committed"):
            lies.append(f"order {order_id} was told to be refused ({record.code}); Postgres has {stands}.")
        elif record.answer == "cancelled" and stands != "committed cancelled":
            lies.append(f"order {order_id} was told to be cancelled; Postgres has {stands}.")
    return lies


def main(
    records: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Files of records.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Compare what clients were told with Postgres and Redis."""
    console = Console(highlight=False)
    try:
        found = asyncio.run(audit(attach(config.load()), read(records)))
    except (SeatmapError, ValueError) as error:
        console.print(f"The audit could not be made: {error}", style="red", markup=False)
        raise typer.Exit(2) from None
    if as_json:
        console.print_json(msgspec.json.encode(found).decode())
    else:
        console.print("Audit: " + ", ".join(f"{count} {name}" for name, count in found.counts.items()) + ".")
        for lie in found.lies[:SHOWN_MAX]:
            console.print(lie, style="red", markup=False)
        verdict = f"{len(found.lies)} lies." if found.lies else "Everything that was told is true."
        console.print(verdict, style="bold red" if found.lies else "bold green")
    if found.lies:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
