"""The secrets of the links in mails: good once, for one purpose, for a while."""

from datetime import timedelta
from typing import Any

from msgspec import Struct

from seatmap.errors import Refused

VERIFY, RESET = "verify", "reset"


class Redeemed(Struct, frozen=True):
    """What a link stood for: the account and, for a sign-up, the name and password that came with it."""

    user_id: int
    name: str
    password_hash: str


async def issue(
    conn: Any,
    user_id: int,
    purpose: str,
    token_hash: bytes,
    lasts: timedelta,
    *,
    name: str = "",
    password_hash: str = "",
) -> None:
    """Remembers a secret by its SHA-256, in the caller's transaction."""
    await conn.execute(
        """
        INSERT INTO account_tokens (hash, user_id, purpose, name, password_hash, expires_at)
        VALUES ($1, $2, $3, $4, $5, now() + $6)
        """,
        token_hash,
        user_id,
        purpose,
        name,
        password_hash,
        lasts,
    )


async def redeem(conn: Any, purpose: str, token_hash: bytes) -> Redeemed:
    """Uses a secret up, and with it all others of its account. Refuses with token_invalid.

    The others go too: a link that was asked for by somebody else must not outlive the owner's decision.
    """
    row = await conn.fetchrow(
        """
        UPDATE account_tokens SET used_at = now()
        WHERE hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > now()
        RETURNING user_id, name, password_hash
        """,
        token_hash,
        purpose,
    )
    if row is None:
        raise Refused("token_invalid")
    await void(conn, row["user_id"])
    return Redeemed(row["user_id"], row["name"], row["password_hash"])


async def void(conn: Any, user_id: int) -> None:
    """Makes every secret of an account worthless."""
    await conn.execute(
        "UPDATE account_tokens SET used_at = now() WHERE user_id = $1 AND used_at IS NULL", user_id
    )
