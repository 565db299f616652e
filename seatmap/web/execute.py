"""What each command does, whichever way it came: websocket or HTTP."""

from collections import defaultdict
from datetime import UTC, datetime
from time import perf_counter

from seatmap import protocol
from seatmap.booking import commands
from seatmap.checkout.book import Checkout
from seatmap.checkout.payment import Cashier
from seatmap.checkout.stores import Stores
from seatmap.errors import Recovering, Refused, SeatmapError
from seatmap.ledger import orders
from seatmap.model import SEATS_PER_COMMAND_MAX, BookedSeat, Order
from seatmap.protocol import MineState
from seatmap.tally import Histogram
from seatmap.web.room import Room
from seatmap.web.session import mine_state

TOTAL_MAX = (1 << 53) - 1  # what every part, the browser's too, still counts exactly


class Counter:
    """Carries out the commands of visitors."""

    def __init__(self, stores: Stores, checkout: Checkout, cashier: Cashier) -> None:
        self._stores = stores
        self._checkout = checkout
        self._cashier = cashier
        self.counts: dict[tuple[type[protocol.Command], str], int] = defaultdict(
            int
        )  # (command, refusal or "") → how many
        self.latency = Histogram()

    async def execute(self, room: Room, visitor: str, command: protocol.Command) -> MineState | Order:
        """The command's result. Raises Refused or Unavailable, in words for the visitor."""
        began, code = perf_counter(), ""
        try:
            with room.pulse.timing():
                return await self._execute(room, visitor, command)
        except SeatmapError as error:
            code = error.code
            raise
        except Exception:
            code = "error"
            raise
        finally:
            self.latency.observe(perf_counter() - began)
            self.counts[type(command), code] += 1

    async def _execute(self, room: Room, visitor: str, command: protocol.Command) -> MineState | Order:
        try:
            _check_seats(room, command)
            _check_order(command)
            await self._checkout.settled(visitor)
            match command:
                case protocol.Book():
                    return await self._book(room, visitor, command)
                case protocol.Cancel():
                    await self._checkout.cancel(visitor, command)
                    return await self.order(visitor, command)
                case _:
                    return await self._decide(room, visitor, command)
        except SeatmapError as error:
            if isinstance(error, Recovering):
                room.recovering()  # the head check would find it too, but later
            raise room.labelled(error) from error

    async def _decide(self, room: Room, visitor: str, command: protocol.Command) -> MineState:
        decision: commands.Command
        match command:
            case protocol.Hold(hold_id=hold_id, seats=seats):
                decision = commands.Hold(visitor, hold_id, seats)
            case protocol.Release(hold_id=hold_id, seats=seats):
                decision = commands.Release(visitor, hold_id, seats)
            case protocol.Extend(hold_id=hold_id):
                decision = commands.Extend(visitor, hold_id)
            case _:
                decision = commands.ReadMine(visitor)
        answer = await self._stores.desk.decide(room.event.id, decision, epoch=command.epoch)
        return mine_state(answer.mine, answer.position)

    async def _book(self, room: Room, visitor: str, order: protocol.Book) -> Order:
        booked_now = await self._checkout.book(room.event.id, visitor, order)
        if not booked_now:
            return await self.order(visitor, order)  # it may have been cancelled since
        event, table = room.event, room.facts.table
        return Order(
            id=order.order_id,
            event_id=event.id,
            event_name=event.name,
            status="confirmed",
            total=order.total,
            currency=event.currency,
            payment_status="none",
            payment_method="free",
            name=order.name,
            email=order.email,
            created_at=datetime.now(UTC),
            seats=tuple(
                BookedSeat(
                    seat=seat,
                    label=table.labels[seat],
                    category=table.categories[seat],
                    price=table.prices[seat] + event.fee_per_seat,
                    status="confirmed",
                )
                for seat in sorted(order.seats)
            ),
        )

    async def order(self, visitor: str, command: protocol.Book | protocol.Cancel) -> Order:
        """An order as it stands."""
        order = await orders.get(self._stores.pool, command.order_id, visitor)
        if order is None:
            raise Refused("order_not_found")
        return await self._cashier.with_page(order)


def _check_seats(room: Room, command: protocol.Command) -> None:
    """What no store needs to be asked for."""
    seats: tuple[int, ...] = getattr(command, "seats", ())
    if len(seats) > SEATS_PER_COMMAND_MAX:
        raise Refused("too_many_seats", f"One command may name {SEATS_PER_COMMAND_MAX} seats.")
    last = room.event.seat_count - 1
    bad = [seat for seat in seats if not 0 <= seat <= last]
    if bad:
        raise Refused("seat_out_of_range", f"The seats of this event are 0 to {last}.", seats=bad)


def _check_order(command: protocol.Command) -> None:
    """What Postgres could not keep, which would only show when the seats are already being booked."""
    if not isinstance(command, protocol.Book):
        return
    if command.total > TOTAL_MAX:
        raise Refused("invalid", f"The total may be {TOTAL_MAX} at most.")
    for field in ("name", "email"):
        if "\0" in getattr(command, field):
            raise Refused("invalid", f"The {field} has a character that cannot be kept.")
