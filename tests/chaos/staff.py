"""The box office of the swarm: makes events, and cancels them with everything that was sold."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.chaos.clients import Gone, Http
from tests.chaos.crowd import Crowd, Show

CALL_SECONDS = 10.0
RETRY_SECONDS = 0.3
LOOK_SECONDS = 0.5
SIDE_SECONDS = 15.0  # that a side event lives
PRICE = 1500

HALL_COLUMNS = 250

# rows, columns, paid with the test card, main
KINDS = ((40, 25, False, True), (40, 25, False, True), (30, 20, True, True), (12, 10, True, False))


class Staff:
    """One admin with an API key. Asks again, at the other web, until what it wants is done."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        auth = f"Authorization: Bearer {crowd.key}\r\n"
        self._https = [Http(port, auth) for port in crowd.ports]
        self._web = 0
        self._side_until = 0.0

    async def open(self, hall: int) -> None:
        """The first events, side by side; one has `hall` seats, unless that is 0."""
        kinds = [*KINDS, *([(-(-hall // HALL_COLUMNS), HALL_COLUMNS, False, True)] if hall else [])]
        shows = await asyncio.gather(*(Staff(self.crowd).make(*kind) for kind in kinds))
        self.crowd.shows = list(shows)

    async def run(self) -> None:
        """Replace what is full; end side events when their time is over."""
        loop = asyncio.get_running_loop()
        self._side_until = loop.time() + SIDE_SECONDS
        while not self.crowd.stopping:
            for show in list(self.crowd.shows):
                if show.full or (not show.main and loop.time() > self._side_until):
                    await self._replace(show)
            await asyncio.sleep(LOOK_SECONDS)

    async def _replace(self, show: Show) -> None:
        kind = (show.rows, show.seats // show.rows, show.paid, show.main)
        if not show.main:  # cancelled in the middle of its sale, while people go on buying
            await self._cancel(show)
        new = await self.make(*kind)
        self.crowd.shows.append(new)
        show.closing = True
        self.crowd.shows.remove(show)
        if show.main:
            await self._cancel(show)
        else:
            self._side_until = asyncio.get_running_loop().time() + SIDE_SECONDS

    async def make(self, rows: int, columns: int, paid: bool, main: bool) -> Show:
        """A published event."""
        made = await self._must(
            "POST",
            "/api/admin/events",
            {
                "name": "Chaos",
                "starts_at": (datetime.now(UTC) + timedelta(days=30)).isoformat(),
                "grid": {"rows": rows, "columns": columns},
                "categories": [{"name": "Standard", "price": PRICE}],
                "seats_per_visitor": 8,
            },
        )
        at = f"/api/admin/events/{made['id']}"
        await self._must("PATCH", at, {"payment_methods": ["test_card" if paid else "free"]})
        while (await self._must("GET", at))["job"]["state"] != "done":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await self._must("POST", f"{at}/publish", {}, done="wrong_state")
        self.crowd.counts["events"] += 1
        return Show(made["id"], rows, rows * columns, PRICE, paid, main)

    async def _cancel(self, show: Show) -> None:
        path = f"/api/admin/events/{show.id}/cancel"
        while True:
            call = self.crowd.begin("event_cancel", "staff", show.id, self._web, "http")
            try:
                status, body = await self._call("POST", path, {"reason": "chaos"})
            except Gone:
                self.crowd.end(call, None)
            else:
                answer = self.crowd.end(call, {"error": body} if status >= 400 else {})
                if answer.result == "ok" or answer.code == "wrong_state":
                    self.crowd.counts["events cancelled"] += 1
                    return
            self._web = 1 - self._web
            await asyncio.sleep(RETRY_SECONDS)

    async def _must(self, method: str, path: str, body: Any = None, *, done: str = "") -> Any:
        """The answer; asked for with one Idempotency-Key until it comes. `done` is a code that means so."""
        key = f"Idempotency-Key: {self.crowd.uuid7()}\r\n" if method != "GET" else ""
        while True:
            try:
                status, answer = await self._call(method, path, body, key)
                if status < 400 or answer["code"] == done:
                    return answer
                if status < 500 and answer["code"] != "idempotency_in_flight":
                    raise RuntimeError(f"{method} {path} was refused: {answer}")
            except Gone:
                pass
            self._web = 1 - self._web
            await asyncio.sleep(RETRY_SECONDS)

    async def _call(self, method: str, path: str, body: Any, headers: str = "") -> tuple[int, Any]:
        http = self._https[self._web]
        return await http.call(method, path, body, seconds=CALL_SECONDS, headers=headers)
