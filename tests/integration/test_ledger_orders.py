"""One verdict per order, for ever; no seat twice; whole orders."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from ledger_world import BACK, FRONT, active, make_event, purchase, run_sql

from seatmap.config import Settings
from seatmap.errors import Refused
from seatmap.ledger import events, orders
from seatmap.ledger.group import GroupCommit
from seatmap.ledger.orders import Purchase, Verdict
from seatmap.ledger.pool import Pool, connection, open_pool

pytestmark = pytest.mark.integration


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(settings)
    yield pool
    await pool.close()


async def book(pool: asyncpg.Pool, wanted: Purchase) -> tuple[str, str]:
    verdict = await GroupCommit(pool).book(wanted)
    assert verdict.order_id == wanted.order_id
    return verdict.outcome, verdict.reason


async def test_a_booking_is_there_whole(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    wanted = purchase(event_id, 3, 2)
    assert await book(pool, wanted) == ("committed", "")
    assert await active(pool, event_id) == {2: wanted.order_id, 3: wanted.order_id}

    order = await orders.get(pool, wanted.order_id, wanted.visitor)
    assert order is not None
    assert (order.status, order.total, order.currency) == ("confirmed", FRONT + BACK, "EUR")
    assert (order.payment_status, order.payment_method) == ("none", "free")
    assert (order.name, order.email, order.event_name) == ("Ada", "ada@example.org", "Show")
    assert [(s.seat, s.label, s.category, s.price, s.status) for s in order.seats] == [
        (2, "Hall, row A, seat 3", "front", FRONT, "confirmed"),
        (3, "Hall, row A, seat 4", "back", BACK, "confirmed"),
    ]
    assert await orders.of_visitor(pool, wanted.visitor) == [order]
    assert await orders.get(pool, wanted.order_id, "somebody else") is None
    assert await orders.of_visitor(pool, "somebody else") == []
    assert await orders.standing(pool, wanted.order_id) == "confirmed"


async def test_every_reason_to_refuse_and_nothing_is_booked(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool, per_visitor=2)
    draft = await make_event(pool, publish=False)
    await run_sql(pool, "UPDATE seats SET status = 'blocked' WHERE event_id = $1 AND index = 5", event_id)
    first = purchase(event_id, 0)
    assert await book(pool, first) == ("committed", "")

    for wanted, reason in (
        (purchase(draft, 1), "not_on_sale"),
        (purchase(987654, 1), "not_on_sale"),
        (purchase(event_id, 1, epoch=7), "wrong_epoch"),
        (purchase(event_id), "no_seats"),
        (purchase(event_id, 1, 20), "seat_out_of_range"),
        (purchase(event_id, 1, -1), "seat_out_of_range"),
        (purchase(event_id, 1, 5), "seat_blocked"),
        (purchase(event_id, 1, 0), "seat_taken"),
        (purchase(event_id, 1, 1), "seat_taken"),
        (purchase(event_id, 1, total=FRONT), "price_changed"),
        (purchase(event_id, 1, 2, 3), "too_many_seats"),
        (purchase(event_id, 1, 2, visitor=first.visitor), "too_many_seats"),
    ):
        assert await book(pool, wanted) == ("refused", reason)
        assert await book(pool, wanted) == ("refused", reason), "a refusal is for ever"
        assert await orders.standing(pool, wanted.order_id) is None
    assert await active(pool, event_id) == {0: first.order_id}
    assert await active(pool, draft) == {}


async def test_the_first_reason_in_order_is_told(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool, per_visitor=1)
    await run_sql(pool, "UPDATE seats SET status = 'blocked' WHERE event_id = $1 AND index = 5", event_id)
    await book(pool, purchase(event_id, 0))
    wrong: dict[str, Any] = {"total": 1, "epoch": 1}
    assert (await book(pool, purchase(event_id, 0, 5, 99, **wrong)))[1] == "wrong_epoch"
    wrong = {"total": 1}
    assert (await book(pool, purchase(event_id, 0, 5, 99, **wrong)))[1] == "seat_out_of_range"
    assert (await book(pool, purchase(event_id, 0, 5, **wrong)))[1] == "seat_blocked"
    assert (await book(pool, purchase(event_id, 0, 1, **wrong)))[1] == "seat_taken"
    assert (await book(pool, purchase(event_id, 1, 2, **wrong)))[1] == "price_changed"


async def test_a_repeated_order_gets_its_verdict_again_and_another_body_does_not(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    wanted = purchase(event_id, 1)
    assert await book(pool, wanted) == ("committed", "")
    assert await book(pool, wanted) == ("committed", "")
    other_body = purchase(event_id, 2, order_id=wanted.order_id, visitor=wanted.visitor)
    other_visitor = purchase(event_id, 1, order_id=wanted.order_id)
    for reused in (other_body, other_visitor):
        assert await book(pool, reused) == ("refused", "order_reused")
        told = await orders.verdict(pool, reused.order_id, reused.visitor, reused.body_hash)
        assert told == Verdict(wanted.order_id, "refused", "order_reused")
        # Also when Redis refused it: the verdict that is there is not touched.
        assert (await orders.decide(pool, reused, "refused", "seat_taken")).reason == "order_reused"
    assert await book(pool, wanted) == ("committed", "")
    assert list(await active(pool, event_id)) == [1]


async def test_a_tombstone_bars_the_order_for_ever(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    wanted = purchase(event_id, 1)
    assert await orders.verdict(pool, wanted.order_id, wanted.visitor, wanted.body_hash) is None
    told = await orders.abort(pool, wanted.order_id, event_id, wanted.visitor, wanted.body_hash)
    assert told == Verdict(wanted.order_id, "aborted", "order_aborted")
    assert await book(pool, wanted) == ("aborted", "order_aborted")
    assert await book(pool, purchase(event_id, 2, order_id=wanted.order_id)) == ("aborted", "order_aborted")
    assert await active(pool, event_id) == {}


async def test_what_redis_refused_is_a_verdict_unless_the_order_was_booked_before(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    lost = purchase(event_id, 1)
    assert await orders.decide(pool, lost, "refused", "hold_expired") == Verdict(
        lost.order_id, "refused", "hold_expired"
    )
    assert await book(pool, lost) == ("refused", "hold_expired")

    won = purchase(event_id, 1)
    assert await book(pool, won) == ("committed", "")
    assert await orders.decide(pool, won, "refused", "hold_expired") == Verdict(won.order_id, "committed", "")
    assert await orders.abort(pool, won.order_id, event_id, won.visitor, won.body_hash) == Verdict(
        won.order_id, "committed", ""
    )
    with pytest.raises(asyncpg.RaiseError):
        await orders.decide(pool, purchase(event_id, 2), "committed", "")


async def test_a_tombstone_waits_for_the_booking_in_flight_and_then_reads_it(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    wanted = purchase(event_id, 1)
    async with connection(pool) as conn:
        booking = conn.transaction()
        await booking.start()
        await GroupCommit(pool=_Only(conn, pool)).book(wanted)
        resolver = asyncio.create_task(
            orders.abort(pool, wanted.order_id, event_id, wanted.visitor, wanted.body_hash)
        )
        await _until_somebody_waits(pool)
        assert not resolver.done()
        await booking.commit()
        assert await resolver == Verdict(wanted.order_id, "committed", "")
    assert list(await active(pool, event_id)) == [1]


async def test_a_booking_that_waited_for_a_tombstone_is_read_again(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    wanted, other = purchase(event_id, 1), purchase(event_id, 2)
    async with connection(pool) as conn:
        tombstone = conn.transaction()
        await tombstone.start()
        await conn.execute(
            "SELECT decide_abort($1, $2, $3, $4, 'aborted', 'order_aborted')",
            wanted.order_id,
            event_id,
            wanted.visitor,
            wanted.body_hash,
        )
        group = GroupCommit(pool)
        both = asyncio.gather(group.book(wanted), group.book(other))
        await _until_somebody_waits(pool)
        assert not both.done()
        await tombstone.commit()
        told = await both
    assert told == [
        Verdict(wanted.order_id, "aborted", "order_aborted"),
        Verdict(other.order_id, "committed", "", "free"),
    ]
    assert list(await active(pool, event_id)) == [2], "the dead order's seat is free"


async def test_cancelling_frees_the_seats_and_can_be_repeated(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    wanted = purchase(event_id, 4, 1)
    await book(pool, wanted)
    with pytest.raises(Refused, match="no order") as refused:
        await orders.cancel(pool, wanted.order_id, "somebody else")
    assert refused.value.code == "order_not_found"
    for _ in range(2):
        cancelled = await orders.cancel(pool, wanted.order_id, wanted.visitor)
        assert (cancelled.event_id, cancelled.seats) == (event_id, (1, 4))
    assert await orders.standing(pool, wanted.order_id) == "cancelled"
    assert await active(pool, event_id) == {}
    assert await book(pool, wanted) == ("committed", ""), "the verdict stands; the order does not"
    assert await active(pool, event_id) == {}

    again = purchase(event_id, 1, 4, visitor=wanted.visitor)
    assert await book(pool, again) == ("committed", "")
    newest, oldest = await orders.of_visitor(pool, wanted.visitor)
    assert (newest.status, oldest.status) == ("confirmed", "cancelled")
    assert {seat.status for seat in oldest.seats} == {"cancelled"}
    await orders.cancel(pool, wanted.order_id, wanted.visitor)
    assert sorted(await active(pool, event_id)) == [1, 4], "a late repeat does not touch the next owner"
    spans = await run_sql(pool, "SELECT seq_on, seq_off FROM bookings WHERE seat = 1 ORDER BY seq_on")
    assert spans[0]["seq_on"] < spans[0]["seq_off"] < spans[1]["seq_on"]
    assert spans[1]["seq_off"] is None


async def test_what_never_became_an_order_cannot_be_cancelled(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    with pytest.raises(Refused) as refused:
        await orders.cancel(pool, uuid4(), "v")
    assert refused.value.code == "order_not_found"
    taken = purchase(event_id, 99)
    await book(pool, taken)
    with pytest.raises(Refused) as refused:
        await orders.cancel(pool, taken.order_id, taken.visitor)
    assert refused.value.code == "order_not_active"


async def test_no_booking_commits_after_the_event_was_cancelled(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool, 200)
    group = GroupCommit(pool)
    books = [asyncio.create_task(group.book(purchase(event_id, seat))) for seat in range(100)]
    await asyncio.sleep(0.003)
    assert await events.cancel(pool, event_id) == 1
    there = await active(pool, event_id)
    late = [asyncio.create_task(group.book(purchase(event_id, seat))) for seat in range(100, 200)]
    told = await asyncio.gather(*books, *late)
    assert await active(pool, event_id) == there
    assert {verdict.reason for verdict in told[100:]} == {"not_on_sale"}
    assert sum(verdict.outcome == "committed" for verdict in told) == len(there)


async def test_a_raised_epoch_fences_what_began_before(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    assert await events.raise_epoch(pool, event_id) == 1
    assert await book(pool, purchase(event_id, 1)) == ("refused", "wrong_epoch")
    assert await book(pool, purchase(event_id, 1, epoch=1)) == ("committed", "")


async def test_the_index_is_the_last_wall(pool: asyncpg.Pool) -> None:
    event_id = await make_event(pool)
    wanted = purchase(event_id, 1)
    await book(pool, wanted)
    with pytest.raises(asyncpg.UniqueViolationError, match="one_active_booking_per_seat"):
        await run_sql(
            pool,
            "INSERT INTO bookings (order_id, event_id, seat, status, price, currency, seq_on) "
            "VALUES ($1, $2, 1, 'pending', 0, 'EUR', 9)",
            wanted.order_id,
            event_id,
        )


class _Only:
    """A pool of one connection that somebody else has, in the transaction that is open there."""

    def __init__(self, conn: Any, pool: Pool) -> None:
        self.conn = conn
        self.breaker, self.latency = pool.breaker, pool.latency

    def acquire(self, timeout: float) -> Any:
        return self

    async def __aenter__(self) -> Any:
        return self.conn

    async def __aexit__(self, *_: object) -> None:
        pass


async def _until_somebody_waits(pool: asyncpg.Pool) -> None:
    for _ in range(200):
        waiting = await run_sql(
            pool,
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
        )
        if waiting:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("nobody waits for a lock")
