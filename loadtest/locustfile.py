"""Watchers and buyers for locust, and an audit of what they were told when the run is over.

    SEATMAP_DATA=data locust -f loadtest/locustfile.py --host http://127.0.0.1:8000

opens locust's own page; add `--headless -u 200 -r 50 -t 60s` for none. `--event 0` (the default) spreads users
over all events. The audit needs the data folder of the site, or REDIS_URL and DATABASE_URL; a lie that it finds
makes locust end with code 1.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
from locust import HttpUser, between, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner
from requests import RequestException

from loadtest.green import GreenPage, Lost
from loadtest.page import AVAILABLE, BOOKED, HELD
from loadtest.record import Records, Seen, Told
from seatmap.simulate import uuid7

SETTLE_SECONDS = 20.0  # in which a watcher must come to where the site is, at the end
RETRY_SECONDS = 30.0  # for an order without an answer
EXPECTED = {
    "seat_taken",
    "too_many_seats",
    "hold_expired",
    "not_on_sale",
    "in_checkout",
    "hold_not_extendable",
}
BOOKS, CANCELS, EXTENDS, RELEASES, OVER_HTTP = 0.7, 0.15, 0.1, 0.1, 0.25

clicks: dict[tuple[int, int], float] = {}  # (event, seat) → when a buyer of this process sent its hold
records: Records | None = None


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def _options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--event", type=int, default=0, help="The event to go to; 0: all of them.")
    folder = Path(os.environ.get("SEATMAP_DATA", "data"))
    default = str(folder / f"loadtest-{os.getpid()}.jsonl")
    parser.add_argument("--records", default=default, help="Where to write what clients were told.")


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def _begin(environment: Environment, **_: Any) -> None:
    global records
    if not isinstance(environment.runner, MasterRunner):
        assert environment.parsed_options is not None
        records = Records(Path(environment.parsed_options.records))
        clicks.clear()


@events.test_stop.add_listener  # type: ignore[untyped-decorator]
def _audit(environment: Environment, **_: Any) -> None:
    """In a process of its own: it waits for stores, and locust's loop must not."""
    global records
    if records is None:
        return
    records.close()
    command = [sys.executable, "-m", "loadtest.audit", str(records.path)]
    records = None
    root = Path(__file__).resolve().parents[1]
    found = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False
    )
    sys.stderr.write(found.stdout + found.stderr)
    if found.returncode:
        environment.process_exit_code = 1


class Visitor(HttpUser):
    """What watchers and buyers have in common: an event, and a page of it."""

    abstract = True
    event_id: int
    page: GreenPage

    def on_start(self) -> None:
        assert self.environment.parsed_options is not None
        listed = self.client.get("/api/events").json()["events"]
        wanted = self.environment.parsed_options.event
        self.event_id = wanted or random.choice(listed)["id"]
        self.page = GreenPage(self.host or "", self.event_id, self.changed)
        self.come()

    def on_stop(self) -> None:
        self.page.leave()

    def changed(self, seats: dict[int, int]) -> None:
        """An applied frame named these seats."""

    def come(self) -> None:
        """Open the page, or open it again where it was."""
        with suppress(Lost):
            self.measured("connect", self.page.connect)

    def measured(self, name: str, act: Callable[[], Any]) -> Any:
        """Do something on the websocket, for locust's statistics. Raises Lost, as `act` does."""
        began = time.perf_counter()
        error: Exception | None = None
        answer: Any = None
        try:
            answer = act()
            found = (answer or {}).get("error")
            if found and found["code"] not in EXPECTED:
                error = RuntimeError(f"{found['code']}: {found['detail']}")
            return answer
        except Lost as lost:
            error = lost
            raise
        finally:
            self.fire("WS", name, (time.perf_counter() - began) * 1000, error)

    def fire(self, kind: str, name: str, ms: float, error: Exception | None = None) -> None:
        """One line of locust's statistics."""
        self.environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=ms,
            response_length=0,
            exception=error,
            context={},
        )


class Watcher(Visitor):
    """Looks at a map: applies every frame, and measures how long after a click it shows."""

    weight = 3
    wait_time = constant(1)

    def changed(self, seats: dict[int, int]) -> None:
        now = time.perf_counter()
        for seat, status in seats.items():
            clicked = clicks.get((self.event_id, seat))
            if clicked is not None and status == HELD:
                self.fire("WS", "click → screen", (now - clicked) * 1000)

    @task
    def look(self) -> None:
        if not self.page.connected:
            self.come()

    def on_stop(self) -> None:
        """Come to where the site is, and keep both maps for the audit."""
        try:
            if records is not None:
                records.add(self._settled())
        finally:
            self.page.leave()

    def _settled(self) -> Seen:
        deadline = time.monotonic() + SETTLE_SECONDS
        page = self.page.page
        site = ""
        while time.monotonic() < deadline:
            if not self.page.connected:
                self.come()
            with suppress(RequestException, ValueError):
                found = self.client.get(
                    f"/api/events/{self.event_id}/seats?compact=1", name="/api/events/[id]/seats (at the end)"
                ).json()
                if (found["epoch"], found["version"]) == page.position:
                    site = found["statuses"]
                    break
            gevent.sleep(0.2)
        epoch, version = page.position
        return Seen(event_id=self.event_id, epoch=epoch, version=version, page=page.digits, site=site)


