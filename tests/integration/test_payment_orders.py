"""Every order of what may happen to a payment: messages, retries, expiry, cancelling, a cashier that dies anywhere.

All sequences of some length, with repeats, go side by side through one event: step by step, so that what must hold
is asked of all of them at once after each step. A sequence notes which failpoints it passes; then it is run again
once for each of them, with a process that dies there and whose work is taken up by whoever comes next.
"""

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from checkout_world import an_order
from payment_world import CARD, Till, open_till
from staff_world import make_user

from seatmap import failpoints
from seatmap.booking.commands import Expire
from seatmap.checkout.box_office import BoxOffice
from seatmap.checkout.cancel_event import canceller
from seatmap.checkout.providers.test_card import SIGNATURE, Delivery
from seatmap.checkout.resolve import resolve
from seatmap.config import Settings
from seatmap.errors import Refused
from seatmap.ledger import events, payments
from seatmap.ledger.payments import Payment
from seatmap.model import Role
from seatmap.protocol import Book

# What one step of a sequence may be. "paid" is one message that may come several times; "paid anew" says the same in
# another message; "retry" is the buyer's page that books again under its order id; "rival" wants the same seat;
# "event" cancels it; "beat" is the cashier coming by.
FEWER = ("paid", "failed", "expire", "buyer", "staff", "rival", "event", "beat")
LETTERS = (*FEWER, "paid anew", "retry")
LONGEST = 3
AT_ONCE = 6
ROUNDS_MAX = 100  # of 100 late payments and refunds each

# Where a process may die, so that the next has to go on: everywhere after the order was made. ("pay.in_postgres" is
# either the place before it or the one after it.)
DEATHS = frozenset(
    name
    for name in failpoints.POINTS
    if name.startswith(("pay.", "pay_expire.", "pay_late.", "refund.", "staff_cancel.", "cancel."))
) - {"pay.after_session", "pay.in_postgres", "cancel.in_postgres", "cancel.after_ack", "cancel.after_finish"}

Way = tuple[str, ...]


class Died(BaseException):
    """The process is gone: nothing of ours catches this."""


class Life:
    """One process as a sequence sees it: which failpoints it passed, and at which it dies, once."""

    def __init__(self, dies_at: str = "") -> None:
        self.dies_at = dies_at
        self.passed: set[str] = set()

    def reach(self, name: str) -> None:
        self.passed.add(name)
        if name == self.dies_at:
            self.dies_at = ""
            raise Died


_life: ContextVar[Life | None] = ContextVar("life", default=None)


async def _reach(name: str, after_s: float = 0.0) -> None:
    life = _life.get()
    if life is not None and name in DEATHS:
        life.reach(name)


