"""Bars as SVG, of what `python -m loadtest.bench NAME --save FILE` wrote.

`python -m loadtest.chart FILE SUFFIX OUT TITLE`: each figure whose name ends in `_SUFFIX` is a bar, the largest
first; the whisker goes from the least round to the largest.
"""

import sys
from html import escape
from pathlib import Path
from typing import Any

import msgspec

WIDTH, ROW, TOP, LABEL, VALUE = 760, 34, 76, 180, 150  # pixels
OURS = ("seatmap", "one", "holds", "books")  # how the benches name Seatmap's own figures
NO_PEER = "commands"  # holds and releases, or holds and bookings, together
NAMES = {
    "limit": "C send() loop",
    "node_ws": "Node ws",
    "nchan": "nchan (nginx)",
    "socket_io": "Socket.IO",
    "uwebsockets": "uWebSockets.js",
    "starlette_redis_py": "Starlette, redis-py",
    "for_update": "FOR UPDATE",
    "for_update_scattered": "FOR UPDATE, scattered",
}
STYLE = """
text { font: 14px system-ui, sans-serif; fill: #24292f }
.small { font-size: 12px; fill: #57606a }
.title { font-weight: 650 }
.ours { fill: #1b5ce0 }
.other { fill: #b7bfc9 }
.spread { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .small { fill: #9198a1 }
  .other { fill: #59636e }
  .ours { fill: #6d9bff }
  .spread { stroke: #e6edf3 }
}
"""


def svg(found: dict[str, Any], suffix: str, title: str) -> str:
    """The picture of the figures that end in `suffix`."""
    ending = f"_{suffix}"
    bars = {name.removesuffix(ending): one for name, one in found["figures"].items() if name.endswith(ending)}
    bars.pop(NO_PEER, None)
    if not bars:
        raise SystemExit(f"No figure ends in {ending}; there are {', '.join(found['figures'])}.")
    scale = (WIDTH - LABEL - VALUE) / max(one["max"] for one in bars.values())
    drawn = sorted(bars.items(), key=lambda bar: -bar[1]["median"])
    machine, rounds = found["machine"], drawn[0][1]["rounds"]
    where = f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {TOP + len(bars) * ROW + 14}" role="img"'
        f' aria-label="{escape(title)}"><style>{STYLE}</style>',
        f'<text class="title" x="10" y="26">{escape(title)}</text>',
        f'<text class="small" x="10" y="48">{escape(where)}; median and spread of {rounds} rounds</text>',
        *(_bar(name, one, TOP + row * ROW, scale) for row, (name, one) in enumerate(drawn)),
        "</svg>\n",
    ]
    return "".join(parts)


def _bar(name: str, one: dict[str, Any], top: int, scale: float) -> str:
    middle = top + ROW // 2 - 4
    look, shown = ("ours", "Seatmap") if name in OURS else ("other", NAMES.get(name, name.replace("_", " ")))
    low, high = (LABEL + one[end] * scale for end in ("min", "max"))
    value = f"{one['median']:,.{0 if one['median'] >= 100 else 1}f} {one['unit']}"
    whisker = f"M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 4}v8M{high:.1f} {middle - 4}v8"
    return (
        f'<text x="{LABEL - 10}" y="{middle + 5}" text-anchor="end">{escape(shown)}</text>'
        f'<rect class="{look}" x="{LABEL}" y="{top}" width="{one["median"] * scale:.1f}" height="{ROW - 8}" rx="3"/>'
        f'<path class="spread" d="{whisker}"/>'
        f'<text x="{high + 8:.1f}" y="{middle + 5}">{escape(value)}</text>'
    )


def main(source: str, suffix: str, out: str, title: str) -> None:
    """Draw one chart."""
    Path(out).write_text(svg(msgspec.json.decode(Path(source).read_bytes()), suffix, title))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
