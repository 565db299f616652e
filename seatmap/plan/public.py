"""A plan in columns: as pages get it (docs/protocol.md, `GET /api/events/{id}/plan`) and as it is kept.

One list per field instead of one object per seat: a third of the bytes, and fast on both sides.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import msgspec
from msgspec import Struct

from seatmap.errors import PlanInvalid
from seatmap.model import SEATS_MAX, Category, Plan, Seat, Shape


class _Row(Struct, frozen=True, array_like=True):
    """A run of seats of one row: `section` is an index, `first` and `count` say which seats."""

    section: int
    label: str
    first: int
    count: int


class _Stored(Struct, frozen=True, kw_only=True):
    """A plan in columns; `category` holds indexes into `categories`."""

    name: str
    sections: tuple[str, ...]
    rows: tuple[_Row, ...]
    numbers: tuple[str, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    category: tuple[int, ...]
    breaks: tuple[int, ...]
    categories: tuple[str, ...]
    colors: tuple[str, ...] = ()
    shapes: tuple[Shape, ...] = ()
    removed: tuple[int, ...] = ()
    format: int = 1


def public(
    plan: Plan,
    *,
    plan_version: int,
    currency: str,
    categories: Sequence[Category],
    category_of_seat: Sequence[int] | None = None,
    accessible: Collection[int] = (),
    accessible_until: datetime | None = None,
) -> dict[str, Any]:
    """What a page needs to draw the plan, ready to be encoded as JSON.

    `categories` are the event's, one for each of `plan.categories` and in that order; those without a
    colour get the plan's. Where an event's categories are its own by now, `category_of_seat` says for each
    seat which of them it has. `accessible` seats are for wheelchairs, and
    blocked until `accessible_until`. Coordinates are rounded to a tenth of a unit.
    """
    if category_of_seat is None and len(categories) != len(plan.categories):
        raise ValueError(
            f"{len(categories)} categories given for the {len(plan.categories)} of {plan.name!r}"
        )
    columns = _columns(plan)
    colors = dict(zip(plan.categories, plan.colors, strict=False))
    names = plan.categories if category_of_seat is None else [category.name for category in categories]
    return {
        "plan_version": plan_version,
        "name": plan.name,
        "currency": currency,
        "sections": columns.sections,
        "rows": [
            {"section": row.section, "label": row.label, "first": row.first, "count": row.count}
            for row in columns.rows
        ],
        "numbers": columns.numbers,
        "x": [round(x, 1) for x in columns.x],
        "y": [round(y, 1) for y in columns.y],
        "category": columns.category if category_of_seat is None else category_of_seat,
        "breaks": columns.breaks,
        "removed": columns.removed,
        "accessible": sorted(accessible),
        "accessible_until": accessible_until,
        "categories": [
            {
                "id": category.id,
                "name": category.name,
                "price": category.price,
                "color": category.color or colors.get(name, ""),
            }
            for category, name in zip(categories, names, strict=True)
        ],
        "shapes": [
            {"points": [round(p, 1) for p in shape.points], "text": shape.text, "color": shape.color}
            for shape in plan.shapes
        ],
    }


def storable(plan: Plan) -> bytes:
    """The plan as JSON, to be kept; `restore` gives an equal plan back."""
    return msgspec.json.encode(_columns(plan))


def restore(data: bytes) -> Plan:
    """The plan that `storable` made. Raises PlanInvalid where the bytes are not one."""
    try:
        stored = msgspec.json.decode(data, type=_Stored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PlanInvalid(f"The stored plan cannot be read: {error}.") from error
    count = len(stored.numbers)
    if stored.format != 1 or not count == len(stored.x) == len(stored.y) == len(stored.category):
        raise PlanInvalid(
            f"The stored plan {stored.name!r} has columns of different lengths or another format."
        )
    if not all(0 <= index < count for index in (*stored.breaks, *stored.removed)):
        raise PlanInvalid(
            f"The stored plan {stored.name!r} has breaks or removed seats beyond its {count:,} seats."
        )
    if count > SEATS_MAX or sum(row.count for row in stored.rows) != count:
        raise PlanInvalid(
            f"The rows of the stored plan {stored.name!r} do not add up to its {count:,} seats."
        )
    try:
        return Plan(
            name=stored.name,
            seats=tuple(_seats(stored)),
            breaks=frozenset(stored.breaks),
            categories=stored.categories,
            colors=stored.colors,
            shapes=stored.shapes,
            removed=frozenset(stored.removed),
        )
    except IndexError as error:
        raise PlanInvalid(f"The stored plan {stored.name!r} refers to a section it does not have.") from error


def _columns(plan: Plan) -> _Stored:
    sections = {name: index for index, name in enumerate(dict.fromkeys(seat.section for seat in plan.seats))}
    categories = {name: index for index, name in enumerate(plan.categories)}
    rows, first = [], 0
    for (section, label), run in groupby(plan.seats, key=lambda seat: (seat.section, seat.row)):
        count = sum(1 for _ in run)
        rows.append(_Row(sections[section], label, first, count))
        first += count
    return _Stored(
        name=plan.name,
        sections=tuple(sections),
        rows=tuple(rows),
        numbers=tuple(seat.number for seat in plan.seats),
        x=tuple(seat.x for seat in plan.seats),
        y=tuple(seat.y for seat in plan.seats),
        category=tuple(categories[seat.category] for seat in plan.seats),
        breaks=tuple(sorted(plan.breaks)),
        categories=plan.categories,
        colors=plan.colors,
        shapes=plan.shapes,
        removed=tuple(sorted(plan.removed)),
    )


def _seats(stored: _Stored) -> list[Seat]:
    return [
        Seat(
            section=stored.sections[row.section],
            row=row.label,
            number=stored.numbers[index],
            x=stored.x[index],
            y=stored.y[index],
            category=stored.categories[stored.category[index]],
        )
        for row in stored.rows
        for index in range(row.first, row.first + row.count)
    ]
