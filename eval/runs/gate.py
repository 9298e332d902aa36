"""A run as a gate: what must be reached, and what must not have become worse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.runs.compare import Comparison, Difference
from eval.runs.summary import LOWER_IS_BETTER, MEASURES, flat

_ABSTENTION = ("abstention.precision", "abstention.recall", "abstention.f1", "abstention.roc_auc")


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a measure must reach, over all questions or in a group of them."""

    group: str  # a language, a pair as in `ko->zh-Hant`, or a tag; empty for all questions
    measure: str
    value: float

    def __str__(self) -> str:
        return f"{self.group}:{self.measure}" if self.group else self.measure


def parse_threshold(text: str) -> Threshold:
    """The threshold that `MEASURE=VALUE`, or `GROUP:MEASURE=VALUE`, names.

    Raises:
        ValueError: It is neither, or the measure is unknown.
    """
    left, equals, right = text.partition("=")
    group, colon, measure = left.rpartition(":")
    try:
        value = float(right)
    except ValueError:
        value = float("nan")
    known = (*MEASURES, *_ABSTENTION)
    if not equals or math.isnan(value) or (colon and not group) or measure not in known:
        raise ValueError(
            f"{text!r} is no threshold; expected: MEASURE=NUMBER, as recall@5=0.8, or ko:recall@5=0.7 for a language,"
            f" a pair of languages or a tag; measures: {', '.join(known)}"
        )
    return Threshold(group.strip(), measure.strip(), value)


def missed(summary: Mapping[str, Any], thresholds: Sequence[Threshold]) -> list[str]:
    """A line for each threshold that is not reached, or of which nothing was measured."""
    lines = []
    for threshold in thresholds:
        found = _value(summary, threshold)
        if found is None:
            lines.append(f"{threshold} was not measured; expected: {threshold.value:g}")
        elif threshold.measure in LOWER_IS_BETTER and found > threshold.value:
            lines.append(f"{threshold} is {found:.4f}; expected: at most {threshold.value:g}")
        elif threshold.measure not in LOWER_IS_BETTER and found < threshold.value:
            lines.append(f"{threshold} is {found:.4f}; expected: at least {threshold.value:g}")
    return lines


def _value(summary: Mapping[str, Any], threshold: Threshold) -> float | None:
    if not threshold.group:
        return flat(summary).get(threshold.measure)
    for kind in ("by_language", "by_language_pair", "by_tag", "by_document"):
        if threshold.group in summary.get(kind, {}):
            return flat(summary[kind][threshold.group]).get(threshold.measure)
    return None


def worse(comparison: Comparison) -> list[Difference]:
    """The measures that are worse by more than chance."""
    return [one for one in comparison.differences if one.significant and one.gain < 0]