@pytest.fixture(autouse=True)
def mortal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failpoints tell the life that they are reached in; a refund that was cut off is sent again at once."""
    monkeypatch.setattr(failpoints, "_armed", {"all": object()})
    monkeypatch.setattr(failpoints, "_reach", _reach)
    monkeypatch.setattr(payments, "SENT_AGAIN_S", 0.0)


class Walk:
    """One order on its way through a sequence."""

    def __init__(self, way: Way, number: int, life: Life) -> None:
        self.way = way
        self.visitor = f"visitor-{number}"
        self.seat = number
        self.life = life
        self.order: Book
        self.payment: Payment
        self.message = b""  # that is sent again
        self.came = False  # money

    async def begin(self, till: Till) -> None:
        self.order = await till.order(self.visitor, self.seat)
        self.payment = await till.payment(self.order)
        self.message = self._news(till).body

    def _news(self, till: Till) -> Delivery:
        return till.card.message(self.payment.session, "captured", self.payment.amount, self.payment.currency)

    async def step(self, letter: str, till: Till, desk: BoxOffice) -> None:
        """One step, by a process that may die of it."""
        before = _life.set(self.life)
        try:
            await self._step(letter, till, desk)
        except Died:
            pass
        finally:
            _life.reset(before)

    async def _step(self, letter: str, till: Till, desk: BoxOffice) -> None:
        if letter in ("paid", "paid anew"):
            self.came = True  # the provider sends it until it was taken
            if letter == "paid":
                await self.come_again(till)
            else:
                delivery = self._news(till)
                await till.cashier.receive(CARD, delivery.headers, delivery.body)
        elif letter == "failed":
            await till.say(self.payment, "failed")
        elif letter == "retry":
            try:
                assert not await till.shop.book(self.visitor, self.order)
            except Refused:
                if "event" not in self.way:  # which answers nothing else once it is cancelled
                    raise
            await till.read(self.order, self.visitor)
        elif letter == "expire":
            await till.time_is_over(self.order.order_id)
            await till.cashier.retry(self.order.order_id)
        elif letter == "buyer":
            await till.cancel(self.visitor, self.order)
        elif letter == "staff":
            await desk.cancel(self.order.order_id, (), "", "cancel")
        elif letter == "rival":
            await self._rival(till)
        elif letter == "beat":
            await till.cashier.retry(self.order.order_id)

    async def come_again(self, till: Till) -> None:
        """The provider sends its message until it is taken, signed anew each time."""
        now = str(int(time.time()))
        headers = {SIGNATURE: f"t={now},v1={till.card._sign(now, self.message)}"}
        await till.cashier.receive(CARD, headers, self.message)

    async def _rival(self, till: Till) -> None:
        rival = f"rival of {self.visitor}"
        try:
            hold_id = await till.shop.hold(rival, self.seat)
            await till.shop.book(rival, an_order(hold_id, self.seat, payment_method="free"))
        except Refused as refusal:
            if refusal.code not in ("seat_taken", "not_on_sale"):
                raise


def expected(way: Way) -> tuple[str, str]:
    """What the payment, and the order that it is for, stand at in the end if nobody dies."""
    payment, order, why, on, rival = "created", "pending", "", True, False
    for step in way:
        if step in ("paid", "paid anew"):
            if payment in ("created", "failed", "expired"):
                ours = order == "pending" or (why in ("failed", "expire") and on and not rival)
                payment, order = ("captured", "confirmed") if ours else ("refunded", "cancelled")
        elif step in ("failed", "expire") and order == "pending":
            payment, order, why = ("failed" if step == "failed" else "expired"), "cancelled", step
        elif step in ("buyer", "staff") and order in ("pending", "confirmed") and not why:
            payment, order, why = ("expired" if order == "pending" else "refunded"), "cancelled", step
        elif step == "rival":
            rival = rival or (on and order == "cancelled")
        elif step == "event":
            on = False
            if order in ("pending", "confirmed"):
                payment, order = ("expired" if order == "pending" else "refunded"), "cancelled"
                why = why or step
    return payment, order


async def in_turns(works: Iterable[Awaitable[None]]) -> None:
    """All of them, a few at once."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(work: Awaitable[None]) -> None:
        async with turn:
            await work

    await asyncio.gather(*(one(work) for work in works))


async def verdicts(till: Till) -> dict[Any, str]:
    return {
        row["order_id"]: row["outcome"]
        for row in await till.shop.sql(
            "SELECT order_id, outcome FROM verdicts WHERE event_id = $1", till.shop.event_id
        )
    }


async def holds_true(till: Till, known: dict[Any, str]) -> None:
    """What must hold after every step: the sums, one verdict for ever, no seat twice."""
    await till.balanced()
    now = await verdicts(till)
    assert known.items() <= now.items(), "a verdict changed"
    known.update(now)
    twice = await till.shop.sql(
        "SELECT seat FROM bookings WHERE status IN ('pending', 'confirmed') GROUP BY event_id, seat"
        " HAVING count(*) > 1"
    )
    assert twice == []
    # An order stands as its seats do.
    assert not await till.value(
        """
        SELECT count(*) FROM orders o WHERE o.status = 'cancelled' AND EXISTS (
            SELECT FROM bookings b WHERE b.order_id = o.id AND b.status <> 'cancelled')
        """
    )


async def heal(till: Till) -> None:
    """Whoever comes next takes up what was left, until nothing is to be done."""
    for _ in range(ROUNDS_MAX):
        await till.cashier.beat()
        await resolve(till.shop.stores, till.shop.event_id)
        waiting = await till.value(
            "SELECT count(*) FROM payments p WHERE reseat_order_id IS NOT NULL OR EXISTS"
            " (SELECT FROM refunds r WHERE r.payment_id = p.id AND r.status <> 'done')"
        )
        if not waiting:
            return
    raise AssertionError(f"{waiting} payments wait for ever")


