"""Making the first admin, or another, by hand: whoever has the server's settings may."""

import msgspec
from msgspec import Struct

from seatmap.config import Settings
from seatmap.ledger import audit_log, tokens, users
from seatmap.ledger.pool import connection, open_pool
from seatmap.model import Role, User
from seatmap.protocol import Email, Name, decode_as
from seatmap.web.passwords import check_password, hash_password


class _Person(Struct, frozen=True):
    email: Email
    name: Name | None


async def create_admin(settings: Settings, email: str, name: str, password: str) -> User:
    """The account with this address, made if need be, as an admin with this password; its sessions end.

    Refuses with password_refused, or invalid for what is no address or name.
    """
    decode_as(_Person, msgspec.json.encode(_Person(email, name or None)))
    check_password(password, email)
    password_hash = hash_password(password)
    pool = await open_pool(settings, size=1)
    try:
        async with connection(pool) as conn, conn.transaction():
            account = await users.ensure(conn, email)
            await tokens.void(conn, account.user.id)
            await users.own(conn, account.user.id, name, password_hash)
            user = await users.set_role(conn, account.user.id, Role.admin)
            await audit_log.record(
                conn,
                user_id=None,
                verb="create_admin",
                object=f"user {user.id}",
                details={"email": user.email},
            )
    finally:
        await pool.close()
    return user
