"""Two runs of the same questions: what changed, what of it is more than chance, and on which questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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

    def as_json(self) -> dict[str, Any]:
        """The comparison as one JSON object."""
        return asdict(self)

    @property
    def worse(self) -> list[Difference]:
        """The measures that are worse by more than chance."""
        return [one for one in self.differences if one.significant and one.gain < 0]


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
    one, other = [first[id] for id in both], [second[id] for id in both]
    a, b = values_of(one), values_of(other)
    shapes: list[Mapping[str, Any]] = [before.about["shape"], after.about["shape"]]
    settings = {name: (shapes[0].get(name), shapes[1].get(name)) for name in dict.fromkeys([*shapes[0], *shapes[1]])}
    return Comparison(
        before=before.name,
        after=after.name,
        n=len(both),
        only_before=tuple(id for id in first if id not in both),
        only_after=tuple(id for id in second if id not in both),
        settings={name: values for name, values in settings.items() if values[0] != values[1]},
        differences=_differences(a, b),
        questions=_questions(one, other, (b - a) * _SIGNS),
    )


def _differences(a: Floats, b: Floats) -> tuple[Difference, ...]:
    """Of every measure that both have, the surest first."""
    pairs = {}
    for column, measure in enumerate(MEASURES):
        both = ~np.isnan(a[:, column] - b[:, column])
        if both.any():
            pairs[measure] = a[both, column], b[both, column]
    raw = [paired_randomisation(one, other) for one, other in pairs.values()]
    found = []
    for (measure, (one, other)), p, p_holm in zip(pairs.items(), raw, holm(raw), strict=True):
        gains = (other - one) * (-1.0 if measure in LOWER_IS_BETTER else 1.0)
        found.append(
            Difference(
                measure=measure,
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


def _questions(before: Sequence[Row], after: Sequence[Row], gains: Floats) -> tuple[QuestionChange, ...]:
    changed = []
    for one, other, row in zip(before, after, gains, strict=True):
        known = row[~np.isnan(row)]
        gain = float(known.mean()) if len(known) else 0.0
        if one.outcome != other.outcome or gain:
            changed.append(QuestionChange(one.item.id, one.item.question, one.outcome, other.outcome, gain))
    return tuple(sorted(changed, key=lambda change: (-abs(change.gain), change.id)))
