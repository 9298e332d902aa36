"""A reliability diagram as SVG: what was said against what was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eval.relevance.logistic import Bin

_SIDE, _EDGE = 320, 48
_COLOURS = ("#0b6e99", "#c4541c", "#4f7942")


def reliability_svg(curves: Mapping[str, Sequence[Bin]]) -> str:
    """One curve a name; the area of a dot tells how many cases it stands for."""
    most = max((one.n for bins in curves.values() for one in bins), default=1)
    size = _SIDE + 2 * _EDGE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" font-family="sans-serif" font-size="12">',
        f'<rect width="{size}" height="{size}" fill="#fff"/>',
        f'<rect x="{_EDGE}" y="{_EDGE}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#888"/>',
        f'<path d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}" stroke="#888" stroke-dasharray="4"/>',
    ]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<text x="{_x(tick)}" y="{_y(0) + 18:.1f}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{_x(0) - 8:.1f}" y="{_y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts.append(f'<text x="{_x(0.5)}" y="{size - 8}" text-anchor="middle">relevance, as said</text>')
    parts.append(
        f'<text x="14" y="{_y(0.5)}" text-anchor="middle" transform="rotate(-90 14 {_y(0.5)})">share that was so</text>'
    )
    for (name, bins), colour in zip(curves.items(), _COLOURS, strict=False):
        path = "L".join(f"{_x(one.said):.1f} {_y(one.was):.1f}" for one in bins)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for one in bins:
            radius = 2 + 8 * (one.n / most) ** 0.5
            parts.append(
                f'<circle cx="{_x(one.said):.1f}" cy="{_y(one.was):.1f}" r="{radius:.1f}"'
                f' fill="{colour}" fill-opacity="0.5"/>'
            )
        place = _EDGE + 16 + 16 * list(curves).index(name)
        parts.append(f'<text x="{_EDGE + 10}" y="{place}" fill="{colour}">{name.lower()}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _x(value: float) -> float:
    return _EDGE + _SIDE * value


def _y(value: float) -> float:
    return _EDGE + _SIDE * (1 - value)
