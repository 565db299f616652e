"""The endpoint of a day's sales, for the page that the box office prints."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from seatmap.errors import Refused
from seatmap.ledger import day_sales
from seatmap.ledger.day_sales import DaySales
from seatmap.ledger.pool import Pool
from seatmap.protocol import END
from seatmap.web.endpoint import Access, Call, Endpoint


class SalesQuery(Struct, frozen=True):
    """Which day, on the clocks of which time zone (Europe/Berlin), and which event; 0: all."""

    day: date
    timezone: Annotated[str, Meta(max_length=64, pattern="^[A-Za-z0-9_+/-]+" + END)] = "UTC"
    event: Annotated[int, Meta(ge=0, le=(1 << 53) - 1)] = 0


class Sales:
    """Handles the endpoint."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def endpoints(self) -> list[Endpoint]:
        """It alone."""
        return [
            Endpoint(
                method="GET",
                path="/api/admin/sales",
                handle=self.show,
                access=Access.viewer,
                tag="exports",
                summary="A day's sales by event, category and way to pay",
                query=SalesQuery,
                answer=DaySales,
            )
        ]

    async def show(self, call: Call) -> DaySales:
        query: SalesQuery = call.query
        since, until = bounds(query.day, query.timezone)
        return await day_sales.of(self._pool, since, until, query.event)


def bounds(day: date, timezone: str) -> tuple[datetime, datetime]:
    """When a day begins and the next one does; it may have 23 or 25 hours. Refuses with invalid."""
    try:
        zone = ZoneInfo(timezone)
        since = datetime.combine(day, time(), zone)
        until = datetime.combine(day + timedelta(days=1), time(), zone)
        for moment in since, until:
            moment.astimezone(UTC)  # the first and the last day of all have none everywhere: OverflowError
        return since, until
    except (OSError, ValueError, OverflowError):  # ZoneInfoNotFoundError is a KeyError
        raise Refused("invalid", f"{timezone[:64]!r} on {day} is no day of a time zone's calendar.") from None
    except KeyError:
        raise Refused("invalid", f"There is no time zone {timezone!r}; one is Europe/Berlin.") from None
