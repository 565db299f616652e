"""P5, watched at every step: a held seat stays its owner's until the deadline that the owner was told.

It looks at what Redis has after each change, and asks of everything that ended who may have ended it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.simulation.run_context import Run

_State = Callable[[int], list[dict[str, str]]]
# Commands that may end what somebody else has: a person of staff, or Postgres' word.
_OF_STAFF = {"evict"}
_OF_POSTGRES = {"finish", "cancel", "settle", "repair"}


@dataclass(frozen=True)
class Held:
    """A hold, or the hold of an order that is being decided."""

    visitor: str
    deadline: int
    seats: frozenset[str]


@dataclass
class Seen:
    """What Redis had after its last change."""

    epoch: int
    version: int
    holds: dict[str, Held]
    orders: dict[str, tuple[str, Held]]  # order id → (hold id, hold)
    owners: dict[str, str]


class HoldWatch:
    """Of every database that a server's life uses."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._seen: dict[int, Seen] = {}

    def forget(self, db: int) -> None:
        """Redis has lost its state there, and promised nothing about the next."""
        self._seen.pop(db, None)

    def batch(self, state: _State, db: int, commands: list[Any], replies: list[str], now: int) -> None:
        """After a call of the batch script."""
        run = self._run
        for command, reply in zip(commands, replies, strict=False):
            word = reply.split(" ")[0]
            run.operations[command[0]] += 1
            if word in ("DEADLINE", "EPOCH", "RECOVERING", "CLOCK", "DUP", "GONE", "CHANGED"):
                run.rare[f"redis answered {word}"] += 1
            elif word == "FAILED":
                run.broken(f"a rule failed: {command} → {reply}")
        epoch, version, told_now = map(int, replies[-1].split())
        before = self._seen.get(db)
        if before is not None and (before.epoch, before.version) == (epoch, version):
            return
        after = _read(state(db), epoch, version)
        self._seen[db] = after
        if before is not None and before.epoch == epoch:
            self._compare(before, after, commands, max(now, told_now))

    def _compare(self, before: Seen, after: Seen, commands: list[Any], now: int) -> None:
        verbs = {command[0] for command in commands}
        askers = {command[1] for command in commands if command[0] in ("hold", "release", "extend", "begin")}
        ordered = {command[1] for command in commands if command[0] in _OF_POSTGRES}
        for hold_id, hold in before.holds.items():
            kept = after.holds.get(hold_id)
            if kept is not None and kept.deadline < hold.deadline:
                self._run.broken(
                    f"P5: the deadline of hold {hold_id} went back by {hold.deadline - kept.deadline} ms"
                )
            whole = kept is not None and hold.seats <= kept.seats
            if whole or now >= hold.deadline or hold.visitor in askers or verbs & _OF_STAFF:
                continue
            if "repair" in verbs:
                self._run.rare["a repair ended a hold"] += 1
                continue
            self._run.broken(
                f"P5: hold {hold_id} of {hold.visitor} ended {hold.deadline - now} ms early: {commands}"
            )
        for order_id, (_, hold) in before.orders.items():
            lost = [seat for seat in hold.seats if after.owners.get(seat) != f"p|{order_id}"]
            if lost and order_id not in ordered:
                self._run.broken(f"P5: order {order_id} lost {lost} while it was being decided: {commands}")
        self._one_owner(after)

    def _one_owner(self, after: Seen) -> None:
        taken: dict[str, str] = {}
        tokens = [(f"h|{name}", hold) for name, hold in after.holds.items()]
        tokens += [(f"p|{name}", hold) for name, (_, hold) in after.orders.items()]
        for token, hold in tokens:
            for seat in hold.seats:
                if seat in taken:
                    self._run.broken(f"P5: seat {seat} is {taken[seat]}'s and {token}'s")
                taken[seat] = token

    def swap(self, state: _State, db: int, epoch: int, reply: Any, now: int) -> None:
        """After a rebuild's last step: what lived and clashes with nothing in Postgres is kept."""
        if reply == b"STALE":
            self._run.rare["a later rebuild was faster"] += 1
            return
        before, after = self._seen.get(db), _read(state(db), epoch, 0)
        self._seen[db] = after
        if before is None:
            return
        if before.epoch >= epoch:
            self._run.broken(f"a rebuild put epoch {epoch} over {before.epoch}")
        lived = dict(before.holds) | dict(before.orders.values())
        for hold_id, hold in lived.items():
            kept = after.holds.get(hold_id)
            if kept is not None:
                self._run.rare["a hold outlived a rebuild"] += 1
            elif now < hold.deadline and not any(seat in after.owners for seat in hold.seats):
                self._run.broken(f"P5: hold {hold_id} of {hold.visitor} was lost in a rebuild")
            else:
                self._run.rare["a hold ended with a rebuild"] += 1


def _read(state: list[dict[str, str]], epoch: int, version: int) -> Seen:
    holds, orders, owners = state
    return Seen(
        epoch=epoch,
        version=version,
        holds={name: _held(text.split("|")) for name, text in holds.items() if name != "-"},
        orders={
            name: (part[1], _held([part[0], *part[2:4], part[5]]))
            for name, part in ((name, text.split("|")) for name, text in orders.items() if name != "-")
        },
        owners={seat: token for seat, token in owners.items() if seat != "-"},
    )


def _held(part: list[str]) -> Held:
    visitor, deadline, _, seats = part
    return Held(visitor, int(deadline), frozenset(seats.split(",")) if seats else frozenset())
