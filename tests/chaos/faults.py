"""What the nemesis can do to processes and to the ways between them. A fault returns when it is mended.

Each is an async function of `Hands` that answers what it was done to; the lists are `PROCESS_KINDS`,
`FAILPOINT_KINDS` and `LINK_KINDS`.
"""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable

from msgspec import Struct

from seatmap.checkout.rebuild import rebuild
from seatmap.checkout.stores import open_stores
from seatmap.errors import SeatmapError
from seatmap.failpoints import POINTS
from seatmap.failpoints import SETTING as FAILPOINTS
from tests.chaos.proxy import HELD, MODES
from tests.chaos.stage import STORES, WEBS, WORKERS, Stage


class Hands(Struct):
    """What a fault is done with. `shows` are the events on sale; `reconnect` cuts every page of the swarm."""

    stage: Stage
    chance: random.Random
    shows: list[int]
    reconnect: Callable[[], None]

    async def nap(self, least: float, most: float) -> None:
        await asyncio.sleep(self.chance.uniform(least, most))


Act = Callable[[Hands], Awaitable[str]]


class Kind(Struct, frozen=True):
    """A kind of fault. Two that touch the same thing are not done at once.

    `loses`: Redis may have lost what it knew; `clock`: its clock does not tell the truth meanwhile.
    """

    name: str
    act: Act
    touches: frozenset[str]
    loses: bool = False
    clock: bool = False


# ---- webs and workers ----


async def web_kill(hands: Hands) -> str:
    name = hands.chance.choice(WEBS)
    await _restart(hands, name, signal.SIGKILL)
    return name


async def web_term(hands: Hands) -> str:
    name = hands.chance.choice(WEBS)
    await _restart(hands, name, signal.SIGTERM)
    return name


async def both_webs_kill(hands: Hands) -> str:
    await asyncio.gather(*(_restart(hands, name, signal.SIGKILL) for name in WEBS))
    return "web1 web2"


async def web_stop(hands: Hands) -> str:
    name = hands.chance.choice(WEBS)
    return await _stop(hands, [name], 0.5, 3.0)


async def worker_kill(hands: Hands) -> str:
    name = hands.chance.choice(WORKERS)
    await _restart(hands, name, signal.SIGKILL)
    return name


async def worker_term(hands: Hands) -> str:
    name = hands.chance.choice(WORKERS)
    await _restart(hands, name, signal.SIGTERM)
    return name


async def both_workers_kill(hands: Hands) -> str:
    await asyncio.gather(*(_restart(hands, name, signal.SIGKILL) for name in WORKERS))
    return "worker1 worker2"


async def worker_stop(hands: Hands) -> str:
    return await _stop(hands, [hands.chance.choice(WORKERS)], 0.5, 4.0)


async def everybody_stop(hands: Hands) -> str:
    return await _stop(hands, [*WEBS, *WORKERS], 0.3, 1.5)


async def _restart(hands: Hands, name: str, sign: signal.Signals) -> None:
    service = hands.stage.services[name]
    lives = service.lives
    service.signal(sign)
    while service.lives == lives:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    if name in WEBS:
        await hands.stage.serving(name)


async def _stop(hands: Hands, names: list[str], least: float, most: float) -> str:
    for name in names:
        hands.stage.services[name].signal(signal.SIGSTOP)
    try:
        await hands.nap(least, most)
    finally:
        for name in names:
            hands.stage.services[name].signal(signal.SIGCONT)
    return " ".join(names)


# ---- ways between them ----


