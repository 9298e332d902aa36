"""The table of measures, a run beside an earlier one, and the thresholds that a run misses."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

Measures = Mapping[str, Mapping[str, float]]  # by suite, then by name


def as_table(after: Measures, before: Measures | None = None) -> Table:
    """A line for each measure; with `before`, also its value there and the difference, empty where one is missing."""
    columns = ("value",) if before is None else ("before", "after", "difference")
    table = Table("suite", "measure", *columns)
    for name in columns:
        table.columns[-len(columns) + columns.index(name)].justify = "right"
    for suite in [*after, *(name for name in before or () if name not in after)]:
        own, earlier = after.get(suite, {}), (before or {}).get(suite, {})
        for i, measure in enumerate(dict.fromkeys([*own, *earlier])):
            new, old = own.get(measure), earlier.get(measure)
            cells = [_shown(new)] if before is None else [_shown(old), _shown(new), _difference(old, new)]
            table.add_row("" if i else suite, measure, *cells)
        table.add_section()
    return table


def missed(measures: Measures, thresholds: Measures) -> list[str]:
    """A line for each threshold of the measured suites that is not reached."""
    lines = []
    for suite, own in measures.items():
        for measure, least in thresholds.get(suite, {}).items():
            if own.get(measure, float("-inf")) < least:
                lines.append(
                    f"{suite}.{measure} is {_shown(own.get(measure)) or 'missing'}; expected: at least {least:g}"
                )
    return lines


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if (value == int(value) and value > 1) or value >= 1_000 else f"{value:.3f}"


def _difference(old: float | None, new: float | None) -> str:
    if old is None or new is None:
        return ""
    return f"{new - old:+.3f}" if max(abs(old), abs(new)) < 1_000 else f"{new - old:+,.0f}"
