"""DECIDES: every change of a seat is one Lua rule, run by one script call that takes a batch of commands."""
