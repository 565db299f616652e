"""Postgres as the simulated processes reach it: the model, behind a pool of connections that fail.

What is offered is the part of asyncpg's pool and connections that the ledger uses.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

import tests.simulation.statements_events  # (these add themselves)
import tests.simulation.statements_money
import tests.simulation.statements_refunds  # noqa: F401
from seatmap.breaker import Breaker
from seatmap.errors import Unavailable
from seatmap.tally import Histogram
from tests.simulation.loop import Process, current
from tests.simulation.postgres_model import Database, Record, Row, Transaction
from tests.simulation.probing import Prober
from tests.simulation.run_context import Run
from tests.simulation.statements import handler_of, normalized

ADVISORY = {
    "SELECT pg_try_advisory_lock($1)": "try",
    "SELECT pg_advisory_lock($1)": "wait",
    "SELECT pg_advisory_unlock($1)": "unlock",
}
IDLE_IN_TRANSACTION_S = 2.0


class PostgresWorld:
    """The server's lives, over one database."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.database = Database(run.loop.time, run.rng)
        self.life = 1
        self.down = False
        self.process = Process(run.loop, "postgres")
        self.in_transaction: Process | None = None  # who began the last one that is open
        self.asked: Callable[[str, tuple[Any, ...], list[Row] | Exception], None] = lambda sql, args, rows: (
            None
        )

    def crash(self, down_s: float) -> None:
        """An immediate stop: what is not committed is gone; it comes back after a while."""
        self.life += 1
        self.down = True
        self.process.kill()
        self.database.crash()
        self.process = Process(self.run.loop, "postgres")

        def up() -> None:
            self.down = False

        self.run.loop.outside.later(down_s, up)


class Session:
    """The server's side of a connection."""

    def __init__(self, world: PostgresWorld) -> None:
        self.world = world
        self.life = world.life
        self.txn: Transaction | None = None
        self.failed = False
        self.ended = False
        self.advisory: list[int] = []
        self._asked = 0

    async def serve(self, sql: str, args: tuple[Any, ...]) -> list[Row]:
        """Carry a statement out, to its commit. Raises what Postgres raises."""
        self._asked += 1
        if self.ended:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed")
        if sql in ADVISORY:
            return await self._advisory(ADVISORY[sql], args[0])
        if sql == "BEGIN":
            self.txn, self.failed = Transaction(self.world.database), False
        elif sql in ("COMMIT", "ROLLBACK"):
            await self._end(sql == "COMMIT")
        elif self.txn is not None:
            if self.failed:
                raise asyncpg.InFailedSQLTransactionError("current transaction is aborted")
            try:
                rows = await handler_of(sql)(self.txn, *args)
            except asyncpg.PostgresError:
                self.failed = True
                raise
            self._expect_more()
            return rows
        else:
            return await self._alone(sql, args)
        self._expect_more()
        return []

    async def _alone(self, sql: str, args: tuple[Any, ...]) -> list[Row]:
        txn = Transaction(self.world.database)
        try:
            rows = await handler_of(sql)(txn, *args)
            if txn.writes:
                await self._sync()
                txn.commit()
            return rows
        finally:
            txn.end()

    async def _sync(self) -> None:
        run = self.world.run
        slow = 0.5 if run.chance(0.01) else run.weather.commit_s
        await asyncio.sleep(run.rng.random() * slow)

    async def _end(self, commit: bool) -> None:
        txn, self.txn = self.txn, None
        if txn is None:
            return
        if commit and not self.failed:
            await self._sync()
            txn.commit()
        txn.end()

    async def _advisory(self, how: str, key: int) -> list[Row]:
        database = self.world.database
        if how == "unlock":
            database.unlock(self, ("advisory", key))
            if key in self.advisory:
                self.advisory.remove(key)
        elif how == "wait":
            await database.lock(self, ("advisory", key))
            self.advisory.append(key)
            if self.ended:
                self.end()
        else:
            mine = database.locks.setdefault(("advisory", key), self) is self
            if mine:
                self.advisory.append(key)
            return [{"mine": mine}]
        return [{"": True}]

    def _expect_more(self) -> None:
        asked, txn = self._asked, self.txn

        def idle() -> None:
            if txn is not None and self.txn is txn and self._asked == asked:
                self.world.run.rare["a transaction was left idle"] += 1
                self.end()

        if txn is not None:
            self.world.process.later(IDLE_IN_TRANSACTION_S, idle)

    def end(self) -> None:
        """The connection is gone."""
        self.ended = True
        if self.txn is not None:
            self.txn.end()
            self.txn = None
        for key in self.advisory:
            self.world.database.unlock(self, ("advisory", key))
        self.advisory.clear()


