"""Mutants of the Lua scripts."""

from tests.chaos.mutants.kinds import Edit, Mutant, test

BATCH, LIB = "seatmap/booking/lua/batch.lua", "seatmap/booking/lua/_lib.lua"
BEGIN, FINISH = "seatmap/booking/lua/begin.lua", "seatmap/booking/lua/finish.lua"

OF_SCRIPTS = (
    Mutant(
        "early-expiry",
        "others may take a seat only after the grace (rule 5)",
        (Edit(LIB, "return now < hold.deadline + meta.grace end", "return now < hold.deadline end"),),
        (test("rules_hold", "within_the_grace_others_may_not_take"),),
    ),
    Mutant(
        "begin-ignores-the-owner",
        "only its owner books a hold (rule 7)",
        (
            Edit(
                BEGIN,
                "local hold, word = own_hold(id, hold_id)",
                "local hold, word = holds.get(hold_id), 'HOLD_EXPIRED'",
            ),
        ),
        (test("rules_order", "begin_refuses_what_is_no_hold_of_the_buyer"),),
    ),
    Mutant(
        "begin-takes-a-part",
        "BEGIN takes exactly the hold (rule 7)",
        (Edit(BEGIN, "if #list ~= #hold.seats then return 'HOLD_CHANGED' end\n", ""),),
        (test("rules_order", "begin_with_other_seats_than_the_hold"),),
    ),
    Mutant(
        "order-id-for-other-seats",
        "an order id with another body is another order (rule 7)",
        (Edit(BEGIN, "if known.visitor == id and known.body == body then", "if known.visitor == id then"),),
        (test("rules_order", "begin_of_an_order_id_that_means_something_else"),),
    ),
    Mutant(
        "sweep-frees-undecided-seats",
        "an undecided seat is out of the sweeper's reach (rule 7)",
        (
            Edit(BEGIN, "for _, seat in ipairs(list) do owners.set(seat, 'p|' .. order_id) end\n", ""),
            Edit(BEGIN, "holds.set(hold_id, false)\n", ""),
            Edit(BEGIN, "expiry.set(hold_id, false)\n", ""),
        ),
        (test("rules_order", "an_undecided_order_is_out_of_the_sweepers_reach"),),
    ),
    Mutant(
        "finish-without-compare-and-set",
        "FINISH moves only seats that the order still has (rule 8)",
        (
            Edit(
                FINISH,
                "if owners.get(seat) == token then give(seat, BOOKED, 'b|' .. order_id) end",
                "give(seat, BOOKED, 'b|' .. order_id)",
            ),
        ),
        (test("rules_order", "finish_touches_only_the_seats_that_the_order_still_has"),),
    ),
    Mutant(
        "free-without-compare-and-set",
        "RELEASE, CANCEL and expiry free only what is still theirs (rules 5 and 8)",
        (
            Edit(
                LIB,
                "    if owners.get(seat) == token then\n      give(seat, AVAILABLE, false)",
                "    if owners.get(seat) then\n      give(seat, AVAILABLE, false)",
            ),
        ),
        (test("rules_order", "cancel_never_frees_what_another_has_by_now"),),
    ),
    Mutant(
        "release-of-anybodys-hold",
        "RELEASE compares the visitor (rule 5)",
        (Edit(LIB, "  if hold.visitor ~= visitor then return nil, 'NOT_YOUR_HOLD' end\n", ""),),
        (test("rules_hold", "release_refuses"),),
    ),
    Mutant(
        "repair-without-compare-and-set",
        "the reconciler acts only on what is as it saw it (rule 18)",
        (
            Edit(
                "seatmap/booking/lua/repair.lua",
                "if (owners.get(seat) or '') ~= owner_seen or seats.get(seat) ~= status_seen then",
                "if false then",
            ),
        ),
        (test("reconcile", "what_has_changed_since_it_was_seen_is_left_alone"),),
    ),
    Mutant(
        "deadline-not-checked",
        "a command that was given up is not carried out any more (rule 3)",
        (Edit(BATCH, "elseif now > deadline then closed = 'DEADLINE' end", "end"),),
        (test("rules_desk", "a_command_that_was_given_up_is_not_carried_out"),),
    ),
    Mutant(
        "connect-gate-off",
        "a Redis that restarted serves nothing until it is adopted or rebuilt (rules 3 and 21)",
        (Edit(BATCH, "meta.rid ~= rid or ", ""),),
        (test("rebuild", "a_restarted_redis_answers_recovering"),),
    ),
    Mutant(
        "clock-runs-backwards",
        "an event's time never runs backwards (rule 1)",
        (Edit(LIB, "local now = math.max(server_now, meta.floor or 0)", "local now = server_now"),),
        (test("rules_batch", "the_clock_never_runs_backwards"),),
    ),
    Mutant(
        "failed-rule-keeps-its-writes",
        "a rule that fails has changed nothing (rule 1)",
        (Edit(BATCH, "        journal[k][journal[k + 1]] = before\n", ""),),
        (test("rules_batch", "a_rule_that_breaks_half_way_is_undone"),),
    ),
    Mutant(
        "swap-without-higher-epoch",
        "of two rebuilders the later wins (rule 19)",
        (
            Edit(
                "seatmap/booking/lua/swap.lua",
                "if epoch <= (tonumber(redis.call('HGET', META, 'epoch')) or 0) then",
                "if false then",
            ),
        ),
        (test("rebuild_races", "of_two_rebuilders_the_later_epoch_wins"),),
    ),
)
