"""Two runs of the same questions, side by side: what changed, what of it is more than chance, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.confidence import holm, paired_randomisation
from eval.errors import RunUnusable
from eval.runs.folder import FinishedRun
from eval.runs.rows import Row
from eval.runs.summary import LOWER_IS_BETTER, MEASURES, values_of

SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Difference:
    """A measure in two runs, over the questions that both measured.

    `p` is of a two-sided paired randomisation test; `p_holm` is corrected for the measures compared.
    `wins` and `losses` count the questions on which the second run is better, and worse.
    """

    measure: str
    n: int
    before: float
    after: float
    p: float
    p_holm: float
    wins: int
    losses: int

    @property
    def change(self) -> float:
        return self.after - self.before

    @property
    def gain(self) -> float:
        """The change, positive where it is for the better."""
        return -self.change if self.measure in LOWER_IS_BETTER else self.change

    @property
    def significant(self) -> bool:
        return self.p_holm < SIGNIFICANT


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs of the same questions; of `differences` the surest is first, of `questions` the greatest change."""

    before: str
    after: str
    n: int
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    settings: Mapping[str, tuple[Any, Any]]
    differences: tuple[Difference, ...]
    questions: tuple[QuestionChange, ...]


@dataclass(frozen=True, slots=True)
class QuestionChange:
    """A question whose outcome or whose measures differ."""

    id: str
    question: str
    before: str
    after: str
    gain: float  # mean change of the measures, positive where it is for the better


def compare(before: FinishedRun, after: FinishedRun) -> Comparison:
    """What changed from one run to another.

    Raises:
        RunUnusable: They have no question in common.
    """
    first = {row.item.id: row for row in before.rows}
    second = {row.item.id: row for row in after.rows}
    # The same id with other words is another question.
    both = [id for id in first if id in second and first[id].item.question == second[id].item.question]
    if not both:
        raise RunUnusable(f"{before.path} and {after.path} have no question in common; expected: runs of one gold file")
    pairs = [(first[id], second[id]) for id in both]
    common = set(both)
    return Comparison(
        before=before.name,
        after=after.name,
        n=len(both),
        only_before=tuple(id for id in first if id not in common),
        only_after=tuple(id for id in second if id not in common),
        settings=_settings(before.about["shape"], after.about["shape"]),
        differences=differences([one for one, _ in pairs], [other for _, other in pairs]),
        questions=_questions(pairs),
    )


def differences(before: Sequence[Row], after: Sequence[Row]) -> tuple[Difference, ...]:
    """Of every measure that both have, the surest first; rows are of the same questions, in the same order."""
    one, other = values_of(before, MEASURES), values_of(after, MEASURES)
    found = []
    for column, measure in enumerate(MEASURES):
        both = ~(np.isnan(one[:, column]) | np.isnan(other[:, column]))
        if both.any():
            found.append((measure, one[both, column], other[both, column]))
    raw = [paired_randomisation(a, b).p for _, a, b in found]
    corrected = holm(raw)
    made = []
    for (measure, a, b), p, p_holm in zip(found, raw, corrected, strict=True):
        better = (a - b if measure in LOWER_IS_BETTER else b - a) > 0
        worse = (a - b if measure in LOWER_IS_BETTER else b - a) < 0
        made.append(
            Difference(
                measure, len(a), float(a.mean()), float(b.mean()), p, p_holm, int(better.sum()), int(worse.sum())
            )
        )
    return tuple(sorted(made, key=lambda one: (one.p_holm, one.p, -abs(one.change), MEASURES.index(one.measure))))


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        name: (before.get(name), after.get(name))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    }


def _questions(pairs: Sequence[tuple[Row, Row]]) -> tuple[QuestionChange, ...]:
    changed = []
    for one, other in pairs:
        gain = _gain(one, other)
        if one.outcome != other.outcome or gain:
            changed.append(QuestionChange(one.item.id, one.item.question, one.outcome, other.outcome, gain))
    return tuple(sorted(changed, key=lambda change: (-abs(change.gain), change.id)))


def _gain(one: Row, other: Row) -> float:
    a, b = values_of([one], MEASURES)[0], values_of([other], MEASURES)[0]
    signs = np.array([-1.0 if measure in LOWER_IS_BETTER else 1.0 for measure in MEASURES])
    both = ~(np.isnan(a) | np.isnan(b))
    return float(((b - a) * signs)[both].mean()) if both.any() else 0.0
