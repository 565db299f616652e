"""The endpoints of /api/admin/plans: venue plans, as pretix keeps them."""

import asyncio
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from seatmap.errors import Refused
from seatmap.ledger import audit_log, plans
from seatmap.ledger.plans import PlanSummary
from seatmap.ledger.pool import Pool, connection
from seatmap.model import Category, Plan
from seatmap.plan import pretix
from seatmap.plan.grid import grid
from seatmap.plan.pretix_file import BYTES_MAX
from seatmap.plan.public import public, restore, storable
from seatmap.web.admin_event import NewEventBody, PlanBody, who
from seatmap.web.endpoint import Access, Call, Endpoint


class PlansQuery(Struct, frozen=True):
    """From where the last list ended."""

    cursor: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class PlanList(Struct, frozen=True):
    """Plans, the newest first. `next` is the cursor of those after them."""

    plans: list[PlanSummary]
    next: str | None


class PlanKept(Struct, frozen=True, kw_only=True):
    """What became of a file; `mended` are sentences."""

    id: int
    name: str
    seat_count: int
    mended: list[str]


class Plans:
    """Handles the endpoints."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def endpoints(self) -> list[Endpoint]:
        """All of them."""
        return [
            Endpoint(
                method="GET",
                path="/api/admin/plans/{plan_id}",
                handle=self.show,
                access=Access.viewer,
                tag="admin plans",
                summary="A plan as pages draw it, at no price",
                refuses=("not_found",),
            ),
            Endpoint(
                method="GET",
                path="/api/admin/plans",
                handle=self.list,
                access=Access.viewer,
                tag="admin plans",
                summary="The plans",
                query=PlansQuery,
                answer=PlanList,
            ),
            Endpoint(
                method="POST",
                path="/api/admin/plans",
                handle=self.keep,
                access=Access.admin,
                tag="admin plans",
                summary="Keep a pretix seating plan, which is the body as it is",
                body=bytes,
                body_bytes_max=BYTES_MAX,
                answer=PlanKept,
                refuses=("plan_invalid",),
            ),
        ]

    async def list(self, call: Call) -> PlanList:
        query: PlansQuery = call.query
        found = await plans.listing(self._pool, before=query.cursor or None, limit=query.limit + 1)
        shown = found[: query.limit]
        return PlanList(shown, str(shown[-1].id) if len(found) > len(shown) else None)

    async def show(self, call: Call) -> Response:
        body = await plans.body(self._pool, call.number("plan_id", "not_found"))
        return Response(await asyncio.to_thread(_drawn, body), 200, media_type="application/json")

    async def keep(self, call: Call) -> PlanKept:
        plan, report = await asyncio.to_thread(pretix.read, call.body)
        body = await asyncio.to_thread(storable, plan)
        async with connection(self._pool) as conn, conn.transaction():
            plan_id = await plans.save(conn, plan.name, body, len(plan.seats))
            details = {"plan": plan_id, "name": plan.name}
            await audit_log.record(conn, user_id=who(call), verb="import", object="plan", details=details)
        return PlanKept(id=plan_id, name=plan.name, seat_count=len(plan.seats), mended=list(report.mended))


def _drawn(body: bytes) -> bytes:
    plan = restore(body)
    categories = [Category(id=place, name=name, price=0) for place, name in enumerate(plan.categories)]
    return msgspec.json.encode(public(plan, plan_version=1, currency="EUR", categories=categories))


async def wanted_plan(
    pool: Pool, body: NewEventBody | PlanBody, name: str, category: str
) -> tuple[Plan, int | None]:
    """The plan that is asked for, and its id if it is kept already; a grid gets the name and the category.

    Refuses with invalid, not_found or plan_invalid.
    """
    if (body.plan_id is None) == (body.grid is None):
        raise Refused("invalid", "plan_id or grid should be given, and not both.")
    if body.plan_id is not None:
        stored = await plans.body(pool, body.plan_id, for_new=True)
        return await asyncio.to_thread(restore, stored), body.plan_id
    assert body.grid is not None
    return await asyncio.to_thread(
        grid,
        body.grid.rows,
        body.grid.columns,
        name=name,
        section=body.grid.section,
        aisles=body.grid.aisles,
        categories=((category, 0),),
    ), None
