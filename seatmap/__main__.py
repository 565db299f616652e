"""`python -m seatmap` is `seatmap`."""

from seatmap.cli import app

app()