class Connection:
    """The client's side."""

    def __init__(self, world: PostgresWorld, timeout_s: float) -> None:
        self.world = world
        self.run = world.run
        self.owner = current()
        self.timeout_s = timeout_s
        self.session = Session(world)
        self.closed = False
        self._last = 0.0
        self.owner.on_death.append(self._gone)

    def _gone(self) -> None:
        self.world.process.later(self.run.travel_s(), self.session.end)

    def terminate(self) -> None:
        if not self.closed:
            self.closed = True
            self._gone()

    async def fetch(self, sql: str, *args: Any) -> list[Record]:
        return [Record(row) for row in await self._ask(sql, args)]

    async def fetchrow(self, sql: str, *args: Any) -> Record | None:
        rows = await self._ask(sql, args)
        return Record(rows[0]) if rows else None

    async def fetchval(self, sql: str, *args: Any) -> Any:
        rows = await self._ask(sql, args)
        return next(iter(rows[0].values()), None) if rows else None

    async def execute(self, sql: str, *args: Any) -> str:
        await self._ask(sql, args)
        return ""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        await self._ask("BEGIN", ())
        self.world.in_transaction = self.owner
        try:
            yield
        except BaseException:
            await self._ask("ROLLBACK", ())
            raise
        finally:
            self.world.in_transaction = None
        await self._ask("COMMIT", ())

    async def open(self) -> "Connection":
        await self._ask("", ())
        return self

    async def _ask(self, sql: str, args: tuple[Any, ...]) -> list[Row]:
        if self.closed:
            raise asyncpg.InterfaceError("connection is closed")
        answer: asyncio.Future[list[Row]] = self.run.loop.create_future()
        self._send(sql, args, answer)
        try:
            async with asyncio.timeout(self.timeout_s):
                return await answer
        except BaseException as error:
            if not isinstance(error, asyncpg.PostgresError) or isinstance(
                error, asyncpg.PostgresConnectionError
            ):
                self.terminate()
            raise

    def _cut(self) -> bool:
        return (self.owner.name, "postgres") in self.run.weather.cut

    def _send(self, sql: str, args: tuple[Any, ...], answer: asyncio.Future[list[Row]]) -> None:
        run, loop = self.run, self.run.loop
        if self._cut():
            return
        if run.chance(run.weather.lost):
            run.faults["request lost"] += 1
            self._reply(answer, ConnectionResetError("Connection reset by peer"))
            return
        self._last = max(self._last, loop.time() + run.travel_s())
        loop.call_at(self._last, self._arrive, sql, args, answer, context=self.world.process.context)

    def _arrive(self, sql: str, args: tuple[Any, ...], answer: asyncio.Future[list[Row]]) -> None:
        world = self.world
        if self.session.life != world.life or world.down or self.session.ended:
            self._reply(answer, asyncpg.ConnectionDoesNotExistError("connection was closed"))
            return
        if not sql:
            self._reply(answer, [])
            return
        if not self.owner.alive and self.run.chance(0.3):
            return
        world.process.spawn(self._carry_out(sql, args, answer))

    async def _carry_out(self, sql: str, args: tuple[Any, ...], answer: asyncio.Future[list[Row]]) -> None:
        run = self.run
        rows: list[Row] | Exception
        try:
            rows = await self.session.serve(sql, args)
        except asyncpg.PostgresError as error:
            rows = error
        except Exception as error:
            run.broken(f"the model of Postgres failed: {error}" + f" in {normalized(sql)} {args}")
            raise
        self.world.asked(sql, args, rows)
        if run.chance(run.weather.lost) or not self.owner.alive or self.closed:
            if run.weather.lost:
                run.faults["reply lost"] += 1
            if sql not in ADVISORY and not isinstance(rows, Exception):
                run.rare["a statement was carried out without its client"] += 1
            rows = ConnectionResetError("Connection reset by peer")
        if not self._cut():
            self._reply(answer, rows)

    def _reply(self, answer: asyncio.Future[list[Row]], rows: list[Row] | Exception) -> None:
        def arrive() -> None:
            if answer.done():
                return
            if isinstance(rows, Exception):
                answer.set_exception(rows)
            else:
                answer.set_result(rows)

        self.owner.later(self.run.travel_s(), arrive)


class Acquiring:
    """What `acquire` gives: to be awaited, or entered."""

    def __init__(self, pool: "SimPool", timeout_s: float | None) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._connection: Connection | None = None

    def __await__(self) -> Generator[Any, None, Connection]:
        return self._pool.take(self._timeout_s).__await__()

    async def __aenter__(self) -> Connection:
        self._connection = await self._pool.take(self._timeout_s)
        return self._connection

    async def __aexit__(self, *error: object) -> None:
        assert self._connection is not None
        await self._pool.release(self._connection)


class SimPool:
    """At most `size` connections, the last used first."""

    def __init__(self, world: PostgresWorld, *, size: int, timeout_s: float) -> None:
        self._world = world
        self._timeout_s = timeout_s
        self._free: list[Connection | None] = [None] * size
        self._freed = asyncio.Condition()
        self.breaker = Breaker(
            "Postgres", Prober(world.run, "postgres", lambda: world.down, lambda: world.process)
        )
        self.latency = Histogram()

    def acquire(self, *, timeout: float | None = None) -> Acquiring:
        if self.breaker.is_open:
            raise Unavailable("Postgres is known to be away.")
        return Acquiring(self, timeout)

    async def take(self, timeout_s: float | None) -> Connection:
        async with asyncio.timeout(timeout_s):
            async with self._freed:
                while not self._free:
                    await self._freed.wait()
                connection = self._free.pop()
            try:
                if connection is None or connection.closed:
                    connection = await Connection(self._world, self._timeout_s).open()
            except BaseException:
                await self._give(None)
                raise
            return connection

    async def release(self, connection: Connection, *, timeout: float | None = None) -> None:
        await self._give(None if connection.closed else connection)

    async def _give(self, connection: Connection | None) -> None:
        self._free.append(connection)
        async with self._freed:
            self._freed.notify()

    def terminate(self) -> None:
        return
