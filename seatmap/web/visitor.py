"""Who is asking: a stable visitor id in a signed cookie.

The id is the visitor's, not the session's: it survives the loss of Redis and, later, sign-in.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping

from itsdangerous import BadSignature, Signer
from starlette.requests import cookie_parser
from starlette.types import Scope

from seatmap.web.guard import is_https

YEAR_S = 365 * 24 * 3600
_ID = re.compile(r"[0-9a-f]{32}")


class Visitors:
    """Reads and makes visitor cookies."""

    def __init__(self, secret: bytes) -> None:
        self._signer = Signer(
            secret, salt="seatmap.visitor", digest_method=hashlib.sha256, key_derivation="hmac"
        )

    def read(self, headers: Mapping[str, str], *, https: bool) -> str | None:
        """The visitor id of a request, if its cookie is one of ours."""
        # http.cookies would drop all of them for the sake of one that is not as the standard wants it.
        cookie = cookie_parser(headers.get("cookie", "")).get(_name(https), "")
        try:
            visitor = self._signer.unsign(cookie).decode()
        except (BadSignature, UnicodeError):
            return None
        return visitor if _ID.fullmatch(visitor) else None

    def greet(self, scope: Scope, headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Who asks, and the answer's headers that introduce somebody new."""
        https = is_https(scope)
        visitor = self.read(headers, https=https)
        if visitor is not None:
            return visitor, {}
        visitor = self.new()
        return visitor, {"set-cookie": self.set_cookie(visitor, https=https)}

    @staticmethod
    def new() -> str:
        """A visitor that was never here."""
        return secrets.token_hex(16)

    def set_cookie(self, visitor: str, *, https: bool) -> str:
        """The Set-Cookie header for a visitor; bound to this host and to https where that is spoken."""
        value = self._signer.sign(visitor).decode()
        secure = "; Secure" if https else ""
        return f"{_name(https)}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={YEAR_S}{secure}"


def _name(https: bool) -> str:
    return "__Host-visitor" if https else "visitor"
