"""A run's measures, and what changed from one run to another, as text for a terminal of 100 columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from eval.measures.ranking import RANKING
from eval.report.figures import WORDS, figure
from eval.runs.compare import Comparison
from eval.runs.summary import ALL_MEASURES

_NAME, _COLUMN = 22, 10
_COLUMNS = {
    "recall@1": "recall@1",
    "recall@5": "recall@5",
    "recall@10": "recall@10",
    "mrr@10": "mrr@10",
    "ndcg@10": "ndcg@10",
    "answer": "answer.contains",
    "cited": "citation.recall",
}
_GROUPS = {"question in": "by_language", "question -> document": "by_language_pair", "tag": "by_tag"}
_TIMES = {"latency": "latency_ms", "first event": "first_event_ms", "first words": "first_text_ms"}
_MAX_GROUPS, _MAX_LINES = 40, 50
_MAX_CHANGES = 20  # questions
_HEADLINES = ("recall@5", "ndcg@10", "answer.contains", "citation.precision", "abstention.right")


def as_table(summary: Mapping[str, Any]) -> str:
    """The headline measures with their 95 % intervals and by group, then the other measures, times and failures."""
    columns = {name: measure for name, measure in _COLUMNS.items() if figure(summary, measure)}
    found = [figure(summary, measure) for measure in columns.values()]
    lines = [_line("", "n", *columns), _row("all", summary, columns)]
    lines += [_line("95 % interval", "", *(one.between.replace("–", "-") if one else "" for one in found))]
    for title, kind in _GROUPS.items():
        groups = summary.get(kind, {})
        largest = sorted(groups, key=lambda name: -groups[name]["n"])[:_MAX_GROUPS]
        lines += ["", title] if groups else []
        lines += [_row(name, group, columns) for name, group in groups.items() if name in largest]
        if len(groups) > _MAX_GROUPS:
            lines += [f"and {len(groups) - _MAX_GROUPS} more"]
    lines += ["", "n: questions that have an answer; answer: has what was expected; cited: share of evidence cited", ""]
    return "\n".join(line.rstrip() for line in [*lines, *_details(summary)])


def comparison_table(comparison: Comparison) -> str:
    """The measures, the surest change first, and the questions that changed most."""
    lines = [f"{comparison.before} -> {comparison.after}, {comparison.n} questions"]
    lines += [f"{name}: {before} -> {after}" for name, (before, after) in comparison.settings.items()]
    lines += ["", f"{'':20}{'n':>6}{'before':>9}{'after':>9}{'change':>9}{'p':>8}{'wins':>6}{'losses':>8}"]
    lines += [
        f"{'*' if one.significant else ' '} {one.measure:18}{one.n:>6}{one.before:>9.3f}{one.after:>9.3f}"
        f"{one.change:>+9.3f}{one.p_holm:>8.3f}{one.wins:>6}{one.losses:>8}"
        for one in comparison.differences
    ]
    lines += ["", "* by more than chance: p < 0.05, paired randomisation, corrected for the number of measures (Holm)"]
    lines += [f"{len(comparison.questions)} questions changed"]
    lines += [
        f"  {change.gain:+.2f}  {change.id}  {change.before} -> {change.after}  {_fitted(change.question, 50)}"
        for change in comparison.questions[:_MAX_CHANGES]
    ]
    return "\n".join(lines)


def comparison_line(comparison: Comparison) -> str:
    """The headline measures that changed, in a line."""
    moved = [one for one in comparison.differences if one.measure in _HEADLINES and abs(one.change) >= 0.0005]
    shown = ", ".join(f"{one.measure} {one.change:+.3f}{'*' if one.significant else ''}" for one in moved)
    return f"against {comparison.before}: {shown or 'no headline measure changed'} (* by more than chance)"


def _row(name: str, group: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    found = [figure(group, measure) for measure in columns.values()]
    return _line(name, str(group["n_answerable"]), *(one.shown if one else "-" for one in found))


def _line(name: str, n: str, *cells: str) -> str:
    return f"{_fitted(name, _NAME)}{n:>7}" + "".join(f"{cell:>{_COLUMN}}" for cell in cells)


def _details(summary: Mapping[str, Any]) -> Iterator[str]:
    for measure in ALL_MEASURES:
        if measure not in RANKING and (found := figure(summary, measure)):
            yield f"{measure:22}{found.shown}  {found.between.replace('–', '-')}"
    counts = summary.get("outcomes", {})
    yield "outcomes    " + ", ".join(f"{name} {counts[name]}" for name in WORDS["outcomes"] if name in counts)
    for name, kind in _TIMES.items():
        if summary.get(kind):
            yield f"{name:12}" + "  ".join(f"{key} {time:.1f} ms" for key, time in summary[kind].items())
    usage = [f"{name.replace('_', ' ')} {value:,}" for name, value in summary.get("usage", {}).items() if value]
    if usage:
        yield "usage       " + "  ".join(usage)
    yield f"failed      {summary['failed']} of {summary['n']}"
    for failure in summary["failures"][:_MAX_LINES]:
        yield f"  {failure['id']}: {failure['why']}"


def _fitted(text: str, width: int) -> str:
    """`text` in exactly `width` columns of a terminal, cut or filled: a wide character takes two, a mark none."""
    taken = ""
    left = width
    for char in " ".join(text.split()):
        columns = 0 if unicodedata.category(char) in ("Mn", "Me", "Cf") else 1
        columns += columns and unicodedata.east_asian_width(char) in "WF"
        if columns > left - 1:
            return f"{taken}…" + " " * (left - 1)
        taken, left = taken + char, left - columns
    return taken + " " * left
