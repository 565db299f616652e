"""Seatmap: a real-time reserved-seating server.

Read the package from the top down; imports go down only.

    cli                 commands: up, web, worker, migrate, demo, import-plan, create-admin, simulate,
                        verify, rebuild, doctor
    up webs embedded    one parent for all processes, many web processes on one port, Valkey and Postgres from wheels
    web/    worker/     the edges: browsers and integrators; sweeper, resolver, reconciler, jobs
    checkout/           joins booking and ledger: book, cancel, resolve, rebuild
    booking/            DECIDES     Redis: one Lua rule per command
    live/               SHOWS       Redis → feed → replica → hub → screens
    ledger/             REMEMBERS   Postgres: all SQL is here
    plan/               venue plans: grid generator, pretix import, neighbours
    connections breaker changes     reaching Redis, knowing that a store is away, what the log's entries say
    metrics tally failpoints        counting, and places where a test can make a process fail
    order_letter zones              what mails about an order say, by the venue's clocks
    config errors model protocol keys       the vocabulary: no I/O
"""

__version__ = "0.1.0"