def link(store: str, mode: str) -> Act:
    """One way, those of one kind of process, or all ways to a store get into a mode for a while."""

    async def act(hands: Hands) -> str:
        chance = hands.chance
        names = chance.choice(
            ([chance.choice(WEBS)], [chance.choice(WORKERS)], WEBS, WORKERS, (*WEBS, *WORKERS))
        )
        how: dict[str, float] = {}
        if mode == "delay":
            how = {"delay_ms": chance.uniform(5, 60), "jitter_ms": chance.uniform(0, 80)}
        elif mode == "throttle":
            how = {"bytes_per_s": chance.choice((20_000, 100_000))}
        try:
            for name in names:
                hands.stage.link(f"{name}-{store}", mode, **how)
            await hands.nap(0.3, 2.5 if mode in HELD else 1.5)
        finally:
            drop = mode in HELD and chance.random() < 0.4
            for name in names:
                hands.stage.link(f"{name}-{store}", "pass", drop=drop)
        return " ".join(names)

    return act


# ---- what people do ----


async def rebuild_by_hand(hands: Hands) -> str:
    return await _rebuild(hands, 1)


async def rebuild_twice(hands: Hands) -> str:
    return await _rebuild(hands, 2)


async def _rebuild(hands: Hands, times: int) -> str:
    if not hands.shows:
        return "nothing"
    event = hands.chance.choice(hands.shows)
    try:
        async with open_stores(hands.stage.settings, connections=2 * times) as stores:
            await asyncio.gather(*(rebuild(stores, event) for _ in range(times)), return_exceptions=True)
    except SeatmapError:
        pass  # another fault is at work
    return f"event {event}"


async def reconnect(hands: Hands) -> str:
    hands.reconnect()
    return "pages"


# ---- processes that fail on purpose, at certain places of the write path ----

_OF_WEBS = ("book", "cancel", "pay", "verdict", "rebuild", "announce", "cancel_event")
_OF_WORKERS = ("sweep", "resolve", "reconcile", "rebuild", "verdict", "cancel_event", "refund")
_OF_WORKERS += ("pay_expire", "pay_late")
_ACTIONS = {"exit": "exit@0.03", "sleep": "sleep(700)@0.1", "raise": "raise@0.1"}


def failing(names: tuple[str, ...], parts: tuple[str, ...], action: str) -> Act:
    """One process lives for a while with some failpoints set; if it ends, so do those after it."""
    points = [point for point in POINTS if point.partition(".")[0] in parts]

    async def act(hands: Hands) -> str:
        chosen = hands.chance.sample(points, 6)
        name = hands.chance.choice(names)
        service = hands.stage.services[name]
        service.extra = {FAILPOINTS: "; ".join(f"{point}={_ACTIONS[action]}" for point in chosen)}
        try:
            await _restart(hands, name, signal.SIGTERM)
            await hands.nap(1.0, 3.0)
        finally:
            service.extra = {}
        await _restart(hands, name, signal.SIGKILL)
        return f"{name}: {', '.join(chosen)}"

    return act


def _kind(act: Act, *touches: str) -> Kind:
    return Kind(getattr(act, "__name__", "").replace("_", " "), act, frozenset(touches))


PROCESS_KINDS = [
    _kind(web_kill, "web"),
    _kind(web_term, "web"),
    _kind(both_webs_kill, "web"),
    _kind(web_stop, "web"),
    _kind(worker_kill, "worker"),
    _kind(worker_term, "worker"),
    _kind(both_workers_kill, "worker"),
    _kind(worker_stop, "worker"),
    _kind(everybody_stop, "web", "worker"),
    _kind(rebuild_by_hand, "rebuild"),
    _kind(rebuild_twice, "rebuild"),
    _kind(reconnect),
]
FAILPOINT_KINDS = [
    Kind(f"{role} failpoints {action}", failing(names, parts, action), frozenset({role}))
    for role, names, parts in (("web", WEBS, _OF_WEBS), ("worker", WORKERS, _OF_WORKERS))
    for action in _ACTIONS
]
LINK_KINDS = [
    Kind(f"{store} link {mode}".replace("_", " "), link(store, mode), frozenset({f"{store} link"}))
    for store in STORES
    for mode in MODES
    if mode != "pass"
]
