"""The plots of a report as SVG: the colours are the page's, the numbers are also in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from eval.report.markup import Markup, el

_SIDE, _LEFT, _RIGHT, _TOP, _BOTTOM = 260, 64, 24, 14, 44
_WIDE, _HIGH = 420, 200
_N_BINS = 24
_LABEL = 130  # as wide as a label may be


def trade_off_svg(curve: Sequence[Mapping[str, Any]], here: tuple[float, float] | None) -> Markup:
    """Share of the answerable questions answered against that of the unanswerable, and where the run stands."""
    points = [(float(point["unanswerable_answered"]), float(point["answerable_answered"])) for point in curve]

    def x(value: float) -> str:
        return f"{_LEFT + _SIDE * value:.1f}"

    def y(value: float) -> str:
        return f"{_TOP + _SIDE * (1 - value):.1f}"

    ticks = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        ticks += [
            el("path", class_="grid", d=f"M{x(tick)} {y(0)}V{y(1)}M{x(0)} {y(tick)}H{x(1)}"),
            _text(f"{tick:.0%}", x(tick), float(y(0)) + 16, "middle"),
            _text(f"{tick:.0%}", float(x(0)) - 6, float(y(tick)) + 4, "end"),
        ]
    line = "L".join(f"{x(across)} {y(up)}" for across, up in sorted(points))
    parts = [
        *ticks,
        el("path", class_="chance", d=f"M{x(0)} {y(0)}L{x(1)} {y(1)}"),
        el("path", class_="curve", d=f"M{line}") if points else "",
        _text("answered though there is no answer", x(0.5), float(y(0)) + 36, "middle"),
        el(
            "text",
            "answered of those that can be",
            text_anchor="middle",
            transform=f"translate(12 {y(0.5)}) rotate(-90)",
        ),
    ]
    said = "Each threshold of relevance is a point; the upper left corner is best, the dashed line is chance."
    if here is not None:
        across, up = here
        beside, anchor = (-10, "end") if across > 0.6 else (10, "start")
        parts += [
            el("path", class_="here", d=f"M{x(across)} {y(up)}m-6 0l6 -6l6 6l-6 6z"),
            _text("this run", float(x(across)) + beside, float(y(up)) + (16 if up > 0.5 else -8), anchor, "strong"),
        ]
        said += f" This run answered {up:.0%} of the questions that have an answer and {across:.0%} of the others."
    width, height = _LEFT + _SIDE + _RIGHT, _TOP + _SIDE + _BOTTOM
    return _svg("trade-off", "Trade-off between answering and refusing", said, width, height, *parts)


def latency_svg(times_ms: Sequence[float], p50: float, p95: float) -> Markup:
    """How many questions took how long; the last bar holds all that took longer still. At least one time."""
    most = max(times_ms)
    top = _round_up(most if most <= 2.5 * p95 else 2 * p95)
    counts = [0] * _N_BINS
    for time in times_ms:
        counts[min(_N_BINS - 1, int(time / top * _N_BINS))] += 1
    highest = max(counts)

    def x(time: float) -> float:
        return _LEFT + _WIDE * min(1.0, time / top)

    def y(n: float) -> float:
        return _TOP + 20 + _HIGH * (1 - n / highest)

    bars = [
        el(
            "rect",
            el("title", f"{count} of {len(times_ms)} questions"),
            class_="bar",
            x=f"{_LEFT + _WIDE * place / _N_BINS + 1:.1f}",
            y=f"{y(count):.1f}",
            width=f"{_WIDE / _N_BINS - 2:.1f}",
            height=f"{y(0) - y(count):.1f}",
        )
        for place, count in enumerate(counts)
        if count
    ]
    over = ["or more"] if most > top else []
    axis = [
        _text(" ".join([_ms(top * part), *(over if part == 1 else [])]), x(top * part), y(0) + 16, anchor)
        for part, anchor in ((0, "middle"), (0.25, "middle"), (0.5, "middle"), (0.75, "middle"), (1, "end"))
    ]
    parts = [
        el("path", class_="grid", d=f"M{_LEFT} {y(0):.1f}H{_LEFT + _WIDE}M{_LEFT} {y(highest):.1f}H{_LEFT + _WIDE}"),
        _text(str(highest), _LEFT - 6, y(highest) + 4, "end"),
        _text("0", _LEFT - 6, y(0) + 4, "end"),
        *bars,
        *axis,
        _text("time of an answer; bars count questions", _LEFT + _WIDE / 2, y(0) + 36, "middle"),
    ]
    # Each label on the side away from the other, if there is room; the labels over the lines.
    sides = ("end" if x(p50) > _LEFT + _LABEL else "start", "start" if x(p95) < _LEFT + _WIDE - _LABEL else "end")
    marked = (("half within", p50, 14, sides[0]), ("95 % within", p95, 0, sides[1]))
    parts += [
        el("path", class_="line", d=f"M{x(time):.1f} {y(0):.1f}V{_TOP + down - 8}") for _, time, down, _ in marked
    ]
    parts += [
        _text(f"{name} {_ms(time)}", x(time) + (4 if side == "start" else -4), _TOP + down, side, "strong")
        for name, time, down, side in marked
    ]
    said = f"Of {len(times_ms)} questions, half took at most {_ms(p50)}, and 95 % at most {_ms(p95)}."
    return _svg("latency", "How long an answer took", said, _LEFT + _WIDE + _RIGHT, _TOP + 20 + _HIGH + _BOTTOM, *parts)


def share_svg(kept: float, lost: float) -> Markup:
    """A bar as wide as its cell: the share that came as far, and beside it the one that was lost at this step."""
    return el(
        "svg",
        el("rect", class_="kept", width=f"{100 * kept:.2f}", height=10),
        el("rect", class_="lost", x=f"{100 * kept:.2f}", width=f"{100 * lost:.2f}", height=10),
        class_="share",
        viewBox="0 0 100 10",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def interval_svg(value: float, interval: tuple[float, float]) -> Markup:
    """A value between 0 and 1 and its interval, on a line as wide as its place."""
    low, high = interval
    return el(
        "svg",
        el("rect", class_="rail", y=4, width=100, height=2),
        el("rect", class_="range", x=f"{100 * low:.2f}", y=3, width=f"{max(1.0, 100 * (high - low)):.2f}", height=4),
        el("rect", class_="value", x=f"{max(0.0, min(99.0, 100 * value - 0.5)):.2f}", width=1, height=10),
        class_="interval",
        viewBox="0 0 100 10",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def _svg(id: str, title: str, said: str, width: float, height: float, *parts: str) -> Markup:
    return el(
        "svg",
        el("title", title, id=f"{id}-title"),
        el("desc", said, id=f"{id}-desc"),
        *parts,
        class_="plot",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        aria_labelledby=f"{id}-title {id}-desc",
    )


def _text(text: str, x: float | str, y: float | str, anchor: str, class_: str | None = None) -> Markup:
    return el("text", text, x=_short(x), y=_short(y), text_anchor=anchor, class_=class_)


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.1f}"


def _round_up(time: float) -> float:
    """The next of 1, 2, 3, 4, 5, 6, 8, 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(time, 0.001)))
    return next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= time * 0.999999)


def _ms(time: float) -> str:
    return f"{time / 1000:.3g} s" if time >= 1000 else f"{time:.3g} ms"
