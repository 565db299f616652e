"""A deterministic simulation of the write path: docs/simulation.md says what it does."""
