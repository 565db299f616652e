"""One run, from the first process to the verdict: prologue, faults, healing, rest, checks."""

import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from msgspec import Struct, field

from seatmap.checkout.reconcile import lasting_differences
from seatmap.checkout.stores import Stores, open_stores
from seatmap.errors import SeatmapError
from seatmap.ledger import api_keys, events
from seatmap.ledger.pool import open_pool
from seatmap.model import Role, User
from tests.chaos.faults import Hands
from tests.chaos.final import Final, look
from tests.chaos.history import History, Phase, now
from tests.chaos.nemesis import Nemesis, compile_shim
from tests.chaos.stage import Stage

PROLOGUE_SECONDS = 6.0
CALM_EVERY = 40  # faults, after which all has to heal before the next
SETTLE_SECONDS = 10.0  # for every unknown outcome, once all is mended
REST_SECONDS = 60.0  # for payments that come late, refunds and what the reconciler does
ERROR = re.compile(r"\S+ \S+ (?:ERROR|CRITICAL) (.{,60})")
REPAIRED = re.compile(r"(\d+) of (\d+) differing seats repaired")


class Wanted(Struct, frozen=True):
    """How much to do: it ends after `minutes`, or as soon as both counts are reached, if they are given."""

    seed: int
    minutes: float
    faults: int = 0
    bookings: int = 0
    buyers: int = 32
    patience: float = 1.0  # by which the bounds on time are longer, for a machine that is busy otherwise
    hall: int = 0  # seats of one large event; 0: there is none


class Outcome(Struct):
    """What is known when the processes have ended, beside the history."""

    final: Final
    faults: dict[str, int]
    counts: dict[str, int]
    calms: list[float] = field(default_factory=list)  # seconds until nothing was unknown, each time
    repaired_in_prologue: int = 0
    errors_in_prologue: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)  # what was logged as such, and how often
    buying_seconds: float = 0.0
    trouble: list[str] = field(default_factory=list)  # what did not come in time


class Swarm:
    """The swarm's process, as seen from here: what it last said."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.said: dict[str, Any] = {"state": "", "acked": 0, "open": 0, "counts": {}, "shows": []}
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        with (self._folder / "swarm.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.chaos.swarm", str(self._folder)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._reading = asyncio.create_task(self._read(self._process))

    def tell(self, word: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(word.encode() + b"\n")

    async def ended(self, seconds: float) -> int:
        assert self._process is not None
        assert self._reading is not None
        async with asyncio.timeout(seconds):
            code = await self._process.wait()
        await self._reading
        return code

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def until(self, true: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for something that it says. Raises TimeoutError with `what` did not come."""
        try:
            async with asyncio.timeout(seconds):
                while not true():
                    self.check()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise TimeoutError(f"{what} did not come within {seconds:.0f} s") from None

    def check(self) -> None:
        """Raises RuntimeError if it has ended by itself."""
        if self._process is not None and self._process.returncode is not None:
            raise RuntimeError(f"the swarm ended by itself: see {self._folder / 'swarm.log'}")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self.said = json.loads(line)


