"""The endpoints under /api/admin/users: which accounts there are, and what they may do."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from seatmap.ledger import audit_log, users
from seatmap.ledger.pool import Pool, connection
from seatmap.model import Role
from seatmap.web.accounts import UserView, user_view
from seatmap.web.admin_event import who
from seatmap.web.endpoint import Access, Call, Endpoint
from seatmap.web.sessions import Sessions


class UsersQuery(Struct, frozen=True):
    """Accounts whose name or address contains `q`, from where the last list ended."""

    q: Annotated[str, Meta(max_length=254, pattern="^[^\\x00]*$")] = ""
    cursor: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class UserList(Struct, frozen=True):
    """Accounts, the oldest first. `next` is the cursor of those after them."""

    users: list[UserView]
    next: str | None


class NewRole(Struct, frozen=True, forbid_unknown_fields=True):
    """What an account may do from now on."""

    role: Literal["buyer", "viewer", "box_office", "admin"]


class Users:
    """Handles the endpoints."""

    def __init__(self, pool: Pool, sessions: Sessions) -> None:
        self._pool = pool
        self._sessions = sessions

    def endpoints(self) -> list[Endpoint]:
        """All of them."""
        return [
            Endpoint(
                method="GET",
                path="/api/admin/users",
                handle=self.list,
                access=Access.admin,
                tag="users",
                summary="The accounts",
                query=UsersQuery,
                answer=UserList,
            ),
            Endpoint(
                method="PATCH",
                path="/api/admin/users/{user_id}",
                handle=self.change,
                access=Access.admin,
                critical=True,
                tag="users",
                summary="Change what an account may do; it has to sign in again",
                body=NewRole,
                answer=UserView,
                refuses=("user_not_found", "last_admin"),
            ),
        ]

    async def list(self, call: Call) -> UserList:
        query: UsersQuery = call.query
        found = await users.listed(self._pool, query.q, query.cursor, query.limit + 1)
        shown = found[: query.limit]
        return UserList([user_view(user) for user in shown], str(shown[-1].id) if found != shown else None)

    async def change(self, call: Call) -> UserView:
        user_id = call.number("user_id", "user_not_found")
        async with connection(self._pool) as conn, conn.transaction():
            user = await users.set_role(conn, user_id, Role[call.body.role])
            await audit_log.record(
                conn,
                user_id=who(call),
                verb="change_role",
                object=f"user {user_id}",
                details={"role": user.role.name},
            )
        await self._sessions.end_all(user_id)
        return user_view(user)
