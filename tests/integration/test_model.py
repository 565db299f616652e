"""Random batches against a small model of the rules in plain Python.

The model knows seats, holds, visitors and orders, and nothing of overlays, journals, keys or versions.
After every batch: the same words, the same map, the same owners, the same `mine` of everybody, the same
records in Redis; in the end the log, replayed from every position, gives the map of the snapshot.

Time: real clocks would make a failure impossible to repeat, and the floor of the clock may run only 5 s
ahead. So a step of time makes everything that is recorded older (`World.age`) by minutes, while a whole
run takes seconds: no deadline is ever near. A second copy of the clock rule in the model is thus exact.
"""

import asyncio

import pytest
from booking_world import World, replayed
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from seat_model import BLOCKED, LIMIT, SEATS, Model

from seatmap.booking.commands import (
    Begin,
    Cancel,
    Command,
    Expire,
    Extend,
    Finish,
    Hold,
    ReadMine,
    Release,
    Settle,
    Take,
)
from seatmap.changes import mine
from seatmap.connections import Redis
from seatmap.embedded import Embedded
from seatmap.model import Change, Mine, Position

VISITORS = ("ann", "bob", "eve")
ORDERS = ("A", "B", "C")
MINUTE = 60_000
KINDS = (
    "hold",
    "hold",
    "hold",
    "release",
    "extend",
    "begin",
    "begin",
    "finish",
    "cancel",
    "settle",
    "take",
    "expire",
    "mine",
)


seat_lists = st.lists(st.integers(0, SEATS - 1), min_size=1, max_size=4, unique=True).map(tuple)
one_or_two = st.lists(st.integers(0, SEATS - 1), min_size=1, max_size=2, unique=True).map(tuple)
visitors, orders = st.sampled_from(VISITORS), st.sampled_from(ORDERS)


