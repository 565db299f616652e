"""API keys for programs: who they are on a request, and how admins make and end them."""

from typing import Annotated, Literal

from msgspec import Meta, Struct
from starlette.requests import HTTPConnection

from seatmap.errors import Refused
from seatmap.ledger import api_keys
from seatmap.ledger.api_keys import PREFIX, ApiKey
from seatmap.ledger.pool import Pool
from seatmap.model import User
from seatmap.protocol import Name
from seatmap.web.endpoint import Access, Call, Endpoint, Identify, Nothing

SECRET_LENGTH_MAX = 200


class NewApiKey(Struct, frozen=True, forbid_unknown_fields=True):
    """What a new key is called and may do."""

    name: Name
    scopes: Annotated[tuple[Literal["read", "sell", "admin"], ...], Meta(min_length=1, max_length=10)]


class CreatedApiKey(Struct, frozen=True):
    """A new key; its secret `key` is never told again."""

    key: str
    api_key: ApiKey


class ApiKeyList(Struct, frozen=True):
    """All keys, the newest first, revoked ones included."""

    api_keys: list[ApiKey]


SAFE_METHODS = frozenset({"GET", "HEAD"})


class ApiKeys:
    """Finds who a program acts for, and else asks `otherwise`; and the endpoints under /api/admin/api-keys."""

    def __init__(self, pool: Pool, otherwise: Identify) -> None:
        self._pool = pool
        self._otherwise = otherwise

    async def identify(self, request: HTTPConnection) -> User | None:
        """Who calls. A key that is shown and is none is refused, also where nobody needs one."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret.startswith(PREFIX):
            return await self._otherwise(request)
        found = await api_keys.user_of(self._pool, secret) if len(secret) <= SECRET_LENGTH_MAX else None
        if found is None:
            raise Refused("sign_in_required", "This API key is not known, or it was revoked.")
        user, only_reads = found
        if only_reads and request.scope.get("method", "GET") not in SAFE_METHODS:
            raise Refused("forbidden", "This API key may read, and change nothing.")
        return user

    def endpoints(self) -> list[Endpoint]:
        """All of them."""
        path = "/api/admin/api-keys"
        return [
            Endpoint(
                method="GET",
                path=path,
                handle=self.listed,
                access=Access.admin,
                tag="integrators",
                summary="The API keys",
                answer=ApiKeyList,
            ),
            Endpoint(
                method="POST",
                path=path,
                handle=self.create,
                access=Access.admin,
                critical=True,
                tag="integrators",
                summary="Make an API key; its secret is told once",
                body=NewApiKey,
                answer=CreatedApiKey,
                example={"name": "Door scanner", "scopes": ["read"]},
            ),
            Endpoint(
                method="DELETE",
                path=f"{path}/{{key_id}}",
                handle=self.revoke,
                access=Access.admin,
                tag="integrators",
                summary="Revoke an API key at once",
                answer=Nothing,
                refuses=("not_found",),
            ),
        ]

    async def listed(self, call: Call) -> ApiKeyList:
        return ApiKeyList(await api_keys.listed(self._pool))

    async def create(self, call: Call) -> CreatedApiKey:
        assert call.caller.user is not None, "the gate lets nobody else in"
        scopes = frozenset(call.body.scopes)
        secret, key = await api_keys.create(self._pool, call.body.name, scopes, call.caller.user)
        return CreatedApiKey(secret, key)

    async def revoke(self, call: Call) -> Nothing:
        assert call.caller.user is not None, "the gate lets nobody else in"
        await api_keys.revoke(self._pool, call.number("key_id", "not_found"), call.caller.user)
        return Nothing()
