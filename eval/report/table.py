"""A run's measures as a table for a terminal of 100 columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eval.report.figures import between, figure, number
from eval.report.words import OUTCOMES

_WIDTH, _NAME, _COLUMN = 100, 22, 10
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
_DETAILS = {
    "answer": ("contains", "f1", "em", "char3"),
    "citation": ("precision", "recall", "f1"),
    "support": ("unsupported",),
    "language": ("right",),
    "abstention": ("precision", "recall", "f1", "right", "roc_auc"),
}
_TIMES = {"latency": "latency_ms", "first event": "first_event_ms", "first words": "first_text_ms"}
_MAX_GROUPS = 40
_MAX_FAILURES = 50


def as_table(summary: Mapping[str, Any]) -> str:
    """The headline measures with their 95 % intervals and by group, then what else was measured."""
    columns = {name: measure for name, measure in _COLUMNS.items() if figure(summary, measure)}
    lines = [_line("", [f"{'n':>7}", *(f"{name:>{_COLUMN}}" for name in columns)])]
    lines += [_row("all", summary, columns.values()), *_intervals(summary, columns.values())]
    for title, kind in _GROUPS.items():
        lines += _group(title, summary.get(kind, {}), columns.values())
    if "answer" in columns or "cited" in columns:
        said = "n: questions that have an answer; answer: has an expected one; cited: share of evidence cited"
        lines += ["", *wrapped(said, "")]
    lines += ["", *_details(summary), *_end(summary)]
    return "\n".join(line.rstrip() for line in lines)


def _group(title: str, found: Mapping[str, Mapping[str, Any]], measures: Any) -> list[str]:
    if not found:
        return []
    largest = set(sorted(found, key=lambda name: (-found[name].get("n", 0), name))[:_MAX_GROUPS])
    rows = [_row(name, group, measures) for name, group in found.items() if name in largest]
    return ["", title, *rows, *([f"and {len(found) - len(rows)} smaller ones"] if len(found) > len(rows) else [])]


def _row(name: str, group: Mapping[str, Any], measures: Any) -> str:
    found = [figure(group, measure) for measure in measures]
    cells = [f"{number(one.value) if one else '-':>{_COLUMN}}" for one in found]
    return _line(name, [f"{group['n_answerable']:>7}", *cells])


def _intervals(summary: Mapping[str, Any], measures: Any) -> list[str]:
    found = [figure(summary, measure) for measure in measures]
    if not any(one and one.interval for one in found):
        return []
    cells = [f"{_between(one.interval) if one and one.interval else '':>{_COLUMN}}" for one in found]
    return [_line("95 % interval", [f"{'':>7}", *cells])]


def _between(interval: tuple[float, float]) -> str:
    return between(interval).replace("–", "-")


def _line(name: str, cells: Sequence[str]) -> str:
    return fitted(name, _NAME) + "".join(cells)


def _details(summary: Mapping[str, Any]) -> Iterator[str]:
    """The measures of answers, each with its interval."""
    for kind, names in _DETAILS.items():
        parts = []
        for name in names:
            found = figure(summary, f"{kind}.{name}")
            if found:
                sure = f" ({_between(found.interval)})" if found.interval else ""
                parts.append(f"{name} {number(found.value)}{sure}")
        if parts:
            yield from _listed(kind, parts, "  ")


def _end(summary: Mapping[str, Any]) -> Iterator[str]:
    """What became of the questions, how long they took, and what failed."""
    counts = summary.get("outcomes", {})
    outcomes = [f"{outcome} {counts[outcome]}" for outcome in reversed(OUTCOMES) if counts.get(outcome)]
    if outcomes:
        yield from _listed("outcomes", outcomes, "  ")
    for name, kind in _TIMES.items():
        if summary.get(kind):
            yield from _listed(name, [f"{key} {time:.1f} ms" for key, time in summary[kind].items()], "  ")
    usage = [f"{name.replace('_', ' ')} {value:,}" for name, value in summary.get("usage", {}).items() if value]
    if usage:
        yield from _listed("usage", usage, "  ")
    failures = summary.get("failures", ())
    yield from _listed("failed", [f"{summary['failed']} of {summary['n']}"], "")
    for failure in failures[:_MAX_FAILURES]:
        yield from wrapped(f"{failure['id']}: {failure['why']}", "  ")
    if len(failures) > _MAX_FAILURES:
        yield f"  and {len(failures) - _MAX_FAILURES} more"


def _listed(name: str, parts: Sequence[str], between_them: str) -> Iterator[str]:
    """Parts behind a name, on as many lines as they need; a part is never broken."""
    line = f"{name:12}"
    for place, part in enumerate(parts):
        piece = part + (between_them if place < len(parts) - 1 else "")
        if columns_of(line) + columns_of(piece.rstrip()) > _WIDTH and line.strip():
            yield line
            line = " " * 12
        line += piece
    yield line


def wrapped(text: str, indent: str) -> Iterator[str]:
    """Lines of at most 100 columns, those after the first two further in; words too long for a line are broken."""
    line, empty = indent, True
    for word in " ".join(text.split()).split(" "):
        if not empty and columns_of(line) + 1 + columns_of(word) > _WIDTH:
            yield line
            line, empty = indent + "  ", True
        line += word if empty else f" {word}"
        empty = False
        while columns_of(line) > _WIDTH:
            head = _beginning(line, _WIDTH)
            yield head
            line = f"{indent}  {line[len(head) :]}"
    yield line


def fitted(text: str, width: int) -> str:
    """`text` in exactly `width` columns and a space at its end: cut, with `…`, or filled."""
    text = " ".join(text.split())
    if columns_of(text) >= width:
        text = _beginning(text, width - 2) + "…"
    return text + " " * (width - columns_of(text))


def columns_of(text: str) -> int:
    """How many columns a terminal takes for `text`: two for a wide sign, none for one that joins another."""
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _beginning(text: str, width: int) -> str:
    """As much of `text` as `width` columns hold."""
    taken = 0
    for place, char in enumerate(text):
        taken += _columns(char)
        if taken > width:
            return text[:place]
    return text
