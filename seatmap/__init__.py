"""Seatmap: a real-time reserved-seating server.

Read the package from the top down; imports go down only.

    cli                 commands: up, web, worker, migrate, demo, import-plan, create-admin, simulate,
                        verify, rebuild, doctor
    embedded, up        real Valkey and Postgres from wheels, and one parent for all processes
    web/    worker/     the edges: browsers and integrators; sweeper, resolver, reconciler, jobs
    checkout/           joins booking and ledger: book, cancel, resolve, rebuild
    booking/            DECIDES     Redis: one Lua rule per command
    live/               SHOWS       Redis → feed → replica → hub → screens
    ledger/             REMEMBERS   Postgres: all SQL is here
    plan/               venue plans: grid generator, pretix import, neighbours
    config errors model protocol keys       the vocabulary: no I/O
"""

__version__ = "0.1.0"
