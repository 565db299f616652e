"""Joins booking and ledger: the only place that calls both.

The rule that makes it safe: Redis is never freer than Postgres. A seat is taken in Redis first and freed
in Postgres first.
"""
