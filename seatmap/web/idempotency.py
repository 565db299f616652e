"""The Idempotency-Key header: a request that is sent again gets the answer that it got before."""

import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from seatmap.errors import Refused, SeatmapError, Unavailable
from seatmap.ledger import idempotency
from seatmap.ledger.idempotency import Answer
from seatmap.ledger.pool import Pool
from seatmap.web.problems import problem_response

HEADER = "idempotency-key"
KEY_LENGTH_MAX = 255
ANSWER_BYTES_MAX = 1 << 18  # a larger one is not kept
SECRETS = {"password", "token", "key"}  # whose body or answer has such a field, of that nothing is kept

log = logging.getLogger(__name__)

Execute = Callable[[], Awaitable[Response]]


class Repeats:
    """Answers what was asked before."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def answer(self, request: Request, caller: str, body: bytes, execute: Execute) -> Response:
        """The answer of `execute`, or that of its first time. Refuses with idempotency_… or invalid."""
        key = request.headers.get(HEADER, "").strip().strip('"')
        if not 0 < len(key) <= KEY_LENGTH_MAX:
            raise Refused("invalid", f"An Idempotency-Key has 1 to {KEY_LENGTH_MAX} characters.")
        asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
        known = await idempotency.begin(self._pool, caller, key, hashlib.sha256(asked + body).digest())
        if known is not None:
            return Response(known.body, known.status, {"idempotency-replayed": "true"}, known.media)
        try:
            response = await _settled(execute)
        except BaseException:
            await self._forget(caller, key)
            raise
        await self._keep(caller, key, response)
        return response

    async def _keep(self, caller: str, key: str, response: Response) -> None:
        """What cannot be kept is no reason to answer that nothing was done."""
        body = bytes(response.body)
        if len(body) > ANSWER_BYTES_MAX or "set-cookie" in response.headers:
            await self._forget(caller, key)
            return
        answer = Answer(response.status_code, response.headers.get("content-type", ""), body)
        try:
            await idempotency.finish(self._pool, caller, key, answer)
        except Unavailable:
            log.warning("The answer to an Idempotency-Key could not be kept.")

    async def _forget(self, caller: str, key: str) -> None:
        try:
            await idempotency.give_up(self._pool, caller, key)
        except Unavailable:
            log.warning("An Idempotency-Key without an answer could not be forgotten.")


async def _settled(execute: Execute) -> Response:
    """An answer that stays true: a refusal is one; that a store is away, or a password is asked for, is none."""
    try:
        return await execute()
    except SeatmapError as error:
        if error.temporary or error.code == "password_needed":
            raise
        return problem_response(error)


def keeps_nothing(*kinds: Any) -> bool:
    """Whether any of the types has a field that is a secret."""
    fields = [
        field.name
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
        for field in msgspec.structs.fields(kind)
    ]
    return not SECRETS.isdisjoint(fields)
