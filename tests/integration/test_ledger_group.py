"""Group commit: everybody is answered, nobody overtakes, one bad order harms no other."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

import asyncpg
import pytest
from ledger_world import active, make_event, purchase

from seatmap.config import Settings
from seatmap.errors import Unavailable
from seatmap.ledger import group as group_module
from seatmap.ledger.group import GroupCommit
from seatmap.ledger.orders import Purchase, Verdict
from seatmap.ledger.pool import connection, open_pool

pytestmark = pytest.mark.integration


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(settings)
    yield pool
    await pool.close()


class Watched(GroupCommit):
    """Remembers its batches."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool)
        self.batches: list[Sequence[Purchase]] = []

    async def _book(self, event_id: int, batch: Sequence[Purchase]) -> dict[UUID, Verdict]:
        self.batches.append(batch)
        return await super()._book(event_id, batch)


async def test_five_hundred_at_once_get_one_seat_each(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool, 100)
    one, two = Watched(pool), Watched(pool)  # two processes, as it were
    wanted = [purchase(event_id, random.randrange(100)) for _ in range(500)]
    told = await asyncio.gather(*(random.choice((one, two)).book(each) for each in wanted))
    assert [verdict.order_id for verdict in told] == [each.order_id for each in wanted]
    winners = {
        each.seats[0]: each.order_id for each, v in zip(wanted, told, strict=True) if v.outcome == "committed"
    }
    assert winners == await active(pool, event_id)
    assert set(winners) == {each.seats[0] for each in wanted}
    assert {verdict.reason for verdict in told if verdict.outcome != "committed"} == {"seat_taken"}


async def test_no_two_of_a_batch_share_an_id_a_visitor_or_a_seat(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool, 100)
    group = Watched(pool)
    wanted = [purchase(event_id, seat, seat + 1, visitor=f"v{seat % 7}") for seat in range(40)]
    await asyncio.gather(*(group.book(each) for each in [*wanted, *wanted]))
    for batch in group.batches:
        seats = [seat for each in batch for seat in each.seats]
        assert len(set(seats)) == len(seats)
        assert len({each.visitor for each in batch}) == len({each.order_id for each in batch}) == len(batch)
    assert len(await active(pool, event_id)) % 2 == 0


