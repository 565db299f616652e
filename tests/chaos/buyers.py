"""Buyers: visitors who hold, book, pay and cancel over both webs and both ways, and behave badly on purpose."""

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID

import msgspec

from tests.chaos.clients import Gone, Http, Page
from tests.chaos.crowd import Crowd, Show
from tests.chaos.history import Answer, Call, Left, Told, now

ORDERS_MAX = 12  # of one visitor; then somebody new comes
KEPT_MAX = 3  # orders that a visitor keeps before one is given back
WANTS_GONE = 0.2  # how often somebody wants a seat that is somebody else's
THINKS = 0.1  # how often somebody thinks before they buy
HOT, HOT_SEATS = 0.15, 16  # how often somebody wants one of the best seats, and how many those are
PAUSE_SECONDS = 0.02
RETRY_SECONDS = 0.2
GIVE_UP_SECONDS = 120.0  # for an order to get an answer; the checker finds it long before


class Order(msgspec.Struct):
    """What was bought. `body` is the command, to be sent again as it is."""

    id: UUID
    show: Show
    seats: tuple[int, ...]
    body: dict[str, Any]


class Visit:
    """One visitor at one event: a page at one web, an HTTP connection to each."""

    def __init__(self, crowd: Crowd, name: str, show: Show) -> None:
        self.crowd = crowd
        self.name = name
        self.show = show
        self.cookie = ""
        self.page: Page | None = None
        self.web = crowd.chance.randrange(2)
        self._https: dict[int, Http] = {}

    async def open(self) -> bool:
        """Have a connected page; after trouble at the other web. False where there is none to be had."""
        if self.page is not None and not self.page.closed:
            return True
        if self.page is not None:
            self.web = 1 - self.web
        page = await self.tab(self.web)
        self.page = page
        return page is not None

    async def tab(self, web: int) -> Page | None:
        """One more page of the same visitor."""
        page = Page(self.crowd.ports[web], self.show.id, self.cookie)
        page.on_mine = self._news
        self.crowd.pages.add(page)
        try:
            await page.open()
        except Gone:
            self.web = 1 - self.web
            return None
        self.cookie = self.cookie or page.cookie
        return page

    def _news(self, news: bytes) -> None:
        reason = msgspec.json.decode(news)["reason"]
        if reason:
            self.crowd.history.add(Told(now(), self.name, self.show.id, reason))
            self.crowd.counts[f"told {reason}"] += 1

    def http(self, web: int) -> Http:
        found = self._https.get(web)
        if found is None:
            found = self._https[web] = Http(self.crowd.ports[web], f"Cookie: {self.cookie}\r\n")
        return found

    async def ask(
        self, command: dict[str, Any], *, http: int | None = None, page: Page | None = None
    ) -> Answer:
        """A command, over HTTP of a web, over a page, or over the visitor's own page."""
        call = self.call(command, "ws" if http is None else "http", self.web if http is None else http)
        if http is not None:
            return await self.crowd.over_http(self.http(http), call, command)
        if page is None and await self.open():
            page = self.page
        if page is None:
            return self.crowd.end(call, None)
        return await self.crowd.over_page(page, call, command)

    def call(self, command: dict[str, Any], way: str, web: int) -> Call:
        """A command as it is written down."""
        return self.crowd.begin(
            command["type"],
            self.name,
            self.show.id,
            web,
            way,
            seats=tuple(command.get("seats", ())),
            hold_id=command.get("hold_id", ""),
            order_id=command.get("order_id", ""),
        )

    def close(self) -> None:
        if self.page is not None:
            self.page.leave()
        for http in self._https.values():
            http.close()


