"""The endpoints under /api/account: signing up, in and out, and proving an address.

Whether an address has an account, nobody learns here who does not read its mails: known and unknown ones get the
same answer for the same work, a password hashed or compared and one mail.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from seatmap.config import Settings
from seatmap.errors import Refused
from seatmap.ledger import claims, mails, tokens, users
from seatmap.ledger.pool import Pool, connection
from seatmap.ledger.users import Account
from seatmap.model import User
from seatmap.protocol import Email, Name
from seatmap.web import letters
from seatmap.web.endpoint import Access, Call, Endpoint, Handle, Nothing, json
from seatmap.web.passwords import Passwords, check_password
from seatmap.web.sessions import Sessions
from seatmap.web.throttle import Bucket, Throttle, address_of

VERIFY_LASTS, RESET_LASTS = timedelta(days=1), timedelta(hours=1)

# By account and network address together, never by account alone: that would let anybody lock anybody out.
GUESSES = Bucket("guesses", burst=10, seconds=30)
SIGN_INS = Bucket("sign-ins", burst=30, seconds=2)  # of one network address
SIGN_UP_MAILS = Bucket("sign-up", burst=3, seconds=600)  # to one mail address
RESET_MAILS = Bucket("reset", burst=3, seconds=600)
MAILS = Bucket("mails", burst=20, seconds=30)  # asked for by one network address

Secret = Annotated[str, Meta(max_length=1024)]


class SignUp(Struct, frozen=True, forbid_unknown_fields=True):
    """An account to be made once its address is proved."""

    email: Email
    name: Name
    password: Secret


class SignIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Who one is, and the proof."""

    email: Email
    password: Secret


class Verify(Struct, frozen=True, forbid_unknown_fields=True):
    """The secret of a sign-up's link."""

    token: Secret


class ResetRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose password is to be chosen anew."""

    email: Email


class Reset(Struct, frozen=True, forbid_unknown_fields=True):
    """The secret of a reset's link, and the new password."""

    token: Secret
    password: Secret


class UserView(Struct, frozen=True, kw_only=True):
    """An account, as its owner and admins see it."""

    id: int
    email: str
    name: str
    role: str
    verified: bool


class Me(Struct, frozen=True):
    """Who is signed in."""

    user: UserView | None


def user_view(user: User) -> UserView:
    """An account as it is told."""
    return UserView(id=user.id, email=user.email, name=user.name, role=user.role.name, verified=user.verified)


