"""Orders, seats and attendees as CSV, streamed; for spreadsheets, which take a cell like =1+1 for a formula."""

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.responses import Response, StreamingResponse

from seatmap.ledger import exports
from seatmap.ledger.exports import ATTENDEES, ORDERS, SEATS, Export
from seatmap.ledger.pool import Pool
from seatmap.web.endpoint import Access, Call, Endpoint, Handle

MEDIA = "text/csv; charset=utf-8"
BOM = "\ufeff"  # without it Excel reads UTF-8 as something else
# Where a cell may begin, also in a spreadsheet that takes semicolons for the ends of cells.
FORMULA = re.compile(r"^(?=[\t\r\n])|(?:^|(?<=;))(?=[=+\-@＝＋－＠])")


class ExportQuery(Struct, frozen=True):
    """Which event's rows; 0: every event's."""

    event: Annotated[int, Meta(ge=0, le=(1 << 53) - 1)] = 0


class Exports:
    """The endpoints under /api/admin/exports."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def endpoints(self) -> list[Endpoint]:
        """One per list."""

        def endpoint(export: Export, summary: str) -> Endpoint:
            return Endpoint(
                method="GET",
                path=f"/api/admin/exports/{export.name}.csv",
                handle=self._handler(export),
                access=Access.viewer,
                tag="exports",
                summary=summary,
                query=ExportQuery,
                media=MEDIA,
            )

        return [
            endpoint(ORDERS, "Every order, cancelled ones included; money in minor units"),
            endpoint(SEATS, "Every seat, with who booked it"),
            endpoint(ATTENDEES, "Everybody who has a seat, one row per seat"),
        ]

    def _handler(self, export: Export) -> Handle:
        async def handle(call: Call) -> Response:
            event_id = call.query.event
            pages = exports.pages(self._pool, export, event_id)
            # The first page is read before anything is answered, so that what is wrong can still be a problem.
            first = await anext(pages)
            name = f"{export.name}-{event_id}.csv" if event_id else f"{export.name}.csv"
            return StreamingResponse(
                _lines(export, first, pages),
                headers={"content-disposition": f'attachment; filename="{name}"'},
                media_type=MEDIA,
            )

        return handle


async def _lines(
    export: Export, first: Sequence[Any], pages: AsyncIterator[Sequence[Any]]
) -> AsyncIterator[str]:
    yield BOM + _csv([export.columns, *first])
    async for page in pages:
        yield _csv(page)
        await asyncio.sleep(0)


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([cell(value) for value in row] for row in rows)
    return text.getvalue()


def cell(value: Any) -> Any:
    """A value as a spreadsheet may have it: what would be a formula becomes text, by a quote in front."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, str):
        return FORMULA.sub("'", value)
    return value
