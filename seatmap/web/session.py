"""One page's conversation, without I/O: messages in, commands out; answers in, messages out.

It knows its visitor and what that visitor was last told to have. ASGI is one shell for it (`socket.py`).
"""

from contextlib import suppress

from seatmap.errors import Refused, SeatmapError
from seatmap.model import NOWHERE, Mine, Order, Position
from seatmap.protocol import Command, MineState, Reply, command_id, decode_command, encode

# Why what is mine changed, where the page has to explain it; anything else it asked for itself.
EXPLAINED = frozenset({"expired", "lost", "released", "paid", "payment_failed"})


class Session:
    """The conversation with one page of `visitor`. One command at a time is under way."""

    __slots__ = ("_asked", "_kept", "_told", "hold_id", "visitor")

    def __init__(self, visitor: str) -> None:
        self.visitor = visitor
        self.hold_id = ""  # as last told
        self._told: Position = NOWHERE
        self._kept: tuple[Position, Mine] | None = None  # news that came while a command was under way
        self._asked = ""  # id of the command under way

    def receive(self, message: bytes | str) -> Command:
        """The command in a message. Raises Refused, to be answered with `refuse`."""
        self._asked = ""
        try:
            command = decode_command(message)
        except Refused as refusal:
            if refusal.code != "too_large":
                with suppress(RecursionError):
                    self._asked = command_id(message)
            raise
        self._asked = command.id
        return command

    def refuse(self, error: SeatmapError) -> bytes:
        """The reply to the command under way: an error."""
        return self._reply(Reply(id=self._asked, error=error.problem()))

    def answer(self, result: MineState | Order | None) -> bytes:
        """The reply to the command under way: what is mine, an order, or nothing more to say."""
        if isinstance(result, MineState):
            self._remember(Position(result.epoch, result.version), result.hold_id)
            return self._reply(Reply(id=self._asked, mine=result))
        if result is not None and self._kept and self._kept[1].order_id == result.id.hex:
            self._kept = None  # it says that the order is being decided, and by now it is
        return self._reply(Reply(id=self._asked, order=result))

    def late_news(self) -> bytes | None:
        """What changed while a command was under way and its answer did not say."""
        kept, self._kept = self._kept, None
        return None if kept is None else self.news(*kept)

    def _reply(self, reply: Reply) -> bytes:
        self._asked = ""
        return encode(reply)

    def news(self, position: Position, mine: Mine, reason: str = "") -> bytes | None:
        """What to tell the page when something of its visitor's changed; None where it knows or will know."""
        explained = reason if reason in EXPLAINED else ""
        if position <= self._told:
            return None
        if self._asked and not explained:
            if self._kept is None or position > self._kept[0]:
                self._kept = (position, mine)
            return None
        if not explained and self.hold_id and not mine.hold_id and position.epoch > self._told.epoch > 0:
            explained = "lost"  # a rebuild could not keep it
        self._remember(position, mine.hold_id)
        return encode(mine_state(mine, position, explained))

    def _remember(self, position: Position, hold_id: str) -> None:
        if position >= self._told:  # an answer may be older than news told meanwhile
            self._told = position
            self.hold_id = hold_id


def mine_state(mine: Mine, position: Position, reason: str = "") -> MineState:
    """What is a visitor's, as a page is told it."""
    return MineState(
        epoch=position.epoch,
        version=position.version,
        hold_id=mine.hold_id,
        seats=mine.seats,
        expires_in_ms=mine.expires_in_ms,
        extendable=mine.extendable,
        checkout=mine.order_id,
        checkout_seats=mine.order_seats,
        reason=reason,
    )
