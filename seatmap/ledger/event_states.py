"""The states of an event, and what may be done in each: a table, and nothing else.

    draft ──publish──▶ published ◀──pause/resume──▶ paused
                           └────────cancel───────────┴──▶ cancelled

Any of them can be deleted while it has no active booking, and restored to what it was. The on-sale window is a
condition on taking seats, not a state.
"""

from enum import StrEnum

from seatmap.errors import Refused
from seatmap.model import Event


class State(StrEnum):
    """What an event is, in one word."""

    draft = "draft"
    published = "published"
    paused = "paused"
    cancelled = "cancelled"
    deleted = "deleted"


_OPEN = frozenset({State.published, State.paused})
_EDITABLE = _OPEN | {State.draft}
_ANY = frozenset(State) - {State.deleted}

# verb: the states in which it is possible, and what it leads to where it changes the state
DRAWN: dict[str, tuple[frozenset[State], State | None]] = {
    "publish": (frozenset({State.draft}), State.published),
    "pause": (frozenset({State.published}), State.paused),
    "resume": (frozenset({State.paused}), State.published),
    "cancel": (_OPEN, State.cancelled),
    "delete": (_ANY, State.deleted),
    "restore": (frozenset({State.deleted}), None),
    "duplicate": (_ANY, None),
    "edit": (_EDITABLE, None),
    "edit_seats": (_EDITABLE, None),
    "change_plan": (_EDITABLE, None),
    "message": (_OPEN, None),
    "extend_holds": (_OPEN, None),
    "release_hold": (_OPEN, None),
}


def state_of(event: Event, *, deleted: bool) -> State:
    """An event's state."""
    if deleted:
        return State.deleted
    return State.paused if event.status == "published" and event.paused else State(event.status)


def check(verb: str, state: State) -> None:
    """Refuses with wrong_state where `verb` is not drawn from `state`."""
    possible, _ = DRAWN[verb]
    if state not in possible:
        names = ", ".join(sorted(possible))
        what = verb.replace("_", " ")
        raise Refused(
            "wrong_state", f"The event is {state}; {what} is possible when it is {names}.", state=state
        )
