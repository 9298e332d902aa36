"""Thresholds that a run must reach, so that it can fail a build."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from eval.runs.summary import ALL_MEASURES, LOWER_IS_BETTER, flat


class Threshold(NamedTuple):
    """What a measure must reach, in a group of questions (a language, a pair as in `ko->zh-Hant`, a tag) or in all."""

    group: str
    measure: str
    value: float


def parse_threshold(text: str) -> Threshold:
    """The threshold that `MEASURE=VALUE`, or `GROUP:MEASURE=VALUE`, names.

    Raises:
        ValueError: It is neither, or the measure is unknown.
    """
    name, _, value = text.partition("=")
    group, colon, measure = name.rpartition(":")
    try:
        found = Threshold(group, measure, float(value))
    except ValueError:
        found = Threshold(group, measure, math.nan)
    if math.isnan(found.value) or (colon and not group) or measure not in ALL_MEASURES:
        raise ValueError(
            f"{text!r} is no threshold; expected: MEASURE=NUMBER, as recall@5=0.8, or ko:recall@5=0.7 for a language,"
            f" a pair of languages or a tag; measures: {', '.join(ALL_MEASURES)}"
        )
    return found


def missed(summary: Mapping[str, Any], thresholds: Sequence[Threshold]) -> list[str]:
    """A line for each threshold that is not reached, or whose measure does not apply."""
    groups = {"": summary} | summary["by_tag"] | summary["by_language_pair"] | summary["by_language"]
    lines = []
    for group, measure, value in thresholds:
        found, name = flat(groups.get(group, {})).get(measure), f"{group}:{measure}".removeprefix(":")
        sign = -1 if measure in LOWER_IS_BETTER else 1
        if found is None:
            lines.append(f"{name} was not measured; expected: {value:g}")
        elif found * sign < value * sign:
            lines.append(f"{name} is {found:.4f}; expected: at {'most' if sign < 0 else 'least'} {value:g}")
    return lines
