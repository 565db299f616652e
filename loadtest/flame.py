"""A flame graph as SVG, of what `py-spy record --native --format raw` wrote: `python -m loadtest.flame IN OUT TITLE`.

Threads that only wait are left out, which py-spy's own picture shows as half of its width.
"""

import sys
from html import escape
from pathlib import Path

WIDTH, ROW, LEAST = 1200.0, 17, 0.4  # pixels; narrower than LEAST is not drawn
WAITS = ("PyThread_acquire_lock_timed", "epoll_wait", "epoll_pwait", "thread_run")
COMMON = 0.97  # callers that so many samples have in common say nothing
COLOURS = {"seatmap/": "#e8833a", ".py": "#f2c14e"}  # ours, other Python; the rest is C and the kernel
KERNEL, OTHER = "#c8553d", "#d9d4c7"
KERNELS_CALLS = ("write (libc", "read (libc", "accept4", "epoll", "setsockopt", "getsockname")


class Node:
    """One function where it was called from."""

    def __init__(self) -> None:
        self.samples = 0
        self.below: dict[str, Node] = {}


def stacks(lines: list[str]) -> Node:
    """The tree of all that was not waiting."""
    root = Node()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if any(word in stack for word in WAITS):
            continue
        node = root
        node.samples += int(count)
        for frame in stack.split(";"):
            node = node.below.setdefault(frame, Node())
            node.samples += int(count)
    while root.below:
        largest = max(root.below.values(), key=lambda below: below.samples)
        if largest.samples < COMMON * root.samples:
            break
        root = largest
    return root


def svg(root: Node, title: str) -> str:
    """The picture, the callers above."""
    boxes: list[str] = []
    scale = WIDTH / max(root.samples, 1)

    def draw(node: Node, x: float, depth: int) -> int:
        deepest = depth
        for name, below in sorted(node.below.items()):
            width = below.samples * scale
            if width >= LEAST:
                share = below.samples / root.samples * 100
                boxes.append(_box(name, x, depth * ROW + 40, width, share))
                deepest = max(deepest, draw(below, x, depth + 1))
            x += width
        return deepest

    height = (draw(root, 0, 0) + 1) * ROW + 50
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height}" font-family="monospace" '
        f'font-size="11"><rect width="100%" height="100%" fill="#fff"/><text x="8" y="22" font-size="15">'
        f"{escape(title)}</text>{''.join(boxes)}</svg>\n"
    )


def _box(name: str, x: float, y: float, width: float, share: float) -> str:
    fill = next((colour for part, colour in COLOURS.items() if part in name), OTHER)
    if name.startswith(KERNELS_CALLS):
        fill = KERNEL
    letters = int(width / 6.8)
    text = f'<text x="{x + 3:.1f}" y="{y + 12}">{escape(name[:letters])}</text>' if letters > 3 else ""
    place = f'x="{x:.1f}" y="{y}" width="{max(width - 0.5, 0.3):.1f}" height="{ROW - 1}"'
    return f'<g><title>{escape(name)}: {share:.1f} %</title><rect {place} fill="{fill}"/>{text}</g>'


if __name__ == "__main__":
    source, target, title = sys.argv[1:4]
    Path(target).write_text(svg(stacks(Path(source).read_text().splitlines()), title))
