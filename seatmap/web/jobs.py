"""The endpoints under /api/admin/jobs: how far background work is, and trying again what failed for good."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from seatmap.ledger import audit_log, jobs
from seatmap.ledger.jobs import Shown
from seatmap.ledger.mails import SEND_MAIL
from seatmap.ledger.pool import Pool, connection
from seatmap.web.admin_event import who
from seatmap.web.endpoint import Access, Call, Endpoint, Nothing


class JobsQuery(Struct, frozen=True):
    """Jobs in a state, or all, from where the last list ended. `sent_mails`: those too, of which there are many."""

    state: Literal["", "queued", "running", "done", "failed"] = ""
    sent_mails: Annotated[int, Meta(ge=0, le=1)] = 0
    cursor: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class JobList(Struct, frozen=True):
    """Jobs, the newest first. `next` is the cursor of those before them."""

    jobs: list[Shown]
    next: str | None


class QueuedAll(Struct, frozen=True):
    """How many jobs are tried again."""

    jobs: int


class Jobs:
    """Handles the endpoints."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def endpoints(self) -> list[Endpoint]:
        """All of them."""
        return [
            Endpoint(
                method="GET",
                path="/api/admin/jobs",
                handle=self.list,
                access=Access.viewer,
                tag="jobs",
                summary="Background work, with its progress",
                query=JobsQuery,
                answer=JobList,
            ),
            Endpoint(
                method="POST",
                path="/api/admin/jobs/{job_id}/retry",
                handle=self.retry,
                access=Access.admin,
                tag="jobs",
                summary="Try a job again that failed for good",
                answer=Nothing,
                refuses=("job_not_found", "job_not_failed"),
            ),
            Endpoint(
                method="POST",
                path="/api/admin/jobs/retry",
                handle=self.retry_all,
                access=Access.admin,
                tag="jobs",
                summary="Try all jobs again that failed for good, after all others",
                answer=QueuedAll,
            ),
        ]

    async def list(self, call: Call) -> JobList:
        query: JobsQuery = call.query
        found = await jobs.listed(
            self._pool,
            query.state,
            query.cursor or None,
            query.limit + 1,
            without="" if query.sent_mails else SEND_MAIL,
        )
        shown = found[: query.limit]
        return JobList(shown, str(shown[-1].id) if found != shown else None)

    async def retry(self, call: Call) -> Nothing:
        job_id = call.number("job_id", "job_not_found")
        async with connection(self._pool) as conn, conn.transaction():
            await jobs.retry(conn, job_id)
            await _record(conn, call, {"id": job_id})
        return Nothing()

    async def retry_all(self, call: Call) -> QueuedAll:
        async with connection(self._pool) as conn, conn.transaction():
            count = await jobs.retry_all(conn)
            if count:
                await _record(conn, call, {"jobs": count})
        return QueuedAll(count)


async def _record(conn: Any, call: Call, details: dict[str, int]) -> None:
    await audit_log.record(conn, user_id=who(call), verb="retry", object="job", details=details)
