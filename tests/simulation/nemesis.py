"""Who makes things go wrong: kinds of faults, drawn by the seed, one after the other, some at the same time."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.simulation.loop import Process, until
from tests.simulation.people import Crowd
from tests.simulation.postgres_world import PostgresWorld
from tests.simulation.redis_world import RedisWorld
from tests.simulation.run_context import Run, Weather
from tests.simulation.site import Site

Fault = Callable[[], Awaitable[None]]


class Nemesis:
    """Of one run. `heal` ends all of it."""

    def __init__(
        self, run: Run, site: Site, redis: RedisWorld, postgres: PostgresWorld, crowd: Crowd
    ) -> None:
        self.run = run
        self.site = site
        self.redis = redis
        self.postgres = postgres
        self.crowd = crowd
        self.process = Process(run.loop, "nemesis")
        self._faults: dict[str, Fault] = {
            "process killed": self._kill,
            "process paused": self._pause,
            "redis paused": self._pause_redis,
            "redis restarted": lambda: self._restart_redis("kept"),
            "redis wiped": lambda: self._restart_redis("wiped"),
            "redis rolled back": lambda: self._restart_redis("rolled back"),
            "redis split in two": self._split_redis,
            "redis forgot its scripts": self._flush_scripts,
            "redis clock stepped": self._step_clock,
            "postgres stopped": self._stop_postgres,
            "postgres paused": self._pause_postgres,
            "postgres slow": self._slow_postgres,
            "store cut off": self._cut,
            "storm": self._storm,
            "rebuild asked for": self._rebuild,
        }

    def start(self, seconds: float) -> None:
        """Go about it for some seconds. Some runs meet few kinds of faults, some all, and a few none."""
        rng = self.run.rng
        kinds = list(self._faults)
        count = rng.choice((0, 2, 3, 4, len(kinds), len(kinds)))
        chosen = rng.sample(kinds, count)
        if not chosen:
            self.run.faults["none"] += 1
            return
        for _ in range(rng.choice((1, 2))):
            self.process.spawn(self._go(chosen, seconds))
        self.process.spawn(self._remember(seconds))

    @property
    def at_work(self) -> bool:
        return any(not task.done() for task in self.process.tasks)

    async def _go(self, kinds: list[str], seconds: float) -> None:
        rng, end = self.run.rng, self.run.loop.time() + seconds
        while True:
            await asyncio.sleep(rng.random() * 2.5)
            if self.run.loop.time() >= end:
                return
            kind = rng.choice(kinds)
            self.run.trace("fault:", kind)
            self.run.faults[kind] += 1
            await self._faults[kind]()

    async def _remember(self, seconds: float) -> None:
        end = self.run.loop.time() + seconds
        while self.run.loop.time() < end:
            self.redis.remember()
            await asyncio.sleep(self.run.rng.random() * 4)

    def heal(self) -> None:
        """No more faults, and everything is up."""
        self.run.weather = Weather()
        self.redis.join()
        for process in self.run.loop.processes:
            process.paused, process.steps_left = False, None
        for member in self.site.processes:
            self.site.restart(member.process.name)
        self.run.trace("healed")

    def _some(self, most: float) -> float:
        return self.run.rng.random() * most

    # ---- the faults ----

    async def _kill(self) -> None:
        process = await self._victim()
        process.steps_left = self.run.rng.randrange(60)
        await until(lambda: not process.alive, 0.01, self.run.loop.time() + 3.0)
        process.kill()
        self.run.trace(process.name, "is dead")
        await asyncio.sleep(self._some(2.0))
        self.site.restart(process.name)

    async def _pause(self) -> None:
        await self._hold_up(await self._victim())

    async def _victim(self) -> Process:
        """One of ours: any, or the next that is within a transaction."""
        if self.run.chance(0.3):
            end = self.run.loop.time() + 1.5
            await until(lambda: self.postgres.in_transaction is not None, 0.001, end)
        found = self.postgres.in_transaction
        ours = [member.process for member in self.site.processes]
        return found if found in ours and found.alive else self.run.rng.choice(ours)

    async def _pause_redis(self) -> None:
        await self._hold_up(self.redis.process)

    async def _pause_postgres(self) -> None:
        await self._hold_up(self.postgres.process)

    async def _hold_up(self, process: Process) -> None:
        process.paused = True
        await asyncio.sleep(self._some(4.0))
        process.paused = False

    async def _restart_redis(self, data: str) -> None:
        self.redis.restart(data, self._some(1.0))

    async def _split_redis(self) -> None:
        self.redis.split()
        await asyncio.sleep(self._some(5.0))
        self.redis.join()

    async def _rebuild(self) -> None:
        """Somebody runs `seatmap rebuild`, or two do."""
        for web in self.site.webs[: self.run.rng.choice((1, 1, 2))]:
            if web.process.alive:
                web.rebuild()

    async def _flush_scripts(self) -> None:
        self.redis.now.scripts.clear()

    async def _step_clock(self) -> None:
        step = self.run.rng.choice((-3_600_000, -20_000, -2_000, -300, 300, 2_000, 20_000))
        self.redis.skew_ms += step

    async def _stop_postgres(self) -> None:
        self.postgres.crash(self._some(1.5))

    async def _slow_postgres(self) -> None:
        self.run.weather.commit_s = 1.2
        await asyncio.sleep(self._some(3.0))
        self.run.weather.commit_s = Weather.commit_s

    async def _cut(self) -> None:
        name = self.run.rng.choice(self.site.processes).process.name
        pair = (name, self.run.rng.choice(("redis", "postgres")))
        self.run.weather.cut.add(pair)
        await asyncio.sleep(self._some(4.0))
        self.run.weather.cut.discard(pair)

    async def _storm(self) -> None:
        weather, rng = self.run.weather, self.run.rng
        weather.lost, weather.slow = rng.choice((0.01, 0.05, 0.2)), rng.choice((0.0, 0.05, 0.2))
        await asyncio.sleep(self._some(4.0))
        weather.lost = weather.slow = 0.0