class Machine(RuleBasedStateMachine):
    """Both, side by side. `servers` is set by the test."""

    servers: Embedded

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.redis = Redis(self.servers.redis_url, timeout_s=5.0)
        self.world = World(self.redis)
        self.model = Model()
        self.seen: dict[int, bytes] = {}  # the map after each batch, by version
        self.version = 0  # after the last batch
        self.ids = [""]  # every hold id ever made, the newest last
        self.runner.run(self.start())

    async def start(self) -> None:
        await self.redis.command("FLUSHALL")
        await self.world.open(seat_count=SEATS, seats_per_visitor=LIMIT, blocked=(BLOCKED,))

    def teardown(self) -> None:
        try:
            self.runner.run(self.replay_from_everywhere())
        finally:
            self.runner.run(self.redis.close())
            self.runner.close()

    def hold_id(self, pick: int, visitor: str) -> str:
        """Mostly the visitor's own, sometimes none, dead or another's."""
        mine_now = self.model.hold_of(visitor)
        return mine_now if pick < 6 else self.ids[pick % len(self.ids)]

    def whose(self, order_id: str, otherwise: str) -> str:
        """The visitor of an order: Postgres says it, so it is always the same."""
        begun = self.model.orders.get(order_id)
        claimed = f"c|{order_id}" in self.model.owner.values()
        return self.model.claimants[order_id] if claimed else begun.hold.visitor if begun else otherwise

    def command(self, data: st.DataObject) -> Command:
        visitor, pick = data.draw(visitors), data.draw(st.integers(0, 9))
        hold_id = self.hold_id(pick, visitor)
        kind = data.draw(st.sampled_from(KINDS))
        match kind:
            case "hold":
                return Hold(visitor, hold_id if pick % 2 else "", data.draw(seat_lists))
            case "release":
                return Release(visitor, hold_id, data.draw(st.just(()) | one_or_two | seat_lists))
            case "extend":
                return Extend(visitor, hold_id)
            case "begin":
                hold = self.model.holds.get(hold_id)
                seats = tuple(hold.seats) if hold and pick < 8 else data.draw(seat_lists)
                return Begin(visitor, hold_id, data.draw(orders), data.draw(st.sampled_from("xxy")), seats)
            case "finish":
                verdict = data.draw(
                    st.sampled_from(("confirmed", "claimed", "claimed", "refused", "aborted", "cancelled"))
                )
                order_id = data.draw(orders)
                if verdict == "claimed" and f"c|{order_id}" in self.model.owner.values():
                    verdict = "refused"  # Postgres commits an id once: whoever else began it is refused
                return Finish(order_id, verdict)
            case "cancel":
                order_id = data.draw(orders)
                return Cancel(order_id, self.whose(order_id, visitor), data.draw(seat_lists))
            case "settle":
                order_id = data.draw(orders)
                verdict = data.draw(st.sampled_from(("confirmed", "freed", "moved", "returned")))
                return Settle(order_id, self.whose(order_id, visitor), data.draw(seat_lists), verdict)
            case "take":
                order_id = data.draw(orders)
                return Take(order_id, self.whose(order_id, visitor), data.draw(one_or_two))
            case "expire":
                return Expire(100)
            case _:
                return ReadMine(visitor)

    @rule(data=st.data(), size=st.integers(1, 5))
    def batch(self, data: st.DataObject, size: int) -> None:
        commands: list[Command] = []
        claimed: set[str] = set()
        for _ in range(size):
            command = self.command(data)
            # Whose a claim is, Postgres says, which knows; it is drawn from what the model knew before the batch.
            named = {getattr(earlier, "order_id", None) for earlier in commands}
            if isinstance(command, Cancel | Settle | Take) and command.order_id in named:
                command = ReadMine(command.visitor)
            if isinstance(command, Finish) and command.verdict == "claimed" and command.order_id in claimed:
                command = Finish(command.order_id, "refused")  # as above, within a batch
            if isinstance(command, Take) or (isinstance(command, Finish) and command.verdict == "claimed"):
                claimed.add(command.order_id)
            commands.append(command)
        before = {visitor: self.model.has(visitor) for visitor in VISITORS}
        replies = self.runner.run(self.world.call(*commands))
        for command, reply in zip(commands, replies, strict=False):
            said = mine(reply.split(" ")[1:]) if reply.count(" ") == 6 else None
            self.model.made = lambda visitor, said=said: said.hold_id if said else "?"
            word = self.model.decide(command)
            assert word == ("OK" if said else reply), command
            if said and not isinstance(command, Cancel | Expire | Settle):
                self.same_mine(command.visitor, said)  # type: ignore[union-attr]
                if said.hold_id and said.hold_id not in self.ids:
                    self.ids.append(said.hold_id)
        self.runner.run(self.everybody_was_told(before, int(replies[-1].split()[1])))

    async def everybody_was_told(self, before: dict[str, object], version: int) -> None:
        """Whoever has now something else than before this batch, and only what they have now."""
        _, changes = await self.world.state.replay(1, Position(1, self.version))
        self.version = version
        told = {visitor: has for change in changes or () for visitor, _, has in change.touched}
        assert {visitor for visitor in VISITORS if self.model.has(visitor) != before[visitor]} <= told.keys()
        for visitor, has in told.items():
            self.same_mine(visitor, has)

    @rule(minutes=st.sampled_from((0, 0, 0, 2, 5, 5, 14)))
    def time_passes(self, minutes: int) -> None:
        """Holds last 10 minutes and 1 of grace, extended 15: no sum of these steps ends shortly before one."""
        if not minutes:
            return  # most holds should live for a while
        by_ms = minutes * MINUTE + 10_000
        self.model.pass_time(by_ms)
        self.runner.run(self.world.age(by_ms))

    def same_mine(self, visitor: str, said: Mine) -> None:
        hold_id, order_id = self.model.hold_of(visitor), self.model.order_of(visitor)
        hold = self.model.holds.get(hold_id)
        assert (said.hold_id, said.order_id) == (hold_id, order_id)
        assert said.seats == (tuple(hold.seats) if hold else ())
        if hold:
            assert said.extendable is not hold.extended
            assert abs(said.expires_in_ms - max(hold.lasts - hold.age, 0)) < 9_000
        if order_id:
            assert said.order_seats == tuple(self.model.orders[order_id].hold.seats)

    @invariant()
    def both_say_the_same(self) -> None:
        self.runner.run(self.compare())

    async def compare(self) -> None:
        snapshot = await self.world.state.snapshot(1)
        assert snapshot.statuses == self.model.map()
        assert await self.world.owners() == self.model.owner
        for visitor in VISITORS:
            self.same_mine(visitor, await self.world.mine(visitor))
        self.world.claimants = self.model.claimants
        await self.world.check()
        assert self.seen.setdefault(snapshot.position.version, snapshot.statuses) == snapshot.statuses

    async def replay_from_everywhere(self) -> None:
        if not self.seen:
            return
        last = max(self.seen)
        for version, map_then in self.seen.items():
            _, changes = await self.world.state.replay(1, Position(1, version))
            assert changes is not None
            self.told_in_order(version, last, changes)
            assert replayed(map_then, changes) == self.seen[last]

    def told_in_order(self, version: int, last: int, changes: list[Change]) -> None:
        ends = [change.to for change in changes]
        assert ends == sorted(set(ends))
        assert ([version, *ends])[:-1] == [change.since for change in changes]
        assert ([version, *ends])[-1] == last


@pytest.fixture
def alive(servers: Embedded) -> Embedded:
    servers.revive()  # a test before may have killed them
    return servers


def test_the_script_does_what_the_model_says(alive: Embedded) -> None:
    """Rules 1, 2, 4 to 8: random batches of three visitors, three orders and eight seats."""
    machine = type("Machine", (Machine,), {"servers": alive})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
