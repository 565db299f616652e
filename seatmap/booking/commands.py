"""What the batch script understands, and what its words mean.

A command travels as a msgpack array whose first element names its rule. The contract of each is the
header of its Lua file; a unit test holds the two together.
"""

from msgspec import Struct

from seatmap.changes import indexes, mine
from seatmap.errors import Recovering, Refused, SeatmapError, Unavailable
from seatmap.model import Mine, Position


class Hold(Struct, frozen=True, array_like=True, tag="hold"):
    """Add seats to the visitor's hold."""

    visitor: str
    hold_id: str
    seats: tuple[int, ...]


class Release(Struct, frozen=True, array_like=True, tag="release"):
    """Give seats of a hold back; none: all."""

    visitor: str
    hold_id: str
    seats: tuple[int, ...]


class Extend(Struct, frozen=True, array_like=True, tag="extend"):
    """Give a hold more time."""

    visitor: str
    hold_id: str


class Begin(Struct, frozen=True, array_like=True, tag="begin"):
    """Make a hold's seats undecided under an order."""

    visitor: str
    hold_id: str
    order_id: str
    body: str
    seats: tuple[int, ...]


class Finish(Struct, frozen=True, array_like=True, tag="finish"):
    """Carry out a verdict: confirmed, claimed, refused, aborted or cancelled."""

    order_id: str
    verdict: str


class Cancel(Struct, frozen=True, array_like=True, tag="cancel"):
    """Free the seats of an order that Postgres has cancelled."""

    order_id: str
    visitor: str
    seats: tuple[int, ...]


class Expire(Struct, frozen=True, array_like=True, tag="expire"):
    """End holds whose time is over."""

    limit: int


class ReadMine(Struct, frozen=True, array_like=True, tag="mine"):
    """What is this visitor's."""

    visitor: str


class Repair(Struct, frozen=True, array_like=True, tag="repair"):
    """Correct a seat by compare-and-set."""

    seat: int
    owner_seen: str
    status_seen: int
    status: int
    order_id: str
    visitor: str = ""


class Settle(Struct, frozen=True, array_like=True, tag="settle"):
    """End an order's claim: confirmed or freed, or moved or returned."""

    order_id: str
    visitor: str
    seats: tuple[int, ...]
    verdict: str


class Take(Struct, frozen=True, array_like=True, tag="take"):
    """Claim free seats for an order that is about to be moved to them."""

    order_id: str
    visitor: str
    seats: tuple[int, ...]


class Status(Struct, frozen=True, array_like=True, tag="status"):
    """What Postgres says of the event: its state, plan version, seats per visitor and sale window in ms.

    `accessible` seats are held back until `accessible_until`, in ms.
    """

    status_version: int
    status: str
    paused: int
    plan_version: int
    limit: int
    from_: int
    until: int
    accessible_until: int
    accessible: tuple[int, ...]


class Block(Struct, frozen=True, array_like=True, tag="block"):
    """Take seats off sale that nobody has, or put them back."""

    back: int
    seats: tuple[int, ...]


class Evict(Struct, frozen=True, array_like=True, tag="evict"):
    """End the hold that has a seat."""

    seat: int


class Prolong(Struct, frozen=True, array_like=True, tag="prolong"):
    """Give holds more time, in ms. `holds` are ids, by comma."""

    ms: int
    holds: str


class Sustain(Struct, frozen=True, array_like=True, tag="sustain"):
    """Give what a visitor is paying for its one extension, because Postgres is away."""

    visitor: str


Command = (
    Hold
    | Release
    | Extend
    | Begin
    | Finish
    | Cancel
    | Expire
    | ReadMine
    | Repair
    | Settle
    | Take
    | Status
    | Block
    | Evict
    | Prolong
    | Sustain
)


class Answer(Struct, frozen=True):
    """A rule's word and its fields, with the position after its batch. It never moves a screen's position."""

    word: str
    fields: tuple[str, ...]
    position: Position

    @property
    def mine(self) -> Mine:
        """Of an `OK mine` answer."""
        return mine(self.fields)


LATE = "The command came too late to be carried out. Nothing was done; try again."

# Words that are no refusal: the caller asked for one of them.
GOOD = frozenset({"OK", "BEGUN", "DUP", "GONE", "CHANGED"})


def refusal(answer: Answer) -> SeatmapError | None:
    """The error that an answer means, or None."""
    word = answer.word
    if word in GOOD:
        return None
    if word in ("RECOVERING", "CLOCK"):
        return Recovering("The seats of this event are being restored. Try again in a moment.")
    if word == "DEADLINE":
        return Unavailable(LATE)
    if word == "EPOCH":
        return Refused("wrong_epoch", epoch=answer.position.epoch)
    if word == "FAILED":
        return Unavailable("Something went wrong and nothing was done. Try again.")
    code = word.lower()
    if word == "TOO_MANY_SEATS":
        limit = int(answer.fields[0])
        return Refused(code, f"One visitor may have {limit} seats here.", limit=limit)
    if answer.fields:
        return Refused(code, seats=list(indexes(answer.fields[0])))
    return Refused(code)
