"""The measures of a run: means with their intervals, over all questions and by group."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.confidence import bootstrap_intervals, bootstrap_statistic
from eval.measures.abstention import abstention, trade_off
from eval.measures.percentiles import percentiles
from eval.measures.roc_auc import roc_auc
from eval.runs.rows import ANSWER, CITATION, RANKING, Row

Floats = NDArray[np.float64]

OTHERS = ("support.unsupported", "language.right", "abstention.right", "judge.correct")
MEASURES = (*RANKING, *ANSWER, *CITATION, *OTHERS)
LOWER_IS_BETTER = frozenset({"support.unsupported"})


def values_of(rows: Sequence[Row], measures: Sequence[str]) -> Floats:
    """(n_rows, n_measures) of what the rows measure; NaN where a measure does not apply."""
    table = [[row.values.get(measure, math.nan) for measure in measures] for row in rows]
    return np.array(table, dtype=np.float64).reshape(len(rows), len(measures))


def summarise(rows: Sequence[Row], price: tuple[float, float] | None = None) -> dict[str, Any]:
    """The summary of a run, in the shape of `eval --json`.

    `price` is what a million tokens read and written cost.
    """
    summary = {
        **_group(rows),
        "by_language": _groups(rows, lambda row: [row.item.lang]),
        "by_language_pair": _groups(rows, lambda row: [row.pair] if row.item.answerable else []),
        "by_tag": _groups(rows, lambda row: row.item.tags),
        "by_document": _groups(rows, lambda row: [row.document] if row.document else []),
        "outcomes": {str(outcome): n for outcome, n in sorted(Counter(row.outcome for row in rows).items())},
        "latency_ms": _times(rows, "total"),
        "failed": sum(bool(row.problem) for row in rows),
        "failures": [{"id": row.item.id, "why": row.problem} for row in rows if row.problem],
    }
    answered = [row for row in rows if row.answer]
    if answered:
        summary["abstention"] |= _trade_off(answered)
        summary["first_event_ms"] = _times(rows, "first_event")
        summary["first_text_ms"] = _times(rows, "first_text")
        summary["usage"] = _usage(answered, price)
    return summary


def _groups(rows: Sequence[Row], names: Callable[[Row], Iterable[str]]) -> dict[str, Any]:
    by_name: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for name in names(row):
            by_name[name].append(row)
    return {name: _group(own) for name, own in sorted(by_name.items())}


def _group(rows: Sequence[Row]) -> dict[str, Any]:
    """n, means and 95 % intervals; a measure that applies to no row is left out."""
    table = values_of(rows, MEASURES)
    counted = ~np.isnan(table)
    intervals = bootstrap_intervals(table)
    group: dict[str, Any] = {"n": len(rows), "n_answerable": sum(row.item.answerable for row in rows)}
    of_n: dict[str, int] = {}
    bounds: dict[str, list[float]] = {}
    for column, measure in enumerate(MEASURES):
        n = int(counted[:, column].sum())
        if not n:
            continue
        mean = float(np.nanmean(table[:, column]))
        kind, _, name = measure.rpartition(".")
        (group.setdefault(kind, {}) if kind else group)[name] = round(mean, 4)
        of_n[measure] = n
        bounds[measure] = [round(intervals[column].low, 4), round(intervals[column].high, 4)]
    if any(row.answer for row in rows):
        group.setdefault("abstention", {}).update(_abstention(rows, bounds))
    return {**group, "n_measured": of_n, "intervals": bounds}


def _abstention(rows: Sequence[Row], bounds: dict[str, list[float]]) -> dict[str, float]:
    abstained = np.array([row.abstained for row in rows])
    answerable = np.array([row.item.answerable for row in rows])
    if not answerable.all():
        interval = bootstrap_statistic(
            lambda chosen: abstention(abstained[chosen].tolist(), answerable[chosen].tolist())["f1"], len(rows)
        )
        bounds["abstention.f1"] = [round(interval.low, 4), round(interval.high, 4)]
    found = abstention(abstained.tolist(), answerable.tolist())
    return {name: round(value, 4) for name, value in found.items()}


def _trade_off(rows: Sequence[Row]) -> dict[str, Any]:
    """How well the relevance tells questions with an answer from others, at every threshold."""
    points = trade_off([row.relevance for row in rows], [row.item.answerable for row in rows])
    held = [row.relevance for row in rows if row.item.answerable]
    lacking = [row.relevance for row in rows if not row.item.answerable]
    auc = roc_auc(held, lacking) if held and lacking else math.nan
    told = {} if math.isnan(auc) else {"roc_auc": round(auc, 4)}
    return {**told, "curve": [{name: round(value, 4) for name, value in asdict(point).items()} for point in points]}


def _times(rows: Sequence[Row], name: str) -> dict[str, float]:
    found = percentiles([row.timings_ms[name] for row in rows if name in row.timings_ms and not row.problem])
    return {key: round(value, 2) for key, value in found.items()}


def _usage(rows: Sequence[Row], price: tuple[float, float] | None) -> dict[str, float]:
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row.answer.get("usage", {}))
    usage: dict[str, float] = {name: total[name] for name in ("input_tokens", "output_tokens", "n_calls")}
    if price is not None:
        cost = (total["input_tokens"] * price[0] + total["output_tokens"] * price[1]) / 1e6
        usage |= {"cost": round(cost, 6), "cost_per_question": round(cost / len(rows), 6)}
    return usage


def flat(group: Mapping[str, Any]) -> dict[str, float]:
    """The measures of a summary, or of a group of it, by their flat names, as in `answer.f1`."""
    found: dict[str, float] = {}
    for name, value in group.items():
        if name in RANKING:
            found[name] = value
        elif name in ("answer", "citation", "support", "language", "abstention", "judge") and isinstance(
            value, Mapping
        ):
            found |= {f"{name}.{key}": number for key, number in value.items() if isinstance(number, float | int)}
    return found
