"""Growth as SVG: milliseconds against passages, both in powers of ten."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT, _EDGE = 480, 320, 56
_COLOURS = ("#0b6e99", "#c4541c", "#4f7942", "#5b3a8c")


def growth_svg(curves: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """One line a name through its (passages, milliseconds), which are over 0."""
    points = [point for own in curves.values() for point in own]
    left, right = _decades([x for x, _ in points])
    bottom, top = _decades([y for _, y in points])

    def place(x: float, y: float) -> str:
        across = _EDGE + _WIDTH * (math.log10(x) - left) / (right - left)
        down = _EDGE + _HEIGHT * (1 - (math.log10(y) - bottom) / (top - bottom))
        return f"{across:.1f} {down:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH + 2 * _EDGE} {_HEIGHT + 2 * _EDGE}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH + 2 * _EDGE}" height="{_HEIGHT + 2 * _EDGE}" fill="#fff"/>',
    ]
    for power in range(left, right + 1):
        parts.append(f'<path d="M{place(10**power, 10**bottom)}L{place(10**power, 10**top)}" stroke="#ddd"/>')
        across, down = place(10**power, 10**bottom).split()
        parts.append(f'<text x="{across}" y="{float(down) + 18:.1f}" text-anchor="middle">{10**power:,}</text>')
    for power in range(bottom, top + 1):
        parts.append(f'<path d="M{place(10**left, 10.0**power)}L{place(10**right, 10.0**power)}" stroke="#ddd"/>')
        across, down = place(10**left, 10.0**power).split()
        parts.append(
            f'<text x="{float(across) - 6:.1f}" y="{float(down) + 4:.1f}" text-anchor="end">{10.0**power:g} ms</text>'
        )
    for number, ((name, own), colour) in enumerate(zip(curves.items(), _COLOURS, strict=False)):
        line = "L".join(place(x, y) for x, y in own)
        parts.append(f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y in own:
            across, down = place(x, y).split()
            parts.append(f'<circle cx="{across}" cy="{down}" r="3" fill="{colour}"/>')
        parts.append(f'<text x="{_EDGE + 10}" y="{_EDGE + 16 + 16 * number}" fill="{colour}">{name}</text>')
    middle = _EDGE + _WIDTH / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT + 2 * _EDGE - 12}" text-anchor="middle">passages</text>')
    return "\n".join([*parts, "</svg>", ""])


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten around `values`, at least one apart."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)
