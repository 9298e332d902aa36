"""Thresholds that a run must reach, so that it can fail a build."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.runs.summary import ALL_MEASURES, LOWER_IS_BETTER, flat


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
    left, _, right = text.partition("=")
    group, colon, measure = left.rpartition(":")
    try:
        value = float(right)
    except ValueError:
        value = math.nan
    if math.isnan(value) or (colon and not group) or measure not in ALL_MEASURES:
        raise ValueError(
            f"{text!r} is no threshold; expected: MEASURE=NUMBER, as recall@5=0.8, or ko:recall@5=0.7 for a language,"
            f" a pair of languages or a tag; measures: {', '.join(ALL_MEASURES)}"
        )
    return Threshold(group.strip(), measure.strip(), value)


def missed(summary: Mapping[str, Any], thresholds: Sequence[Threshold]) -> list[str]:
    """A line for each threshold that is not reached, or whose measure does not apply."""
    lines = []
    for threshold in thresholds:
        found, lower = _value(summary, threshold), threshold.measure in LOWER_IS_BETTER
        if found is None:
            lines.append(f"{threshold} was not measured; expected: {threshold.value:g}")
        elif (found > threshold.value) if lower else (found < threshold.value):
            lines.append(f"{threshold} is {found:.4f}; expected: at {'most' if lower else 'least'} {threshold.value:g}")
    return lines


def _value(summary: Mapping[str, Any], threshold: Threshold) -> float | None:
    if not threshold.group:
        return flat(summary).get(threshold.measure)
    for kind in ("by_language", "by_language_pair", "by_tag"):
        if threshold.group in summary.get(kind, {}):
            return flat(summary[kind][threshold.group]).get(threshold.measure)
    return None
