"""Who is signed in: sessions in Redis, known by a random id in a cookie.

Redis keeps the id's SHA-256 only. A session also carries the generation of its account, which Postgres keeps: it
ends with the account's other sessions when that is raised, even if Redis could not be told. Where Redis lost
everything, everybody is signed out.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct, structs
from starlette.requests import HTTPConnection, cookie_parser

from seatmap.config import Settings
from seatmap.connections import Redis
from seatmap.ledger import users
from seatmap.ledger.pool import Pool
from seatmap.ledger.users import Account
from seatmap.model import User
from seatmap.web.guard import is_https

PREFIX = "{seatmap:accounts}"  # one slot of a cluster, so that one command may name many sessions
ID_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9_-]{43}")


class _Kept(Struct, frozen=True):
    """What Redis keeps of a session: its end in any case and when the password was given, in seconds of the epoch."""

    user_id: int
    generation: int
    until: float
    proved_at: float = 0.0


class Sessions:
    """Begins, finds and ends sessions."""

    def __init__(self, redis: Redis, pool: Pool, settings: Settings) -> None:
        self._redis = redis
        self._pool = pool
        self._idle_s = settings.session_idle_seconds
        self._lasts_s = settings.session_seconds
        self._proof_s = settings.proof_seconds

    async def identify(self, request: HTTPConnection) -> User | None:
        """The account that a request or websocket is signed in to. Raises Unavailable."""
        key = self.key(request)
        if not key:
            return None
        found = await self._redis.command("GETEX", key, "EX", self._idle_s)
        if found is None:
            return None
        kept = msgspec.json.decode(found, type=_Kept)
        if kept.until <= time.time():
            await self._redis.command("DEL", key)
            return None
        account = await users.by_id(self._pool, kept.user_id)
        if account is None or account.generation != kept.generation:
            return None
        return structs.replace(account.user, proved=time.time() - kept.proved_at < self._proof_s)

    async def begin(self, request: HTTPConnection, account: Account) -> str:
        """Signs in; answers the Set-Cookie header. The id is new, and an old one ends."""
        await self._end(request)
        secret = secrets.token_urlsafe(ID_BYTES)
        key, mine = _key(secret), _of(account.user.id)
        now = time.time()
        kept = _Kept(account.user.id, account.generation, now + self._lasts_s, now)
        # Listed before it exists, so that none can be missed when all are ended.
        await self._redis.command("SADD", mine, key)
        await self._redis.command("EXPIRE", mine, self._lasts_s)
        await self._redis.command("SET", key, msgspec.json.encode(kept), "EX", self._idle_s)
        return _cookie(request, secret, self._lasts_s)

    async def end(self, request: HTTPConnection) -> str:
        """Signs out; answers the Set-Cookie header that removes the cookie."""
        await self._end(request)
        return _cookie(request, "", 0)

    async def _end(self, request: HTTPConnection) -> None:
        key = self.key(request)
        if key:
            await self._redis.command("DEL", key)

    async def end_all(self, user_id: int) -> None:
        """Removes the sessions of an account; its generation, raised before, has made them worthless."""
        mine = _of(user_id)
        keys = await self._redis.command("SMEMBERS", mine)
        await self._redis.command("DEL", mine, *keys)

    async def ended(self, keys: Sequence[str]) -> set[str]:
        """Those of `keys` whose sessions are over."""
        found = await self._redis.command("MGET", *keys)
        now = time.time()
        alive = [kept and msgspec.json.decode(kept, type=_Kept).until > now for kept in found]
        return {key for key, is_alive in zip(keys, alive, strict=True) if not is_alive}

    @staticmethod
    def key(request: HTTPConnection) -> str:
        """Where the session that a request names is kept, whether there is one or not; empty if it names none."""
        secret = cookie_parser(request.headers.get("cookie", "")).get(_name(request), "")
        return _key(secret) if _ID.fullmatch(secret) else ""


def _key(secret: str) -> str:
    return f"{PREFIX}:session:{hashlib.sha256(secret.encode()).hexdigest()}"


def _of(user_id: int) -> str:
    return f"{PREFIX}:sessions:{user_id}"


def _name(request: HTTPConnection) -> str:
    return "__Host-session" if is_https(request.scope) else "session"


def _cookie(request: HTTPConnection, value: str, lasts_s: int) -> str:
    secure = "; Secure" if is_https(request.scope) else ""
    return f"{_name(request)}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={lasts_s}{secure}"