async def test_the_first_to_come_gets_the_seat(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    group = GroupCommit(pool)
    wanted = [purchase(event_id, *seats) for seats in ((1,), (1, 2), (2,), (3,))]
    told = await asyncio.gather(*(group.book(each) for each in wanted))
    assert [verdict.outcome for verdict in told] == ["committed", "refused", "committed", "committed"]


async def test_what_arrives_during_a_commit_is_the_next_one(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool, 300)
    group = Watched(pool)
    async with connection(pool) as conn, conn.transaction():
        await conn.execute("SELECT FROM events WHERE id = $1 FOR UPDATE", event_id)
        books = [asyncio.create_task(group.book(purchase(event_id, 0)))]
        await asyncio.sleep(0.05)
        books += [asyncio.create_task(group.book(purchase(event_id, seat))) for seat in range(1, 300)]
        await asyncio.sleep(0.05)
    assert {verdict.outcome for verdict in await asyncio.gather(*books)} == {"committed"}
    assert [len(batch) for batch in group.batches] == [1, 256, 43]


async def test_the_rules_hold_for_a_batch_that_breaks_them(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool, per_visitor=2)
    batch = [
        purchase(event_id, 1),
        purchase(event_id, 1),
        purchase(event_id, 2, 3, visitor="v"),
        purchase(event_id, 4, visitor="v"),
    ]
    batch = [
        purchase(event_id, *each.seats, visitor=each.visitor, order_id=UUID(int=n))
        for n, each in enumerate(batch)
    ]
    told = await GroupCommit(pool)._book(event_id, batch)
    assert [told[each.order_id].reason for each in batch] == ["", "seat_taken", "", "too_many_seats"]
    twin = purchase(event_id, 5)
    with pytest.raises(asyncpg.UniqueViolationError):
        await GroupCommit(pool)._book(event_id, [twin, twin])
    assert set(await active(pool, event_id)) == {1, 2, 3}


async def test_two_events_that_are_given_the_same_ids_do_not_wait_for_each_other_in_a_circle(
    pool: asyncpg.Pool,
) -> None:
    """Rule 15: the ids of a batch are inserted in order, whatever order they came in."""
    events = [await make_event(pool, 64), await make_event(pool, 64)]
    for _ in range(10):
        ids = [uuid4() for _ in range(32)]
        lists = zip(events, (ids, ids[::-1]), strict=True)
        batches = [
            [purchase(event, seat, order_id=order_id) for seat, order_id in enumerate(given)]
            for event, given in lists
        ]
        commits = [GroupCommit(pool) for _ in events]
        answers = await asyncio.gather(
            *(commit.book(one) for commit, batch in zip(commits, batches, strict=True) for one in batch)
        )
        assert {answer.outcome for answer in answers} <= {"committed", "refused"}


async def test_a_poisoned_order_fails_alone(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    group = GroupCommit(pool)
    told = await asyncio.gather(
        *(group.book(purchase(event_id, seat)) for seat in (1, 2)),
        group.book(purchase(event_id, 3, name="nul \0 byte")),
        group.book(purchase(event_id, 4, total=1 << 70)),
        *(group.book(purchase(event_id, seat)) for seat in (5, 6)),
        return_exceptions=True,
    )
    assert isinstance(told[2], asyncpg.CharacterNotInRepertoireError)
    assert isinstance(told[3], asyncpg.DataError)
    assert set(await active(pool, event_id)) == {1, 2, 5, 6}


async def test_a_lost_connection_is_an_unknown_outcome_and_asking_again_settles_it(
    pool: asyncpg.Pool,
) -> None:
    event_id = await make_event(pool)
    group = GroupCommit(pool)
    wanted = [purchase(event_id, seat) for seat in range(5)]
    async with connection(pool) as conn:
        holding = conn.transaction()
        await holding.start()
        await conn.execute("SELECT FROM events WHERE id = $1 FOR UPDATE", event_id)
        books = [asyncio.create_task(group.book(each)) for each in wanted]
        await asyncio.sleep(0.05)
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database() AND query LIKE '%book_orders%'"
        )
        told = await asyncio.gather(*books, return_exceptions=True)
        assert all(isinstance(each, Unavailable) for each in told)
        await holding.rollback()
    told = await asyncio.gather(*(group.book(each) for each in wanted))
    assert {verdict.outcome for verdict in told} == {"committed"}


async def test_a_lock_that_is_held_too_long_is_unavailable_and_not_forever(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    async with connection(pool) as conn, conn.transaction():
        await conn.execute("SELECT FROM events WHERE id = $1 FOR UPDATE", event_id)
        start = time.monotonic()
        with pytest.raises(Unavailable):
            await GroupCommit(pool).book(purchase(event_id, 1))
        assert time.monotonic() - start < 2


async def test_a_caller_that_goes_away_leaves_the_batch_alone(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    group = GroupCommit(pool)
    wanted = [purchase(event_id, seat) for seat in range(5)]
    books = [asyncio.create_task(group.book(each)) for each in wanted]
    await asyncio.sleep(0)
    books[0].cancel()
    books[3].cancel()
    told = await asyncio.gather(*books, return_exceptions=True)
    assert [isinstance(each, asyncio.CancelledError) for each in told] == [True, False, False, True, False]
    await group.close()
    assert set(await active(pool, event_id)) == set(range(5))


async def test_a_full_queue_says_so(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_module, "QUEUE_MAX", 3)
    event_id = await make_event(pool)
    group = GroupCommit(pool)
    told = await asyncio.gather(
        *(group.book(purchase(event_id, n)) for n in range(5)), return_exceptions=True
    )
    assert [isinstance(each, Unavailable) for each in told] == [False, False, False, True, True]


@pytest.mark.parametrize("callers", [64, 256])
async def test_speed(pool: asyncpg.Pool, callers: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints; asserts only that all were booked."""
    count = 40 * callers
    event_id = await make_event(pool, count)
    group = GroupCommit(pool)
    seats = iter(range(count))
    waits: list[float] = []

    async def caller() -> None:
        for seat in seats:
            start = time.perf_counter()
            verdict = await group.book(purchase(event_id, seat))
            waits.append(time.perf_counter() - start)
            assert verdict.outcome == "committed"

    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    seconds = time.perf_counter() - start
    waits.sort()
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{callers} callers: {count / seconds:,.0f} books/s, "
            f"p50 {waits[count // 2] * 1000:.1f} ms, p99 {waits[count * 99 // 100] * 1000:.1f} ms"
        )
    assert len(await active(pool, event_id)) == count
