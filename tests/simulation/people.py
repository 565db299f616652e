"""Those who use the site: visitors, the card company, a person of staff. They write down what they were told."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from seatmap import protocol
from seatmap.checkout.announce import announce
from seatmap.checkout.providers.test_card import Delivery
from seatmap.errors import Refused, SeatmapError
from seatmap.ledger import events, payments
from seatmap.model import Order
from tests.simulation.loop import Process
from tests.simulation.redis_world import EVENT
from tests.simulation.run_context import Run
from tests.simulation.site import CARD, Lost, Site, Web, ask

PRICES = (2000, 1000)
OUTCOMES = (
    "approve",
    "approve",
    "approve",
    "approve",
    "decline",
    "slow",
    "late",
    "late",
    "twice",
    "out_of_order",
)


@dataclass
class Placed:
    """An order, and all that its buyer was told of it."""

    visitor: str
    order: protocol.Book
    told: set[str] = field(default_factory=set)  # committed, refused:code
    asked: int = 0
    cancel_asked: bool = False
    cancel_told: bool = False

    @property
    def unknown(self) -> bool:
        return self.asked > 0 and not self.told


class Crowd:
    """All of them, and the history that they saw."""

    def __init__(self, run: Run, site: Site, seats: int) -> None:
        self.run = run
        self.site = site
        self.seats = seats
        self.orders: dict[UUID, Placed] = {}
        self.closing = False  # no new orders
        self.closed_at: float | None = None  # when an admin was told that the event is cancelled
        self.company = Process(run.loop, "company")
        # Two of them are two pages of one visitor.
        self.buyers = [Buyer(self, f"buyer{number}", f"visitor{min(number, 4)}") for number in range(6)]

    @property
    def is_gone(self) -> bool:
        """Whether no visitor wants anything any more."""
        return all(task.done() for buyer in self.buyers for task in buyer.process.tasks)

    def start(self) -> None:
        for buyer in self.buyers:
            buyer.process.spawn(buyer.live())

    def web(self) -> int:
        return self.run.rng.randrange(len(self.site.webs))

    def deliver(self, delivery: Delivery) -> None:
        """The company sends a message until it is received."""
        self.company.spawn(self._deliver(delivery))

    async def _deliver(self, delivery: Delivery) -> None:
        await asyncio.sleep(delivery.after_s)
        while True:
            try:
                await ask(
                    self.site,
                    self.web(),
                    lambda web: web.cashier.receive(CARD, delivery.headers, delivery.body),
                )
            except (SeatmapError, Lost):
                await asyncio.sleep(0.5 + self.run.rng.random())
            else:
                return

    def send_again(self) -> None:
        """The company knows what was paid; of what was not heard it speaks until it is."""
        card = self.site.webs[0].card
        for row in self.site.postgres.database.tables["test_card_sessions"].values():
            if row["state"] == "paid":
                self.deliver(card.message(row["session"], "captured", row["amount"], row["currency"]))

    async def cancel_event(self) -> None:
        """An admin cancels the event, and asks again until it is said to be done."""

        async def cancel(web: Web) -> None:
            await events.cancel(web.stores.pool, EVENT)
            event = await events.get(web.stores.pool, EVENT)
            assert event is not None
            await announce(web.stores, event)

        while self.closed_at is None:
            try:
                await ask(self.site, self.web(), cancel)
            except (SeatmapError, Lost):
                await asyncio.sleep(1.0)
            else:
                self.closed_at = self.run.loop.time()
                self.run.trace("the event is said to be cancelled")
                self.run.faults["event cancelled"] += 1


class Buyer:
    """One page of a visitor."""

    def __init__(self, crowd: Crowd, name: str, visitor: str) -> None:
        self.crowd = crowd
        self.run = crowd.run
        self.visitor = visitor
        self.process = Process(crowd.run.loop, name)
        self.hold_id = ""
        self.held: tuple[int, ...] = ()
        self.epoch = 0

    async def live(self) -> None:
        rng = self.run.rng
        await asyncio.sleep(rng.random())
        while not self.crowd.closing:
            try:
                await self._shop()
                if rng.random() < 0.3:
                    await self._give_back()
            except Lost:
                await self._look()
            await asyncio.sleep(rng.random() * 0.5)
        await self._ask_for_the_unknown()

    async def _ask(self, command: Any, web: int | None = None) -> Any:
        chosen = self.crowd.web() if web is None else web
        return await ask(self.crowd.site, chosen, lambda found: found.command(self.visitor, command))

    async def _look(self) -> None:
        """After a lost answer a page reads what is its own first."""
        try:
            self._learn(await self._ask(protocol.Mine(id="1")))
        except (SeatmapError, Lost):
            return

    def _learn(self, mine: Any) -> None:
        self.hold_id, self.held, self.epoch = mine.hold_id, tuple(mine.seats), mine.epoch

    async def _shop(self) -> None:
        rng = self.run.rng
        seats = tuple(rng.sample(range(self.crowd.seats), rng.choice((1, 1, 2, 2, 3))))
        epoch = self.epoch if rng.random() < 0.5 else 0
        try:
            # Naming a hold continues it; the other page of the visitor may have one.
            hold_id = self.hold_id if rng.random() < 0.2 else ""
            self._learn(await self._ask(protocol.Hold(id="1", epoch=epoch, hold_id=hold_id, seats=seats)))
            await asyncio.sleep(rng.random() * rng.choice((0.1, 0.1, 1.0, 7.0)))
            if rng.random() < 0.1:
                self._learn(await self._ask(protocol.Extend(id="1", hold_id=self.hold_id)))
            if rng.random() < 0.15 and self.held:
                given = rng.choice(((), (self.held[0],)))
                self._learn(await self._ask(protocol.Release(id="1", hold_id=self.hold_id, seats=given)))
        except SeatmapError:
            return
        if self.held and rng.random() < 0.9:
            await self._buy()

    async def _buy(self) -> None:
        rng = self.run.rng
        order_id = UUID(int=rng.getrandbits(128), version=4)
        hold_id, seats = self._claimed()
        total = sum(PRICES[seat % 2] for seat in seats)
        if rng.random() < 0.03:
            total += 1
        order = protocol.Book(
            id="1",
            epoch=self.epoch if rng.random() < 0.3 else 0,
            order_id=order_id,
            hold_id=hold_id,
            seats=seats,
            total=total,
            name="Ada",
            email="ada@example.org",
            payment_method=rng.choice(("free", "free", CARD)),
        )
        placed = Placed(self.visitor, order)
        self.crowd.orders[order_id] = placed
        if rng.random() < 0.15:  # impatient: the same order through both webs at once
            first, second = self._book(order, placed, 0), self._book(order, placed, 1)
            told = await asyncio.gather(first, second)
        else:
            told = [await self._book(order, placed)]
        for _ in range(rng.choice((0, 2, 6))):
            if placed.told and rng.random() < 0.9:
                break
            await asyncio.sleep(rng.random())
            told = [await self._book(order, placed)]
        placed_order = next((found for found in told if isinstance(found, Order)), None)
        self.hold_id, self.held = "", ()
        if placed_order is not None and placed_order.status == "pending" and rng.random() < 0.8:
            await self._pay(placed_order)

    def _claimed(self) -> tuple[str, tuple[int, ...]]:
        """The hold and its seats; of a page that is broken or lies, another's hold or other seats."""
        rng = self.run.rng
        mischief = rng.random()
        if mischief < 0.04:
            return self.hold_id, tuple(rng.sample(range(self.crowd.seats), len(self.held)))
        if mischief < 0.06:
            other = rng.choice(self.crowd.buyers)
            return other.hold_id, other.held or self.held
        return self.hold_id, self.held

    async def _book(self, order: protocol.Book, placed: Placed, web: int | None = None) -> Order | None:
        placed.asked += 1
        try:
            told = await self._ask(order, web)
        except Refused as refusal:
            if refusal.code != "order_reused":
                placed.told.add(f"refused:{refusal.code}")
        except (SeatmapError, Lost):
            self.run.rare["an answer to a book was unknown"] += 1
        else:
            placed.told.add("committed")
            self.run.trace("told", order.order_id.hex[:8], told.status)
            return told  # type: ignore[no-any-return]
        return None

    async def _pay(self, order: Order) -> None:
        assert order.checkout is not None
        outcome = self.run.rng.choice(OUTCOMES)
        session = order.checkout.url.partition("=")[2]

        async def press(web: Web) -> list[Delivery]:
            payment = await payments.of_session(web.stores.pool, CARD, session)
            return await web.card.press(payment, outcome)

        try:
            for delivery in await ask(self.crowd.site, self.crowd.web(), press):
                self.crowd.deliver(delivery)
        except (SeatmapError, Lost):
            return

    async def _give_back(self) -> None:
        mine = [order for order in self.crowd.orders.values() if order.visitor == self.visitor and order.told]
        bought = [order for order in mine if "committed" in order.told and not order.cancel_told]
        if not bought:
            return
        placed = self.run.rng.choice(bought)
        placed.cancel_asked = True
        try:
            await self._ask(protocol.Cancel(id="1", order_id=placed.order.order_id))
        except SeatmapError:
            return
        placed.cancel_told = True

    async def _ask_for_the_unknown(self) -> None:
        """Once all is well again, whoever was left in doubt asks once more."""
        for placed in list(self.crowd.orders.values()):
            if placed.visitor != self.visitor:
                continue
            while placed.unknown:
                await self._book(placed.order, placed)
                await asyncio.sleep(0.5)
