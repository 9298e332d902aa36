"""Two runs of the same questions: what changed, what of it is more than chance, and on which questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.errors import RunUnusable
from eval.measures.confidence import holm, paired_randomisation
from eval.runs.folder import FinishedRun
from eval.runs.rows import Row
from eval.runs.summary import LOWER_IS_BETTER, MEASURES, Floats, values_of

SIGNIFICANT = 0.05
_SIGNS = np.array([-1.0 if measure in LOWER_IS_BETTER else 1.0 for measure in MEASURES])


@dataclass(frozen=True, slots=True)
class Difference:
    """A measure in two runs, over the `n` questions that both measured.

    `gain` is `change`, positive where it is for the better. `p` is of a two-sided paired randomisation test; `p_holm`
    is corrected for the measures compared. `wins` and `losses` count questions on which the second run is better, and
    worse.
    """

    measure: str
    n: int
    before: float
    after: float
    change: float
    gain: float
    p: float
    p_holm: float
    significant: bool
    wins: int
    losses: int


@dataclass(frozen=True, slots=True)
class QuestionChange:
    """A question whose outcome or whose measures differ; `gain` is the mean change, positive for the better."""

    id: str
    question: str
    before: str
    after: str
    gain: float


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

    @property
    def worse(self) -> list[Difference]:
        """The measures that are worse by more than chance."""
        return [one for one in self.differences if one.significant and one.gain < 0]


def compare(before: FinishedRun, after: FinishedRun) -> Comparison:
    """What changed from one run to another.

    Raises:
        RunUnusable: They have no question in common.
    """
    first, second = ({row.item.id: row for row in run.rows} for run in (before, after))
    # The same id with other words is another question.
    both = [id for id in first if id in second and first[id].item.question == second[id].item.question]
    if not both:
        raise RunUnusable(f"{before.path} and {after.path} have no question in common; expected: runs of one gold file")
    pairs, common = [(first[id], second[id]) for id in both], set(both)
    one, other = before.about["shape"], after.about["shape"]
    settings = {name: (one.get(name), other.get(name)) for name in {**one, **other}}
    return Comparison(
        before=before.name,
        after=after.name,
        n=len(both),
        only_before=tuple(id for id in first if id not in common),
        only_after=tuple(id for id in second if id not in common),
        settings={name: values for name, values in settings.items() if values[0] != values[1]},
        differences=_differences(*(values_of(rows) for rows in zip(*pairs, strict=True))),
        questions=_questions(pairs),
    )


def _differences(a: Floats, b: Floats) -> tuple[Difference, ...]:
    """Of every measure that both have, the surest first."""
    both = {column: ~np.isnan(a[:, column] - b[:, column]) for column in range(len(MEASURES))}
    columns = [column for column, known in both.items() if known.any()]
    raw = [paired_randomisation(a[both[column], column], b[both[column], column]) for column in columns]
    found = []
    for column, p, p_holm in zip(columns, raw, holm(raw), strict=True):
        one, other = a[both[column], column], b[both[column], column]
        gains = (other - one) * _SIGNS[column]
        found.append(
            Difference(
                measure=MEASURES[column],
                n=len(one),
                before=float(one.mean()),
                after=float(other.mean()),
                change=float(other.mean() - one.mean()),
                gain=float(gains.mean()),
                p=p,
                p_holm=p_holm,
                significant=p_holm < SIGNIFICANT,
                wins=int((gains > 0).sum()),
                losses=int((gains < 0).sum()),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.p_holm, one.p, -abs(one.change), MEASURES.index(one.measure))))


def _questions(pairs: Sequence[tuple[Row, Row]]) -> tuple[QuestionChange, ...]:
    changed = []
    for one, other in pairs:
        gains = ((values_of([other]) - values_of([one])) * _SIGNS)[0]
        known = gains[~np.isnan(gains)]
        gain = float(known.mean()) if len(known) else 0.0
        if one.outcome != other.outcome or gain:
            changed.append(QuestionChange(one.item.id, one.item.question, one.outcome, other.outcome, gain))
    return tuple(sorted(changed, key=lambda change: (-abs(change.gain), change.id)))