class Buyer(Visitor):
    """Chooses up to four seats beside each other; books most of what it holds and gives some of that back."""

    weight = 1
    wait_time = between(0.5, 3)

    def on_start(self) -> None:
        super().on_start()
        plan = self.client.get(f"/api/events/{self.event_id}/plan", name="/api/events/[id]/plan").json()
        prices = [category["price"] for category in plan["categories"]]
        self.prices = [prices[category] for category in plan["category"]]
        self.breaks = set(plan["breaks"])

    @task
    def visit(self) -> None:
        """From nothing to a ticket, or not."""
        if not self.page.connected:
            self.come()
        seats = self._choose()
        if not seats:
            self._somebody_else()
            return
        try:
            mine = self._hold(seats)
            if mine is not None:
                self._decide(mine)
        except Lost:
            self._somebody_else()  # what the visitor before had runs out by itself

    def _choose(self) -> list[int]:
        """A run of free seats on this buyer's own map."""
        statuses = self.page.page.statuses
        wanted = random.randint(1, 4)
        for _ in range(30):
            first = random.randrange(max(1, len(statuses)))
            run = list(range(first, min(first + wanted, len(statuses))))
            beside = not self.breaks.intersection(run[1:])
            if run and beside and all(statuses[seat] == AVAILABLE for seat in run):
                return run
        return []

    def _hold(self, seats: list[int]) -> dict[str, Any] | None:
        began = time.perf_counter()
        clicks.update(((self.event_id, seat), began) for seat in seats)
        reply = self._ask({"type": "hold", "seats": seats})
        if "error" in reply:
            for seat in seats:
                if clicks.get((self.event_id, seat)) == began:
                    del clicks[self.event_id, seat]
            if reply["error"]["code"] == "too_many_seats":
                self._somebody_else()
            return None
        mine: dict[str, Any] = reply["mine"]
        return mine

    def _decide(self, mine: dict[str, Any]) -> None:
        gevent.sleep(random.uniform(0.1, 1.5))
        if random.random() < EXTENDS:
            self._ask({"type": "extend", "hold_id": mine["hold_id"]})
        if random.random() < RELEASES and len(mine["seats"]) > 1:
            reply = self._ask({"type": "release", "hold_id": mine["hold_id"], "seats": mine["seats"][:1]})
            mine = reply.get("mine") or mine
        if random.random() > BOOKS:
            self._ask({"type": "release", "hold_id": mine["hold_id"]})
            return
        order_id = str(uuid7())
        if self._book(order_id, mine) == "booked" and random.random() < CANCELS:
            gevent.sleep(random.uniform(0.1, 1))
            self._settle({"type": "cancel", "order_id": order_id}, "cancelled", ())

    def _book(self, order_id: str, mine: dict[str, Any]) -> str:
        order = {"type": "book", "order_id": order_id, "hold_id": mine["hold_id"], "seats": mine["seats"]}
        order |= {"total": sum(self.prices[seat] for seat in mine["seats"])}
        order |= {"name": "Load Test", "email": "loadtest@example.org"}
        return self._settle(order, "booked", tuple(mine["seats"]))

    def _settle(self, command: dict[str, Any], good: str, seats: tuple[int, ...]) -> str:
        """Ask until the answer is one that stays, and keep it for the audit."""
        deadline = time.monotonic() + RETRY_SECONDS
        answer, code = "unknown", ""
        try:
            while time.monotonic() < deadline:
                with suppress(Lost):
                    error = self._ask(command).get("error")
                    if error is None or not error["temporary"]:
                        answer, code = ("refused", error["code"]) if error else (good, "")
                        break
                gevent.sleep(0.3)
        finally:  # also of a user that locust stops while it waits
            if records is not None:
                order_id, name = command["order_id"], command["type"]
                records.add(
                    Told(
                        event_id=self.event_id,
                        order_id=order_id,
                        command=name,
                        answer=answer,
                        seats=seats,
                        code=code,
                    )
                )
        return answer

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """A command over the websocket, or over HTTP as the same visitor. Raises Lost."""
        if self.page.cookie and random.random() < OVER_HTTP:
            return self._post(command)
        if not self.page.connected:
            self.come()
        answer: dict[str, Any] = self.measured(command["type"], lambda: self.page.ask(command))
        return answer

    def _post(self, command: dict[str, Any]) -> dict[str, Any]:
        fields = {name: value for name, value in command.items() if name != "type"}
        name = command["type"]
        headers = {"cookie": self.page.cookie}
        address = f"/api/events/{self.event_id}/{name}"
        with self.client.post(
            address, json=fields, headers=headers, name=f"/api/events/[id]/{name}", catch_response=True
        ) as response:
            try:
                found = response.json()
            except (RequestException, ValueError):
                response.failure(f"no answer ({response.status_code})")
                raise Lost(f"no answer ({response.status_code})") from None
            if response.status_code == 200:
                response.success()
                return {"mine": found}
            if found.get("code") in EXPECTED:
                response.success()
            return {"error": found}

    def _somebody_else(self) -> None:
        """A new visitor comes with an empty basket, if there is anything left to buy."""
        self.page.leave()
        if self.page.page.statuses.count(BOOKED) == len(self.page.page.statuses) > 0:
            gevent.sleep(5)
        self.client.cookies.clear()
        self.page = GreenPage(self.host or "", self.event_id, self.changed)
        self.come()