@asynccontextmanager
async def stage(
    settings: Settings, walks: Sequence[Walk]
) -> AsyncIterator[tuple[Till, Callable[[], Awaitable[None]]]]:
    """A new event where each has its order, and a way to cancel it."""
    patient = {"ledger_timeout_ms": 30_000, "command_timeout_ms": 20_000, "resolve_after_ms": 0}
    async with open_till(settings, len(walks), **patient) as till:
        await in_turns(walk.begin(till) for walk in walks)

        async def cancel_event() -> None:
            await events.cancel(till.pool, till.shop.event_id)
            job = canceller(till.shop.stores)
            await job(till.pool, 0, b'{"event_id": %d}' % till.shop.event_id)

        yield till, cancel_event


async def play(settings: Settings, walks: Sequence[Walk], *, exact: bool) -> None:
    """Ways of one length with "event" at the same places, side by side. `exact`: nobody dies."""
    async with stage(settings, walks) as (till, cancel_event):
        seller = await make_user(till.pool, Role.box_office, f"seller-{till.shop.event_id}@example.org")
        desk = BoxOffice(till.shop.stores, seller.id)
        known = await verdicts(till)
        for letters in zip(*(walk.way for walk in walks), strict=True):
            if letters[0] == "event":
                await cancel_event()
            else:
                await in_turns(
                    walk.step(letter, till, desk) for walk, letter in zip(walks, letters, strict=True)
                )
            if exact:  # a late payment takes its seats before anything else happens
                await heal(till)
            await holds_true(till, known)
        if not exact:  # what was cut off after BEGIN: the resolver is faster than the cashier
            await resolve(till.shop.stores, till.shop.event_id)
        await in_turns(walk.come_again(till) for walk in walks if walk.came)
        await heal(till)
        await holds_true(till, known)
        await all_is_settled(till, walks, exact=exact)


async def all_is_settled(till: Till, walks: Sequence[Walk], *, exact: bool) -> None:
    """No payment is forgotten: what came bought its seats or went back, what did not come moved nothing."""
    rows = await till.shop.sql(
        """
        SELECT p.id, p.status, o.status AS standing,
            (SELECT coalesce(sum(c.amount), 0) FROM test_card_refunds c WHERE c.session = p.session) AS back
        FROM payments p JOIN orders o ON o.id = p.order_id
        """
    )
    found = {row["id"]: row for row in rows}
    for walk in walks:
        row = found[walk.payment.id]
        stands = (row["status"], row["standing"])
        told = f"{walk.way}: {stands}"
        if exact:
            assert stands == expected(walk.way), told
        if walk.came:
            assert stands in (("captured", "confirmed"), ("refunded", "cancelled")), told
        else:
            assert row["status"] in ("created", "failed", "expired"), told
        assert row["back"] == (walk.payment.amount if row["status"] == "refunded" else 0), told
        assert "event" not in walk.way or row["standing"] == "cancelled", told
    await till.shop.checkout.close()
    await till.shop.world.age(3_600_000)  # holds of late payments that died are over
    await till.shop.stores.desk.decide(till.shop.event_id, Expire(len(walks)))
    await till.agree()


def together(ways: Iterable[tuple[Way, str]]) -> list[list[tuple[Way, str]]]:
    """Ways and where they die, by length and by where the event is cancelled."""
    groups: dict[Any, list[tuple[Way, str]]] = defaultdict(list)
    for way, dies_at in ways:
        groups[len(way), tuple(letter == "event" for letter in way)].append((way, dies_at))
    return list(groups.values())


def ways_of(letters: Sequence[str], longest: int) -> list[Way]:
    return [way for n in range(1, longest + 1) for way in itertools.product(letters, repeat=n)]


async def pass_by(settings: Settings, ways: Iterable[Way]) -> list[tuple[Way, str]]:
    """Plays ways in which nobody dies; each with each place that it passed."""
    passed: list[tuple[Way, str]] = []
    for group in together((way, "") for way in ways):
        walks = [Walk(way, number, Life()) for number, (way, _) in enumerate(group)]
        await play(settings, walks, exact=True)
        passed += [(walk.way, name) for walk in walks for name in sorted(walk.life.passed)]
    return passed


async def test_every_order_and_a_death_at_every_place_of_each(settings: Settings) -> None:
    passed = await pass_by(settings, ways_of(LETTERS, LONGEST))
    assert {name for _, name in passed} == DEATHS
    some = set(ways_of(LETTERS, LONGEST - 1)) | set(ways_of(FEWER, LONGEST))
    for group in together((way, name) for way, name in passed if way in some):
        walks = [Walk(way, number, Life(dies_at)) for number, (way, dies_at) in enumerate(group)]
        await play(settings, walks, exact=False)
