"""A small honest run of a few visitors, for the tests of the checker to spoil."""

from uuid import UUID

from seatmap.ledger.audit import Claim
from tests.chaos.checker import check
from tests.chaos.final import Final, Payment, Verdict
from tests.chaos.history import Answer, Call, Frame, LastMap, Line, Phase, Run, gather

ANN, BOB, PAID = (str(UUID(int=n)) for n in (1, 2, 3))
EVENT, PAID_EVENT = 7, 8
MS = 1_000_000
HOLD_MS = 6000


class Story:
    """An honest run of two visitors, to be spoilt. Times are ms; positions come with each answer."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.final = Final()
        self._n = 0

    def add(self, line: Line) -> None:
        self.lines.append(line)

    def ask(
        self, at: int, op: str, visitor: str = "ann", *, took: int = 5, event: int = EVENT, **fields: object
    ) -> int:
        """A call, and its answer from `result`, `code`, `version`, … after `took` ms; the number of the call."""
        self._n += 1
        told = {name: value for name, value in fields.items() if name in Answer.__struct_fields__}
        asked = {name: value for name, value in fields.items() if name in Call.__struct_fields__}
        self.add(Call(self._n, at * MS, op, visitor, event, 0, "ws", **asked))  # type: ignore[arg-type]
        if told.get("result") != "none":
            self.add(Answer(self._n, (at + took) * MS, **{"result": "ok", **told}))  # type: ignore[arg-type]
        return self._n

    def hold(self, at: int, visitor: str, version: int, *seats: int, epoch: int = 1) -> None:
        self.ask(
            at,
            "hold",
            visitor,
            epoch=epoch,
            version=version,
            hold_id=f"{epoch}-{version}",
            seats=seats,
            expires_ms=HOLD_MS,
        )

    def book(self, at: int, visitor: str, order_id: str, *seats: int, **fields: object) -> None:
        told = {"status": "confirmed", **fields}
        self.ask(at, "book", visitor, order_id=order_id, seats=seats, **told)

    def run(self) -> Run:
        return gather(self.lines)

    def broken(self) -> set[str]:
        """The invariants that do not hold."""
        return {name.split()[0] for name, found in check(self.run(), self.final).items() if found}


def a_payment(**changes: object) -> Payment:
    fields: dict[str, object] = {
        "id": 1,
        "order_id": PAID,
        "status": "captured",
        "amount": 1500,
        "card_paid": True,
        "owned": 1500,
        "refunds": 0,
        "refunds_done": 0,
        "card_refunds": 0,
    }
    return Payment(**fields | changes)  # type: ignore[arg-type]


def honest() -> Story:
    """Ann books 1 and 2 and cancels them; Bob then books 2; somebody pays for a seat of another event."""
    told = Story()
    told.add(Phase(0, "prologue"))
    told.hold(100, "ann", 1, 1, 2)
    told.book(200, "ann", ANN, 1, 2)
    told.ask(300, "cancel", order_id=ANN, status="cancelled")
    told.hold(400, "bob", 6, 2)
    told.book(500, "bob", BOB, 2)
    told.ask(550, "book", "cyd", event=PAID_EVENT, order_id=PAID, seats=(4,), status="pending")
    told.ask(560, "pay", "cyd", event=PAID_EVENT, order_id=PAID)
    told.add(Frame(600 * MS, "v0", 1, EVENT, 1, 1, 3, 77))
    told.add(Frame(650 * MS, "v0", 1, EVENT, 2, 1, 9, 78))
    told.add(LastMap("v0", EVENT, 1, 9, "0020"))
    told.add(Phase(20_000 * MS, "rest"))
    told.final = Final(
        verdicts={
            ANN: Verdict(EVENT, "ann", "committed", "", "cancelled", "buyer"),
            BOB: Verdict(EVENT, "bob", "committed", "", "confirmed"),
            PAID: Verdict(PAID_EVENT, "cyd", "committed", "", "confirmed"),
        },
        claims={
            EVENT: [
                Claim(UUID(ANN), 1, "cancelled", 1, 2),
                Claim(UUID(ANN), 2, "cancelled", 1, 2),
                Claim(UUID(BOB), 2, "confirmed", 3, None),
            ],
            PAID_EVENT: [Claim(UUID(PAID), 4, "confirmed", 1, None)],
        },
        payments=[a_payment()],
        maps={EVENT: "0020"},
        positions={EVENT: (1, 9)},
    )
    return told
