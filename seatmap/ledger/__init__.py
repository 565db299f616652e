"""REMEMBERS: what is in Postgres, and all SQL that there is; one module per aggregate.

Read orders.py and group.py first, beside migrations/…_booking.sql, which decides. Functions take the pool, or
a connection `conn` where the caller's transaction matters. With the pool they raise `Unavailable` when
Postgres is away or too slow; a write may have happened all the same, and its ids make repeating it safe.
"""