class Buyer:
    """One visitor after the other, until the crowd stops."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self.crowd = crowd
        self._number = number
        self._visits = 0
        self._kept: list[Order] = []

    async def run(self) -> None:
        while not self.crowd.stopping:
            shows = [show for show in self.crowd.shows if not show.closing]
            if not shows:
                await asyncio.sleep(0.1)
                continue
            self._visits += 1
            visit = Visit(self.crowd, f"b{self._number}.{self._visits}", self.crowd.chance.choice(shows))
            try:
                await self._visit(visit)
            finally:
                visit.close()

    async def _visit(self, visit: Visit) -> None:
        self._kept = []
        for _ in range(ORDERS_MAX):
            if self.crowd.stopping or visit.show.closing:
                break
            if not await visit.open():
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await self._once(visit)
            await asyncio.sleep(PAUSE_SECONDS)
        if self.crowd.chance.random() < 0.9:
            while self._kept:
                await self._cancel(visit, self._kept.pop())

    async def _once(self, visit: Visit) -> None:
        """From a click to an order, or to a change of mind."""
        chance = self.crowd.chance.random
        hold = await self._hold(visit)
        if hold is None:
            return
        if chance() < THINKS:  # meanwhile others want the same seats
            await asyncio.sleep(chance())
        if chance() < 0.05:
            hold = await self._extended(visit, hold)
        if chance() < 0.08:
            await self._release(visit, hold)
            return
        if chance() < 0.01:
            visit.close()  # the lid is shut: the hold runs out by itself
            visit.page = None
            await asyncio.sleep(0.5)
            return
        order = self._order(visit, hold)
        if chance() < 0.02:
            await self._crash(visit, order)
            return
        answer = await self._settle(visit, order)
        if answer.result == "ok":
            await self._bought(visit, order, answer)
        else:
            await self._release(visit, hold)

    async def _hold(self, visit: Visit) -> Answer | None:
        """Some seats, clicked once, twice, or in two tabs; what the visitor has then."""
        seats = self._choose(visit.show)
        command = {"type": "hold", "seats": seats}
        fate = self.crowd.chance.random()
        if fate < 0.04:  # a double click, the second over the other web
            both = await asyncio.gather(visit.ask(command), visit.ask(command, http=1 - visit.web))
            answer = next((one for one in both if one.result == "ok"), both[0])
        elif fate < 0.07:  # another tab, at the other web, with other seats
            other = await visit.tab(1 - visit.web)
            more = {"type": "hold", "seats": self._choose(visit.show)}
            one, two = await asyncio.gather(
                visit.ask(command), visit.ask(more, page=other), return_exceptions=False
            )
            if other is not None:
                other.leave()
            answer = two if two.result == "ok" and two.version > one.version else one
        elif fate < 0.25:
            answer = await visit.ask(command, http=self.crowd.chance.randrange(2))
        else:
            answer = await visit.ask(command)
        if answer.result == "unknown":
            await asyncio.sleep(RETRY_SECONDS)
            answer = await visit.ask({"type": "mine"})
        if answer.result != "ok" or not answer.hold_id:
            visit.show.gone.update(seats if answer.code == "seat_taken" else ())
            return None
        visit.show.gone.update(answer.seats)
        return answer

    def _choose(self, show: Show) -> list[int]:
        """One to three seats, mostly such as nobody seems to have; at times the best, which all want."""
        chance = self.crowd.chance
        chosen: set[int] = set()
        if chance.random() < HOT:
            return sorted(chance.sample(range(HOT_SEATS), chance.choice((1, 2))))
        for _ in range(chance.choice((1, 1, 2, 2, 3))):
            seat = chance.randrange(show.seats)
            for _ in range(4):
                if seat not in show.gone or chance.random() < WANTS_GONE:
                    break
                seat = chance.randrange(show.seats)
            chosen.add(seat)
        return sorted(chosen)

    async def _extended(self, visit: Visit, hold: Answer) -> Answer:
        answer = await visit.ask({"type": "extend", "hold_id": hold.hold_id})
        return answer if answer.result == "ok" and answer.hold_id == hold.hold_id else hold

    async def _release(self, visit: Visit, hold: Answer) -> None:
        answer = await visit.ask({"type": "release", "hold_id": hold.hold_id})
        if answer.result == "ok":
            visit.show.gone.difference_update(hold.seats)

    def _order(self, visit: Visit, hold: Answer) -> Order:
        order_id = self.crowd.uuid7()
        body = {
            "type": "book",
            "order_id": str(order_id),
            "hold_id": hold.hold_id,
            "seats": list(hold.seats),
            "total": visit.show.price * len(hold.seats),
            "name": "Ada",
            "email": "ada@example.org",
        }
        return Order(order_id, visit.show, tuple(hold.seats), body)

    async def _crash(self, visit: Visit, order: Order) -> None:
        """Send the order and be gone for ever."""
        if visit.page is None or visit.page.closed:
            return
        visit.call(order.body, "ws", visit.web)
        visit.page.shout({"id": "c", **order.body})
        await asyncio.sleep(self.crowd.chance.random() * 0.01)
        visit.page.leave()
        visit.page = None
        self.crowd.history.add(Left(now(), str(order.id)))
        self.crowd.counts["left"] += 1

    async def _settle(self, visit: Visit, order: Order) -> Answer:
        """Ask until there is an answer that stays, each time by another way."""
        chance = self.crowd.chance
        if chance.random() < 0.02:
            answer = await self._five_times(visit, order)
        else:
            way = chance.randrange(2) if chance.random() < 0.3 else None
            answer = await visit.ask(order.body, http=way)
        if answer.result == "unknown":
            answer = await self._ask_on(visit, order)
        elif chance.random() < 0.02:
            await visit.ask(order.body, http=1 - visit.web)  # answered, and asked again all the same
        if answer.result == "ok" and chance.random() < 0.02:
            await visit.ask({**order.body, "seats": [(order.seats[0] + 1) % visit.show.seats]})
        return answer

    async def _five_times(self, visit: Visit, order: Order) -> Answer:
        answers = await asyncio.gather(
            visit.ask(order.body),
            visit.ask(order.body, http=0),
            visit.ask(order.body, http=1),
            self._from_new_tab(visit, order, 0),
            self._from_new_tab(visit, order, 1),
        )
        return next((one for one in answers if one.result != "unknown"), answers[0])

    async def _from_new_tab(self, visit: Visit, order: Order, web: int) -> Answer:
        tab = await visit.tab(web)
        answer = await visit.ask(order.body, page=tab)
        if tab is not None:
            tab.leave()
        return answer

    async def _ask_on(self, visit: Visit, order: Order) -> Answer:
        began = now()
        self.crowd.open_orders[str(order.id)] = began
        try:
            while True:
                await asyncio.sleep(RETRY_SECONDS * (0.5 + self.crowd.chance.random()))
                way = self.crowd.chance.randrange(2) if self.crowd.chance.random() < 0.5 else None
                answer = await visit.ask(order.body, http=way)
                if answer.result != "unknown" or now() - began > GIVE_UP_SECONDS * 1e9:
                    return answer
        finally:
            del self.crowd.open_orders[str(order.id)]

    async def _bought(self, visit: Visit, order: Order, answer: Answer) -> None:
        if answer.status == "cancelled":
            return
        self.crowd.acked += 1
        self._kept.append(order)
        if answer.status == "pending":
            with suppress(Gone):
                await self._pay(visit, order)
        if len(self._kept) > KEPT_MAX:
            await self._cancel(visit, self._kept.pop(self.crowd.chance.randrange(KEPT_MAX)))

    async def _pay(self, visit: Visit, order: Order) -> None:
        """Read where to pay, and press a button there. Who gets no answer leaves it; time will tell."""
        web = self.crowd.chance.randrange(2)
        status, body = await visit.http(web).call("GET", f"/api/orders/{order.id}", seconds=3)
        if status != 200 or not body.get("checkout") or not body["checkout"]["url"]:
            return
        session = body["checkout"]["url"].partition("session=")[2]
        word = self.crowd.chance.choices(
            ("approve", "decline", "slow", "late", "twice", "out_of_order", "nothing"),
            (60, 10, 5, 5, 10, 5, 5),
        )[0]
        if word == "nothing":
            return
        call = self.crowd.begin(
            "pay", visit.name, visit.show.id, web, "http", order_id=str(order.id), word=word
        )
        try:
            status, body = await visit.http(web).call(
                "POST", f"/api/payments/test-card/{session}", {"outcome": word}, seconds=3
            )
        except Gone:
            self.crowd.end(call, None)
            return
        self.crowd.end(call, {"error": body} if status >= 400 else {})

    async def _cancel(self, visit: Visit, order: Order) -> None:
        began = now()
        command = {"type": "cancel", "order_id": str(order.id)}
        while now() - began < GIVE_UP_SECONDS * 1e9:
            way = self.crowd.chance.randrange(2) if self.crowd.chance.random() < 0.5 else None
            answer = await visit.ask(command, http=way)
            if answer.result != "unknown":
                visit.show.gone.difference_update(order.seats)
                return
            await asyncio.sleep(RETRY_SECONDS)
