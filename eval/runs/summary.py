"""The measures of a run: means with their intervals, over all questions and by group."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.measures.abstention import ABSTENTION, abstention, abstention_sums, roc_auc
from eval.measures.confidence import bootstrap_ratios
from eval.measures.ranking import RANKING
from eval.runs.rows import ANSWER, CITATION, Row

Floats = NDArray[np.float64]

MEASURES = (*RANKING, *ANSWER, *CITATION, "support.unsupported", "language.right", "abstention.right")
ALL_MEASURES = (*MEASURES, *ABSTENTION, "abstention.roc_auc")
LOWER_IS_BETTER = frozenset({"support.unsupported"})


def values_of(rows: Sequence[Row]) -> Floats:
    """(n_rows, n_measures) of what the rows measure; NaN where a measure does not apply."""
    table = [[row.values.get(measure, math.nan) for measure in MEASURES] for row in rows]
    return np.array(table, dtype=np.float64).reshape(len(rows), len(MEASURES))


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """The summary of a run, in the shape of `eval --json`."""
    summary = {
        **_group(rows),
        "by_language": _groups(rows, lambda row: [row.item.lang]),
        "by_language_pair": _groups(rows, lambda row: [row.pair] if row.item.answerable else []),
        "by_tag": _groups(rows, lambda row: row.item.tags),
        "outcomes": {str(outcome): n for outcome, n in sorted(Counter(row.outcome for row in rows).items())},
        "latency_ms": _times(rows, "total"),
        "failed": sum(bool(row.problem) for row in rows),
        "failures": [{"id": row.item.id, "why": row.problem} for row in rows if row.problem],
    }
    answered = [row for row in rows if row.answer]
    if answered:
        kinds = ([row.relevance for row in answered if row.item.answerable is kind] for kind in (True, False))
        if not math.isnan(auc := roc_auc(*kinds)):
            summary["abstention"]["roc_auc"] = round(auc, 4)
        summary["first_event_ms"] = _times(rows, "first_event")
        summary["first_text_ms"] = _times(rows, "first_text")
        used = [row.answer.get("usage", {}) for row in answered]
        names = ("input_tokens", "output_tokens", "n_calls")
        summary["usage"] = {name: sum(usage.get(name, 0) for usage in used) for name in names}
    return summary


def flat(group: Mapping[str, Any]) -> dict[str, float]:
    """The measures of a summary, or of a group of it, by their flat names, as in `answer.f1`."""
    found: dict[str, float] = {}
    for measure in ALL_MEASURES:
        kind, _, name = measure.rpartition(".")
        values = group.get(kind, {}) if kind else group
        if name in values:
            found[measure] = values[name]
    return found


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 (numpy's `linear`), in the unit of the values; 0 without values."""
    found = np.percentile(values, (50, 95, 99)) if len(values) else np.zeros(3)
    return {name: round(float(value), 2) for name, value in zip(("p50", "p95", "p99"), found, strict=True)}


def _groups(rows: Sequence[Row], names: Callable[[Row], Iterable[str]]) -> dict[str, Any]:
    by_name: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for name in names(row):
            by_name[name].append(row)
    return {name: _group(own) for name, own in sorted(by_name.items())}


def _group(rows: Sequence[Row]) -> dict[str, Any]:
    """n, means and 95 % intervals; a measure that applies to no row is left out."""
    group: dict[str, Any] = {"n": len(rows), "n_answerable": sum(row.item.answerable for row in rows)}
    n_measured: dict[str, int] = {}
    intervals: dict[str, list[float]] = {}
    values = values_of(rows)
    applies = ~np.isnan(values)
    refused, can = [row.abstained for row in rows], [row.item.answerable for row in rows]
    above, below = abstention_sums(refused, can)
    above, below = np.hstack([np.where(applies, values, 0.0), above]), np.hstack([applies, below])
    is_answered = any(row.answer for row in rows)
    for measure, one in zip((*MEASURES, *ABSTENTION), bootstrap_ratios(above, below), strict=True):
        if math.isnan(one.value) or (measure in ABSTENTION and not is_answered):
            continue
        kind, _, name = measure.rpartition(".")
        (group.setdefault(kind, {}) if kind else group)[name] = round(one.value, 4)
        intervals[measure] = [round(one.low, 4), round(one.high, 4)]
        n_measured[measure] = len(rows) if measure in ABSTENTION else one.n
    if is_answered:
        found = {name: round(value, 4) for name, value in abstention(refused, can).items()}
        group["abstention"] = found | group.get("abstention", {})
    return {**group, "n_measured": n_measured, "intervals": intervals}


def _times(rows: Sequence[Row], name: str) -> dict[str, float]:
    return percentiles([row.timings_ms[name] for row in rows if name in row.timings_ms and not row.problem])
