"""What docs/rules.md says of seats, in plain Python: no overlays, journals, keys or versions."""

from collections.abc import Callable
from dataclasses import dataclass, field

from booking_world import LIMITS

from seatmap.booking.commands import (
    Begin,
    Cancel,
    Command,
    Expire,
    Extend,
    Finish,
    Hold,
    Release,
    Settle,
    Take,
)

SEATS, LIMIT = 8, 3
BLOCKED = 7


@dataclass
class HoldRecord:
    visitor: str
    age: int  # ms since its first seat
    lasts: int
    extended: bool
    seats: list[int]


@dataclass
class OrderRecord:
    hold_id: str
    hold: HoldRecord
    body: str


@dataclass
class Model:
    """What docs/rules.md says, one command at a time."""

    owner: dict[int, str] = field(default_factory=dict)  # h|…, p|…, c|…, b|…
    claimants: dict[str, str] = field(default_factory=dict)  # of an order whose seats are claimed
    holds: dict[str, HoldRecord] = field(default_factory=dict)
    orders: dict[str, OrderRecord] = field(default_factory=dict)
    made: Callable[[str], str] = lambda visitor: ""  # how Redis called the hold that it has just made

    def pass_time(self, by_ms: int) -> None:
        for hold in [*self.holds.values(), *(order.hold for order in self.orders.values())]:
            hold.age += by_ms

    def map(self) -> bytes:
        shown = {"h": 1, "p": 1, "c": 1, "b": 2}
        return bytes(
            3 if seat == BLOCKED else shown[self.owner[seat][0]] if seat in self.owner else 0
            for seat in range(SEATS)
        )

    def hold_of(self, visitor: str) -> str:
        return next((name for name, hold in self.holds.items() if hold.visitor == visitor), "")

    def order_of(self, visitor: str) -> str:
        return next((name for name, order in self.orders.items() if order.hold.visitor == visitor), "")

    def has(self, visitor: str) -> object:
        """All that is the visitor's, to compare."""
        hold, order_id = self.holds.get(self.hold_of(visitor)), self.order_of(visitor)
        return hold and (tuple(hold.seats), hold.extended), order_id

    def claimed(self, visitor: str) -> int:
        """How many claimed seats are on the visitor's count."""
        return sum(token[0] == "c" and self.claimants[token[2:]] == visitor for token in self.owner.values())

    def lives(self, hold: HoldRecord) -> bool:
        return hold.age < hold.lasts + LIMITS.grace_ms

    def end(self, hold_id: str) -> None:
        self.free(self.holds.pop(hold_id).seats, f"h|{hold_id}")

    def free(self, seats: list[int], token: str) -> int:
        freed = [seat for seat in seats if self.owner.get(seat) == token]
        for seat in freed:
            del self.owner[seat]
        return len(freed)

    def own(self, visitor: str, hold_id: str) -> str:
        """Empty, or why the hold is not one that the visitor can use."""
        hold = self.holds.get(hold_id)
        if hold is None:
            return "HOLD_EXPIRED"
        if hold.visitor != visitor:
            return "NOT_YOUR_HOLD"
        if not self.lives(hold):
            self.end(hold_id)
            return "HOLD_EXPIRED"
        return ""

    def decide(self, command: Command) -> str:
        match command:
            case Hold():
                return self.do_hold(command)
            case Release():
                return self.do_release(command)
            case Extend():
                return self.do_extend(command)
            case Begin():
                return self.do_begin(command)
            case Finish():
                return self.do_finish(command)
            case Cancel():
                return self.do_cancel(command)
            case Settle():
                return self.do_settle(command)
            case Take():
                return self.do_take(command)
            case Expire():
                dead = [name for name, hold in self.holds.items() if not self.lives(hold)]
                for name in dead:
                    self.end(name)
                return f"OK {len(dead)}"
            case _:
                return "OK"

    def do_hold(self, command: Hold) -> str:
        visitor, hold_id = command.visitor, command.hold_id
        if self.order_of(visitor):
            return "IN_CHECKOUT"
        if hold_id and (why := self.own(visitor, hold_id)):
            return why
        hold_id = hold_id or self.hold_of(visitor)
        if hold_id and not command.hold_id and self.own(visitor, hold_id):
            hold_id = ""
        if hold_id and self.holds[hold_id].age >= self.holds[hold_id].lasts:
            if command.hold_id:
                return "HOLD_EXPIRED"
            self.end(hold_id)
            hold_id = ""
        for seat in command.seats:
            other = self.owner.get(seat, "")[2:]
            if other in self.holds and other != hold_id and not self.lives(self.holds[other]):
                self.end(other)
        mine = f"h|{hold_id}"
        if BLOCKED in command.seats:
            return f"SEAT_BLOCKED {BLOCKED}"
        taken = [seat for seat in command.seats if self.owner.get(seat, mine) != mine]
        if taken:
            return f"SEAT_TAKEN {','.join(map(str, taken))}"
        new = [seat for seat in command.seats if seat not in self.owner]
        hold = self.holds.get(hold_id) or HoldRecord(visitor, 0, LIMITS.hold_ms, False, [])
        if len(hold.seats) + len(new) + self.claimed(visitor) > LIMIT:
            return f"TOO_MANY_SEATS {LIMIT}"
        if new:
            hold_id = hold_id or self.made(visitor)
            self.holds[hold_id] = hold
            hold.seats += new
            self.owner |= dict.fromkeys(new, f"h|{hold_id}")
        return "OK"

    def do_release(self, command: Release) -> str:
        if self.order_of(command.visitor):
            return "IN_CHECKOUT"
        why = self.own(command.visitor, command.hold_id)
        if why:
            return "OK" if why == "HOLD_EXPIRED" else why
        hold = self.holds[command.hold_id]
        going = [seat for seat in hold.seats if seat in command.seats or not command.seats]
        self.free(going, f"h|{command.hold_id}")
        hold.seats = [seat for seat in hold.seats if seat not in going]
        if not hold.seats:
            del self.holds[command.hold_id]
        return "OK"

    def do_extend(self, command: Extend) -> str:
        if self.order_of(command.visitor):
            return "IN_CHECKOUT"
        why = self.own(command.visitor, command.hold_id)
        if why:
            return why
        hold = self.holds[command.hold_id]
        if not hold.extended:
            hold.extended = True
            hold.lasts += LIMITS.extension_ms
        return "OK"

    def do_begin(self, command: Begin) -> str:
        order = self.orders.get(command.order_id)
        if order is not None:
            same = (order.hold.visitor, order.body) == (command.visitor, command.body)
            return "DUP" if same else "ORDER_REUSED"
        if self.order_of(command.visitor):
            return "IN_CHECKOUT"
        why = self.own(command.visitor, command.hold_id)
        if why:
            return why
        hold = self.holds[command.hold_id]
        if sorted(hold.seats) != sorted(command.seats):
            return "HOLD_CHANGED"
        self.orders[command.order_id] = OrderRecord(command.hold_id, hold, command.body)
        del self.holds[command.hold_id]
        self.owner |= dict.fromkeys(hold.seats, f"p|{command.order_id}")
        return "BEGUN"

    def do_finish(self, command: Finish) -> str:
        order = self.orders.pop(command.order_id, None)
        if order is None:
            return "GONE"
        seats = order.hold.seats
        self.free(seats, f"p|{command.order_id}")
        if command.verdict == "confirmed":
            self.owner |= dict.fromkeys(seats, f"b|{command.order_id}")
        elif command.verdict == "claimed":
            self.owner |= dict.fromkeys(seats, f"c|{command.order_id}")
            self.claimants[command.order_id] = order.hold.visitor
        elif command.verdict != "cancelled" and self.lives(order.hold):
            self.holds[order.hold_id] = order.hold
            self.owner |= dict.fromkeys(seats, f"h|{order.hold_id}")
        return "OK"

    def do_cancel(self, command: Cancel) -> str:
        freed = self.free(list(command.seats), f"c|{command.order_id}")
        freed += self.free(list(command.seats), f"b|{command.order_id}")
        order = self.orders.pop(command.order_id, None)
        if order is not None:
            freed += self.free(order.hold.seats, f"p|{command.order_id}")
        return f"OK {freed}"

    def do_settle(self, command: Settle) -> str:
        order = self.orders.pop(command.order_id, None)
        seats = order.hold.seats if order else command.seats
        tokens = {f"c|{command.order_id}", *([f"p|{command.order_id}"] if order else [])}
        changed = [seat for seat in seats if self.owner.get(seat) in tokens]
        for seat in changed:
            if command.verdict in ("confirmed", "moved"):
                self.owner[seat] = f"b|{command.order_id}"
            else:
                del self.owner[seat]
        return f"OK {len(changed)}"

    def do_take(self, command: Take) -> str:
        for seat in command.seats:
            other = self.owner.get(seat, "")[2:]
            if other in self.holds and not self.lives(self.holds[other]):
                self.end(other)
        if BLOCKED in command.seats:
            return f"SEAT_BLOCKED {BLOCKED}"
        token = f"c|{command.order_id}"
        taken = [seat for seat in command.seats if self.owner.get(seat, token) != token]
        if taken:
            return f"SEAT_TAKEN {','.join(map(str, taken))}"
        self.owner |= dict.fromkeys(command.seats, token)
        self.claimants[command.order_id] = command.visitor
        return "OK"