class Director:
    """Puts a run on stage."""

    def __init__(self, folder: Path, wanted: Wanted, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._wanted = wanted
        self._say = say
        shim = compile_shim(folder)
        if shim is None:
            say("There is no Linux with a C compiler here: Redis' clock is not pushed.")
        self._clock = shim is not None
        self._stage = Stage(folder, shim)
        self._swarm = Swarm(folder)
        self._history = History(folder / "run.jsonl")
        self._calms: list[float] = []
        self._trouble: list[str] = []

    async def run(self) -> Outcome:
        """All of it. The history is in the folder."""
        try:
            await self._stage.start()
            await self._start_swarm()
            repaired, errors = await self._prologue()
            nemesis, seconds = await self._faults()
            await self._heal()
            final = await self._rest()
            return Outcome(
                final,
                dict(nemesis.counts),
                self._swarm.said["counts"] | {"acked": self._swarm.said["acked"]},
                self._calms,
                repaired,
                errors,
                logged_errors(self._folder),
                seconds,
                [*self._trouble, *_missed(nemesis)],
            )
        finally:
            await self._swarm.stop()
            await self._stage.stop()
            self._history.close()

    def _phase(self, name: str) -> None:
        self._history.add(Phase(now(), name))
        self._say(f"{name}: {self._swarm.said['acked']} bookings acknowledged")

    async def _start_swarm(self) -> None:
        key = await _admin_key(self._stage)
        plan = {
            "ports": self._stage.ports,
            "key": key,
            "seed": self._wanted.seed,
            "buyers": self._wanted.buyers,
            "hall": self._wanted.hall,
        }
        (self._folder / "swarm.json").write_bytes(msgspec.json.encode(plan))
        await self._swarm.start()
        await self._swarm.until(lambda: self._swarm.said["acked"] > 0, 60, "the first booking")

    async def _prologue(self) -> tuple[int, dict[str, int]]:
        """Some seconds without a fault, in which nothing must be repaired and nothing must go wrong."""
        self._phase("prologue")
        await asyncio.sleep(PROLOGUE_SECONDS)
        return repaired(self._folder), logged_errors(self._folder)

    async def _faults(self) -> tuple[Nemesis, float]:
        self._phase("faults")
        wanted, chance = self._wanted, Random(self._wanted.seed)
        hands = Hands(self._stage, chance, [], lambda: self._swarm.tell("reconnect"))
        nemesis = Nemesis(hands, self._history, clock=self._clock)
        loop = asyncio.get_running_loop()
        began = loop.time()
        running = asyncio.create_task(nemesis.run())
        calm_at, minute = CALM_EVERY, 1
        while loop.time() - began < wanted.minutes * 60 and not running.done():
            await asyncio.sleep(0.1)
            self._swarm.check()
            hands.shows = self._swarm.said["shows"]
            done, acked = nemesis.counts.total(), self._swarm.said["acked"]
            if wanted.faults and done >= wanted.faults and acked >= wanted.bookings:
                break
            if loop.time() - began > minute * 30:
                minute += 1
                self._say(f"{loop.time() - began:.0f} s: {done} faults, {acked} bookings acknowledged")
            if done >= calm_at:
                calm_at = done + CALM_EVERY
                await self._calm(nemesis, running)
        nemesis.stopping = True
        nemesis.calm.set()
        await running
        return nemesis, loop.time() - began

    async def _calm(self, nemesis: Nemesis, running: asyncio.Task[None]) -> None:
        """No fault for as long as anything is unknown: it has to be settled in time."""
        nemesis.calm.clear()
        with suppress(TimeoutError):  # of the pause between two faults, in which one may still begin
            await asyncio.wait_for(asyncio.shield(running), 1.0)
        await nemesis.idle()
        await self._settled("in a calm")
        nemesis.calm.set()

    async def _settled(self, when: str) -> None:
        """Every outcome that was unknown is known, and people can buy."""
        began, acked = now(), self._swarm.said["acked"]

        def done() -> bool:
            return self._swarm.said["open"] == 0 and self._swarm.said["acked"] > acked

        try:
            await self._swarm.until(done, SETTLE_SECONDS * self._wanted.patience, f"all answers {when}")
        except TimeoutError as error:
            self._trouble.append(str(error))
        self._calms.append((now() - began) / 1e9)

    async def _heal(self) -> None:
        """All is mended: whatever is unknown has to be settled, and everything has to sell."""
        self._phase("healed")
        await self._settled("after the last fault")
        await asyncio.sleep(2)
        self._swarm.tell("finish")

    async def _rest(self) -> Final:
        """Until nothing is pending any more; then what everybody has in the end."""
        self._phase("rest")
        await self._swarm.until(lambda: self._swarm.said["state"] == "stopping", 10, "the end of buying")
        async with open_stores(self._stage.settings, connections=4) as stores:
            try:
                async with asyncio.timeout(REST_SECONDS * self._wanted.patience):
                    while pending := await _pending(stores):  # noqa: ASYNC110
                        await asyncio.sleep(0.5)
            except TimeoutError:
                self._trouble.append(f"it did not come to rest: {pending}")
            self._swarm.tell("rest")
            code = await self._swarm.ended(120)
            if code:
                raise RuntimeError(f"the swarm ended with {code}: see {self._folder / 'swarm.log'}")
            self._phase("end")
            return await look(stores)


def _missed(nemesis: Nemesis) -> list[str]:
    """What is to be said if many faults could not be made."""
    count = nemesis.missed.total()
    return (
        [f"{count} faults could not be made: {nemesis.missed}"] if count * 10 > nemesis.counts.total() else []
    )


async def _pending(stores: Stores) -> str:
    """What is still to come; nothing, where all is at rest."""
    try:
        async with stores.pool.acquire() as conn:
            for what, query in (
                ("orders to be paid", "SELECT count(*) FROM orders WHERE status = 'pending'"),
                ("refunds", "SELECT count(*) FROM refunds WHERE status IN ('due', 'sent')"),
                (
                    "late payments",
                    "SELECT count(*) FROM payments WHERE status = 'captured' AND reseat_order_id IS NOT NULL",
                ),
                # The test card says "late" ten seconds after the time to pay (LATE_S).
                ("late messages", "SELECT count(*) FROM orders WHERE pay_by > now() - interval '12 seconds'"),
                ("jobs", "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')"),
            ):
                if count := await conn.fetchval(query):
                    return f"{count} {what}"
        for event in await events.published(stores.pool):
            snapshot = await stores.state.snapshot(event.id)
            if 1 in snapshot.statuses:
                return f"event {event.id}: {snapshot.statuses.count(1)} held seats"
            if found := await lasting_differences(stores, event.id):
                return f"event {event.id}: {found[:3]}"
    except SeatmapError as error:
        return str(error)
    return ""


def repaired(folder: Path) -> int:
    """How many seats the reconcilers say that they have corrected."""
    logs = [path.read_text(errors="replace") for path in folder.glob("worker*.log")]
    return sum(int(found[1]) for log in logs for found in REPAIRED.finditer(log))


def logged_errors(folder: Path) -> dict[str, int]:
    """What webs and workers logged as errors, by logger and beginning, and how often."""
    found: Counter[str] = Counter()
    for path in (*folder.glob("web*.log"), *folder.glob("worker*.log")):
        for line in path.read_text(errors="replace").splitlines():
            if match := ERROR.match(line):
                found[match[1]] += 1
    return dict(found)


async def _admin_key(stage: Stage) -> str:
    pool = await open_pool(stage.settings, size=1)
    try:
        async with pool.acquire() as conn:
            user_id = await conn.fetchval(
                "INSERT INTO users (email, name, role, verified_at)"
                " VALUES ('chaos@example.org', 'Chaos', 'admin', now()) RETURNING id"
            )
        user = User(id=user_id, email="chaos@example.org", name="Chaos", role=Role.admin, verified=True)
        secret, _ = await api_keys.create(pool, "the swarm", frozenset(api_keys.SCOPES), user)
        return secret
    finally:
        await pool.close()
