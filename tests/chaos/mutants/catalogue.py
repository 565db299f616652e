"""The mutants: what of the protocol each one breaks, by which edits, and what kills it."""

from tests.chaos.mutants.kinds import SWARM, Edit, Mutant, cells, test
from tests.chaos.mutants.of_scripts import BEGIN, OF_SCRIPTS

BOOK, ORDERS = "seatmap/checkout/book.py", "seatmap/ledger/orders.py"
REBUILD, RESOLVE = "seatmap/checkout/rebuild.py", "seatmap/checkout/resolve.py"
TABLES = "migrations/20261123000001_tables.sql"
BOOKING_SQL = "migrations/20261123000005_payments.sql"  # the newest book_orders and cancel_within
SETTLE_SQL = "migrations/20261125000003_money_by_hand.sql"  # the newest settle_payment

MUTANTS = (
    *OF_SCRIPTS,
    Mutant(
        "rebuild-reads-before-it-raises-the-epoch",
        "what a rebuild reads is complete, because nothing older commits any more (rule 19)",
        (
            Edit(
                REBUILD,
                "    occupied = await events.occupied(stores.pool, event_id)\n"
                '    await failpoint("rebuild.after_read")\n',
                '    await failpoint("rebuild.after_read")\n',
            ),
            Edit(
                REBUILD,
                '    await failpoint("rebuild.after_mark")\n',
                "    occupied = await events.occupied(stores.pool, event_id)\n"
                '    await failpoint("rebuild.after_mark")\n',
            ),
        ),
        (cells("rebuild: rebuild.after_mark=sleep"),),
    ),
    Mutant(
        "epoch-not-checked-in-postgres",
        "an order that began before a rebuild cannot commit after it (rule 10)",
        (Edit(BOOKING_SQL, "            WHEN c.epoch <> ev.epoch THEN 'wrong_epoch'\n", ""),),
        (test("ledger_orders", "a_raised_epoch_fences_what_began_before"),),
    ),
    Mutant(
        "no-last-wall",
        "a seat has at most one active booking, whatever Redis says (P1)",
        (
            Edit(
                TABLES,
                "CREATE UNIQUE INDEX one_active_booking_per_seat",
                "CREATE INDEX one_active_booking_per_seat",
            ),
            Edit(BOOKING_SQL, "bool_or(w.taken) AS taken", "false AS taken"),
        ),
        (
            test("ledger_orders", "the_index_is_the_last_wall"),
            test("rebuild", "rolled_back_to_an_older_state"),
        ),
    ),
    Mutant(
        "taken-seats-not-looked-at",
        "Redis may lose a booking, and Postgres still refuses the seat (P1)",
        (Edit(BOOKING_SQL, "bool_or(w.taken) AS taken", "false AS taken"),),
        (test("ledger_group", "the_rules_hold_for_a_batch_that_breaks_them"),),
    ),
    Mutant(
        "limits-in-redis-alone",
        "the seats of a visitor are counted in Postgres too (rule 10)",
        (
            Edit(
                BOOKING_SQL,
                "            WHEN c.of_visitor > ev.seats_per_visitor THEN 'too_many_seats'\n",
                "",
            ),
        ),
        (test("ledger_orders", "every_reason_to_refuse_and_nothing_is_booked"),),
    ),
    Mutant(
        "closed-is-not-closed",
        "no booking of a cancelled event commits (P7)",
        (
            Edit(BOOKING_SQL, "            WHEN NOT on_sale THEN 'not_on_sale'\n", ""),
            Edit(
                "seatmap/ledger/events.py",
                "SET status = 'cancelled', status_version = status_version + 1, epoch = epoch + 1",
                "SET status = 'cancelled', status_version = status_version + 1",
            ),
        ),
        (test("ledger_orders", "no_booking_commits_after_the_event_was_cancelled"),),
    ),
    Mutant(
        "resolver-by-time-alone",
        "an order that is given up can never be booked (rule 17)",
        (
            Edit(
                RESOLVE,
                "await orders.abort(stores.pool, order_id, event_id, order.visitor, bytes.fromhex(order.body))",
                "await orders.verdict(stores.pool, order_id, order.visitor, bytes.fromhex(order.body))"
                ' or orders.Verdict(order_id, "aborted", "order_aborted")',
            ),
        ),
        (
            test("checkout_broken", "the_resolver_before_a_late_commit"),
            cells("resolve: resolve.before_finish=sleep"),
        ),
    ),
    Mutant(
        "tombstone-read-in-one-statement",
        "the verdict is read after the tombstone was committed (rule 17)",
        (
            Edit(
                ORDERS,
                '        await conn.execute(\n            "SELECT decide_abort($1, $2, $3, $4, $5, $6)",',
                "        row = await conn.fetchrow(\n"
                '            "SELECT v.outcome FROM decide_abort($1, $2, $3, $4, $5, $6)"\n'
                '            " LEFT JOIN verdicts v ON v.order_id = $1",',
            ),
            Edit(
                ORDERS,
                "    decided = await verdict(pool, order_id, visitor, body_hash)\n",
                '    decided = Verdict(order_id, row["outcome"] or outcome, reason)\n',
            ),
        ),
        (test("ledger_orders", "a_tombstone_waits_for_the_booking_in_flight_and_then_reads_it"),),
    ),
    Mutant(
        "absent-verdict-taken-for-a-booking",
        "a verdict that was committed elsewhere meanwhile is read (rule 11)",
        (
            Edit(
                "seatmap/ledger/group.py",
                "verdicts.get(purchase.order_id)\n",
                'verdicts.get(purchase.order_id, Verdict(purchase.order_id, "committed", ""))\n',
            ),
        ),
        (
            test("ledger_orders", "a_booking_that_waited_for_a_tombstone_is_read_again"),
            test("checkout_broken", "retry_before_the_resolver_goes_on_where_the_first_try_ended"),
        ),
    ),
    Mutant(
        "resolver-revives-a-cancelled-order",
        "FINISH carries out what the bookings say now (rule 17)",
        (
            Edit(
                RESOLVE,
                'orders.FINISHED[await orders.standing(stores.pool, order_id) or "confirmed"]',
                '"confirmed"',
            ),
        ),
        (test("checkout_broken", "the_resolver_finds_a_commit_that_was_cancelled_since"),),
    ),
    Mutant(
        "acknowledged-before-the-commit",
        "nobody is told that they booked before Postgres has it (P2)",
        (
            Edit(
                BOOK,
                "            verdict = await self._ledger.book(purchase)\n",
                "            writing = asyncio.ensure_future(self._ledger.book(purchase))\n"
                "            writing.add_done_callback(lambda done: done.exception())\n"
                '            verdict = Verdict(order.order_id, "committed", "", "free")\n',
            ),
        ),
        (cells("book: book.before_postgres=raise"), test("checkout", "refused_by_postgres")),
    ),
    Mutant(
        "refused-by-redis-alone",
        "a refusal is a verdict before it is told (rule 12)",
        (
            Edit(
                BOOK,
                "await self._write_down(_purchase(event_id, 0, visitor, order, body), refusal)",
                'Verdict(order.order_id, "refused", refusal.code)',
            ),
        ),
        (
            test("checkout", "a_refusal_by_redis_is_not_told_when_the_order_was_booked_before"),
            cells("refused-by-redis: book.after_refusal=raise"),
        ),
    ),
    Mutant(
        "cancel-frees-redis-first",
        "a seat is freed in Postgres first (DESIGN: Redis is never freer)",
        (
            Edit(
                BOOK,
                '        await failpoint("cancel.before_postgres")\n',
                "        mine = await orders.get(self._stores.pool, order.order_id, visitor)\n"
                "        assert mine is not None\n"
                "        seats = tuple(seat.seat for seat in mine.seats)\n"
                "        early = commands.Cancel(order.order_id.hex, visitor, seats)\n"
                "        await self._stores.desk.decide(mine.event_id, early)\n"
                '        await failpoint("cancel.before_postgres")\n',
            ),
        ),
        (cells("cancel: cancel.before_postgres=sleep"),),
    ),
    Mutant(
        "refund-owed-after-the-commit",
        "what is to be paid back is written with the cancellation (P8)",
        (
            Edit(BOOKING_SQL, "        PERFORM owe_refund(pay.id, worth, p_reason);\n", "        NULL;\n"),
            Edit(
                BOOK,
                "            await failpoint(after)\n",
                "            if isinstance(command, commands.Cancel):\n"
                "                async with self._stores.pool.acquire() as conn:\n"
                "                    await conn.execute(\n"
                "                        \"SELECT owe_refund(id, amount, 'buyer') FROM payments\"\n"
                '                        " WHERE order_id = $1::text::uuid",\n'
                "                        command.order_id,\n"
                "                    )\n"
                "            await failpoint(after)\n",
            ),
        ),
        (cells("cancel-paid: cancel.after_ack=exit"),),
    ),
    Mutant(
        "webhook-counts-twice",
        "a provider's message is carried out once (P8)",
        (
            Edit(SETTLE_SQL, "    IF NOT FOUND THEN\n        said := 'duplicate';\n    ELSIF", "    IF"),
            Edit(SETTLE_SQL, "pay.status NOT IN ('created', 'authorized', 'failed', 'expired')", "false"),
        ),
        (test("payments", "a_message_counts_once"),),
    ),
    Mutant(
        "late-money-is-kept",
        "a payment that comes late is re-seated or paid back (rule 14)",
        (
            Edit(
                SETTLE_SQL,
                "            UPDATE payments SET reseat_order_id = gen_random_uuid() WHERE id = pay.id;\n",
                "            NULL;\n",
            ),
        ),
        (test("payments", "a_late_payment_of_seats_that_were_sold_goes_back"),),
    ),
    Mutant(
        "expiry-does-not-ask-the-provider",
        "a session ends before its order does (rule 13)",
        (Edit("seatmap/checkout/payment.py", "        if payment.session:\n", "        if False:\n"),),
        (test("payments", "expiry_asks_the_provider_first_and_believes_it"),),
    ),
    Mutant(
        "a-reply-moves-the-screen",
        "only frames move a screen's position (rule 2)",
        (
            Edit(
                "seatmap/web/socket.py",
                "                reply = self.session.answer(result)\n",
                "                if isinstance(result, protocol.MineState):\n"
                "                    self._room.hub.sync(self.screen, Position(result.epoch, result.version))\n"
                "                reply = self.session.answer(result)\n",
            ),
        ),
        (test("web", "an_answer_does_not_stand_for_the_frame_that_follows"),),
    ),
)

# Not one wall between two buyers is gone but all four: what people build first. Whatever looks for a double sale has
# to find it.
CONTROL = Mutant(
    "naive",
    "whoever asks gets the seat",
    (
        Edit(
            "seatmap/booking/lua/hold.lua",
            "  if status == AVAILABLE then take",
            "  if status ~= BLOCKED then take",
        ),
        Edit(BEGIN, "  if owners.get(seat) ~= token then return 'HOLD_CHANGED' end\n", ""),
        Edit(
            TABLES,
            "CREATE UNIQUE INDEX one_active_booking_per_seat",
            "CREATE INDEX one_active_booking_per_seat",
        ),
        Edit(BOOKING_SQL, "bool_or(w.taken) AS taken", "false AS taken"),
    ),
    (cells("book: book.after_begin=sleep"), SWARM),
)
