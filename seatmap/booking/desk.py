"""The desk: commands in, answers out. Commands that come while a call is under way are the next call.

No timer: alone, a command leaves at the end of its loop tick; in a rush the batches grow by themselves.
"""

import asyncio
import logging
from collections import deque

import msgspec
from redis.exceptions import ResponseError

from seatmap.booking.commands import LATE, Answer, Command, refusal
from seatmap.booking.scripts import BATCH
from seatmap.connections import AWAY, Redis, evaluate, monotonic_ms, run_id
from seatmap.errors import Refused, SeatmapError, Unavailable
from seatmap.keys import keys
from seatmap.model import Position

BATCH_MAX = 32  # keeps Redis from being busy with one call for more than about half a millisecond
CALLS_MAX = 2  # of one event under way at once
QUEUE_MAX = 4096  # of one event; beyond, a command is refused rather than late

log = logging.getLogger(__name__)


class _Waiting(msgspec.Struct):
    command: bytes
    epoch: int  # that the command insists on; 0: any
    deadline_ms: int  # of this process's clock
    answer: asyncio.Future[Answer]
    again: bool = False


class Desk:
    """Where a process hands in commands of any event."""

    def __init__(self, redis: Redis, *, timeout_ms: int) -> None:
        self._redis = redis
        self._timeout_ms = timeout_ms
        self._events: dict[int, _Counter] = {}

    async def decide(self, event_id: int, command: Command, *, epoch: int = 0) -> Answer:
        """The answer to `command`, which is one of its rule's good words.

        Raises Refused; Recovering or Unavailable where nothing was done or where that is unknown.
        """
        counter = self._events.get(event_id)
        if counter is None:
            counter = self._events[event_id] = _Counter(self._redis, event_id)
        answer = await counter.hand_in(msgspec.msgpack.encode(command), epoch, self._timeout_ms)
        error = refusal(answer)
        if error is not None:
            if answer.word == "FAILED":
                log.error("event %s: a rule failed: %s", event_id, " ".join(answer.fields))
            raise error
        return answer


class _Counter:
    """The queue of one event."""

    def __init__(self, redis: Redis, event_id: int) -> None:
        self._redis = redis
        self._keys = keys(event_id)
        self._queue: deque[_Waiting] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._epoch = 0
        self._clock_ms: int | None = None  # server clock minus ours
        self._run_id = ""

    def hand_in(self, command: bytes, epoch: int, timeout_ms: int) -> asyncio.Future[Answer]:
        if len(self._queue) >= QUEUE_MAX:
            raise Unavailable("Too many people are choosing seats at this moment. Try again.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._queue.append(_Waiting(command, epoch, monotonic_ms() + timeout_ms, future))
        self._schedule(loop)
        return future

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._scheduled and len(self._calls) < CALLS_MAX:
            self._scheduled = True
            loop.call_soon(self._send, loop)

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = False
        while self._queue and len(self._calls) < CALLS_MAX:
            epoch, batch = self._next_batch()
            if not batch:
                continue
            call = loop.create_task(self._call(epoch, batch))
            self._calls.add(call)
            call.add_done_callback(lambda done: self._done(done, loop))

    def _done(self, call: asyncio.Task[None], loop: asyncio.AbstractEventLoop) -> None:
        self._calls.discard(call)
        if self._queue:
            self._schedule(loop)

    def _next_batch(self) -> tuple[int, list[_Waiting]]:
        """The next commands that go with the same epoch, and that epoch."""
        batch: list[_Waiting] = []
        batch_epoch = self._epoch
        while self._queue and len(batch) < BATCH_MAX:
            waiting = self._queue[0]
            of_use = self._is_of_use(waiting)
            # A page may come from a process that knows a later epoch than this one; Redis will say. Until then
            # it is a claim: a wrong one must not spoil the commands beside it.
            epoch = waiting.epoch or self._epoch
            if of_use and batch and epoch != batch_epoch:
                break
            self._queue.popleft()
            if of_use:
                batch_epoch = epoch
                batch.append(waiting)
        return batch_epoch, batch

    def _is_of_use(self, waiting: _Waiting) -> bool:
        """Whether a command should still be sent; one that should not is answered here."""
        if waiting.answer.done():
            return False  # its caller went away
        if 0 < waiting.epoch < self._epoch:
            waiting.answer.set_exception(Refused("wrong_epoch", epoch=self._epoch))
        elif monotonic_ms() > waiting.deadline_ms:  # all of its batch would come too late with it
            waiting.answer.set_exception(Unavailable(LATE))
        return not waiting.answer.done()

    async def _call(self, epoch: int, batch: list[_Waiting]) -> None:
        try:
            replies = await self._evaluate(epoch, batch)
        except SeatmapError as error:
            self._fail(batch, error)
        except asyncio.CancelledError:
            self._fail(batch, Unavailable(AWAY))
            raise
        except Exception as error:
            # An error inside the call says nothing about whether the script ran: unknown for all of them.
            known = isinstance(
                error, ResponseError
            )  # of a server that is full, or has no replica: no fault of ours
            log.error("a batch of %d commands failed: %s", len(batch), error, exc_info=not known)
            self._fail(batch, Unavailable(AWAY))
        else:
            self._answer(batch, replies)

    async def _evaluate(self, epoch: int, batch: list[_Waiting]) -> list[bytes]:
        async with self._redis.connection() as connection:
            reached = run_id(connection)
            if reached != self._run_id or self._clock_ms is None:
                self._run_id, self._clock_ms = reached, connection.clock_ms  # type: ignore[attr-defined]
            assert self._clock_ms is not None
            sent = monotonic_ms()
            deadline = min(waiting.deadline_ms for waiting in batch) + self._clock_ms
            replies: list[bytes] = await evaluate(
                connection,
                BATCH.text,
                BATCH.sha,
                self._keys,
                [epoch, deadline, reached, *(waiting.command for waiting in batch)],
            )
            # The server read its clock between then and now. What was known before stands within these bounds:
            # the middle would be late by half of a stall, and so would the next commands' deadlines.
            server_ms = int(replies[-1].split()[2])
            self._clock_ms = min(max(self._clock_ms, server_ms - monotonic_ms()), server_ms - sent)
            return replies

    def _answer(self, batch: list[_Waiting], replies: list[bytes]) -> None:
        assert len(replies) == len(batch) + 1, "the script answers each command once"
        epoch, version, _ = map(int, replies[-1].split())
        self._epoch = epoch
        position = Position(epoch, version)
        again: list[_Waiting] = []
        for waiting, reply in zip(batch, replies, strict=False):
            word, *fields = reply.decode().split(" ")
            if word == "EPOCH" and not waiting.again and waiting.epoch in (0, epoch):
                waiting.again = True  # nothing was done, and the command did not insist
                again.append(waiting)
            elif not waiting.answer.done():
                waiting.answer.set_result(Answer(word, tuple(fields), position))
        self._queue.extendleft(reversed(again))

    @staticmethod
    def _fail(batch: list[_Waiting], error: SeatmapError) -> None:
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_exception(error)