class Accounts:
    """Handles the endpoints."""

    def __init__(
        self, settings: Settings, pool: Pool, sessions: Sessions, passwords: Passwords, throttle: Throttle
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._sessions = sessions
        self._passwords = passwords
        self._throttle = throttle

    def endpoints(self) -> list[Endpoint]:
        """All of them."""

        def post(
            name: str,
            handle: Handle,
            summary: str,
            body: Any,
            answer: Any,
            *refuses: str,
            access: Access = Access.visitor,
            status: int = 200,
        ) -> Endpoint:
            return Endpoint(
                method="POST",
                path=f"/api/account/{name}",
                handle=handle,
                access=access,
                tag="account",
                summary=summary,
                body=body,
                answer=answer,
                refuses=refuses,
                status=status,
            )

        me = Endpoint(
            method="GET",
            path="/api/account/me",
            handle=self.me,
            access=Access.visitor,
            tag="account",
            summary="Who is signed in",
            answer=Me,
        )
        often, weak, stale = "too_many_attempts", "password_refused", "token_invalid"
        asks, prove, anew = "Ask for an account, by mail", "Prove the address", "Choose a new password"
        forgot, everywhere = "Ask for a new password, by mail", "End all sessions"
        return [
            me,
            post("sign-up", self.sign_up, asks, SignUp, Nothing, often, weak, status=202),
            post("verify", self.verify, prove, Verify, Me, often, stale),
            post("sign-in", self.sign_in, "Sign in", SignIn, Me, often, "wrong_credentials"),
            post("sign-out", self.sign_out, "Sign out here", None, Nothing),
            post(
                "sign-out-everywhere",
                self.sign_out_everywhere,
                everywhere,
                None,
                Nothing,
                access=Access.account,
            ),
            post("reset-request", self.reset_request, forgot, ResetRequest, Nothing, often, status=202),
            post("reset", self.reset, anew, Reset, Me, often, stale, weak),
        ]

    async def me(self, call: Call) -> Me:
        # Asked again where nobody was found: what the gate forgives, that a store is away, is no answer here.
        user = call.caller.user or await self._sessions.identify(call.request)
        return Me(user_view(user) if user else None)

    async def sign_up(self, call: Call) -> Nothing:
        asked: SignUp = call.body
        check_password(asked.password, asked.email)
        await self._may_mail(call.request, SIGN_UP_MAILS, asked.email)
        password_hash = await self._passwords.hash(asked.password)
        token = _new_token()
        async with connection(self._pool) as conn, conn.transaction():
            account = await users.ensure(conn, asked.email)
            if account.user.verified:
                letter = letters.known(self._settings)
            else:
                letter = letters.verify(self._settings, token)
                await tokens.issue(
                    conn,
                    account.user.id,
                    tokens.VERIFY,
                    _digest(token),
                    VERIFY_LASTS,
                    name=asked.name,
                    password_hash=password_hash,
                )
            await mails.enqueue(conn, account.user.email, *letter)
        return Nothing()

    async def verify(self, call: Call) -> Response:
        await self._throttle.take(SIGN_INS, address_of(call.request))
        async with connection(self._pool) as conn, conn.transaction():
            redeemed = await tokens.redeem(conn, tokens.VERIFY, _digest(call.body.token))
            account = await users.own(conn, redeemed.user_id, redeemed.name, redeemed.password_hash)
            await claims.claim(conn, account.user.id, account.user.email)
        return await self._enter(call.request, account)

    async def sign_in(self, call: Call) -> Response:
        asked: SignIn = call.body
        guess = asked.email.lower(), address_of(call.request)
        await self._throttle.take(SIGN_INS, address_of(call.request))
        await self._throttle.take(GUESSES, *guess)
        account = await users.by_email(self._pool, asked.email)
        known = account.password_hash if account else ""
        if not await self._passwords.fits(known, asked.password) or account is None:
            raise Refused("wrong_credentials")
        await self._throttle.forget(GUESSES, *guess)
        if self._passwords.is_worn(known):
            better = await self._passwords.hash(asked.password)
            await users.rehash(self._pool, account.user.id, known, better)
        async with connection(self._pool) as conn, conn.transaction():
            await claims.claim(conn, account.user.id, account.user.email)
        return await self._enter(call.request, account)

    async def sign_out(self, call: Call) -> Response:
        return json(Nothing(), headers={"set-cookie": await self._sessions.end(call.request)})

    async def sign_out_everywhere(self, call: Call) -> Response:
        user = call.caller.user
        assert user is not None, "the gate lets in accounts only"
        async with connection(self._pool) as conn:
            await users.end_sessions(conn, user.id)
        await self._sessions.end_all(user.id)
        return await self.sign_out(call)

    async def reset_request(self, call: Call) -> Nothing:
        email: str = call.body.email
        await self._may_mail(call.request, RESET_MAILS, email)
        account = await users.by_email(self._pool, email)
        token = _new_token()
        async with connection(self._pool) as conn, conn.transaction():
            if account is None:
                await mails.enqueue(conn, email, *letters.unknown(self._settings))
            else:
                await tokens.issue(conn, account.user.id, tokens.RESET, _digest(token), RESET_LASTS)
                await mails.enqueue(conn, account.user.email, *letters.reset(self._settings, token))
        return Nothing()

    async def reset(self, call: Call) -> Response:
        asked: Reset = call.body
        await self._throttle.take(SIGN_INS, address_of(call.request))
        check_password(asked.password, "")
        password_hash = await self._passwords.hash(asked.password)
        async with connection(self._pool) as conn, conn.transaction():
            redeemed = await tokens.redeem(conn, tokens.RESET, _digest(asked.token))
            account = await users.own(conn, redeemed.user_id, "", password_hash)
            await claims.claim(conn, account.user.id, account.user.email)
        await self._sessions.end_all(account.user.id)
        return await self._enter(call.request, account)

    async def _enter(self, request: Request, account: Account) -> Response:
        cookie = await self._sessions.begin(request, account)
        return json(Me(user_view(account.user)), headers={"set-cookie": cookie})

    async def _may_mail(self, request: Request, bucket: Bucket, email: str) -> None:
        await self._throttle.take(MAILS, address_of(request))
        await self._throttle.take(bucket, email.lower())


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
