"""Whether this process serves, and whether it can sell."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from seatmap.ledger.instance import secret
from seatmap.web.rooms import Rooms

LOOK_SECONDS = 2.0


class Health:
    """The routes /healthz and /readyz."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def routes(self) -> list[Route]:
        return [Route("/healthz", self.healthz), Route("/readyz", self.readyz)]

    async def healthz(self, request: Request) -> JSONResponse:
        """200: the process serves."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, request: Request) -> JSONResponse:
        """200 when seats can be held and booked here; else 503 and which part is missing."""
        checks = {"redis": self._redis(), "postgres": self._postgres()}
        results = dict(zip(checks, await asyncio.gather(*checks.values()), strict=True))
        results["maps"] = "ok" if self._maps_live() else "behind"
        ready = all(result == "ok" for result in results.values())
        return JSONResponse(
            {"status": "ready" if ready else "not ready", **results}, status_code=200 if ready else 503
        )

    async def _redis(self) -> str:
        return await _answers(self._rooms.stores.redis.command("PING"))

    async def _postgres(self) -> str:
        return await _answers(secret(self._rooms.stores.pool))

    def _maps_live(self) -> bool:
        return all(room.watch.live.is_set() for room in self._rooms)


async def _answers(question: object) -> str:
    try:
        await asyncio.wait_for(question, LOOK_SECONDS)  # type: ignore[arg-type]
    except Exception:  # whatever it is, it is no answer: LOADING, MISCONF, a wrong password
        return "away"
    return "ok"
