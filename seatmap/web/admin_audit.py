"""The endpoint of /api/admin/audit: who did what, when."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from seatmap.ledger import audit_log
from seatmap.ledger.audit_log import Entry
from seatmap.ledger.pool import Pool
from seatmap.web.endpoint import Access, Call, Endpoint

Number = Annotated[int, Meta(ge=0, lt=1 << 53)]


class AuditQuery(Struct, frozen=True):
    """Acts on an event or an order, or of an account; from where the last list ended."""

    event: Number = 0
    order: UUID | None = None
    user: Number = 0
    cursor: Number = 0
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class Entries(Struct, frozen=True):
    """Acts, the latest first. `next` is the cursor of those before them."""

    entries: list[Entry]
    next: str | None


class Audit:
    """Handles the endpoint."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def endpoints(self) -> list[Endpoint]:
        """The one."""
        return [
            Endpoint(
                method="GET",
                path="/api/admin/audit",
                handle=self.list,
                access=Access.viewer,
                tag="admin",
                summary="Who did what, when",
                query=AuditQuery,
                answer=Entries,
            )
        ]

    async def list(self, call: Call) -> Entries:
        query: AuditQuery = call.query
        found = await audit_log.entries(
            self._pool,
            event_id=query.event or None,
            order_id=query.order,
            user_id=query.user or None,
            before=query.cursor or None,
            limit=query.limit + 1,
        )
        shown = found[: query.limit]
        return Entries(shown, str(shown[-1].id) if len(found) > len(shown) else None)
