"""What a report shows of a run, looked up in its summary or counted over its rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.report.words import OUTCOMES
from eval.runs.rows import Outcome, Row
from eval.runs.summary import LOWER_IS_BETTER

HEADLINE = (
    "recall@1",
    "recall@5",
    "recall@10",
    "ndcg@10",
    "answer.contains",
    "citation.precision",
    "citation.recall",
    "support.unsupported",
    "language.right",
    "abstention.f1",
)
PAIRS = ("recall@1", "recall@5", "recall@10", "ndcg@10", "answer.contains", "citation.recall")
_LEAST_SURE = 5  # questions, below which an interval says nothing


@dataclass(frozen=True, slots=True)
class Figure:
    """A measure of `n` questions; `interval` is its 95 % interval, None where the summary has none."""

    value: float
    n: int
    interval: tuple[float, float] | None


def figure(group: Mapping[str, Any], measure: str) -> Figure | None:
    """A measure of a summary or of a group of it; None where it was not measured."""
    kind, _, name = measure.rpartition(".")
    value = (group.get(kind) or {}).get(name) if kind else group.get(name)
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    n = group.get("n_measured", {}).get(measure, group.get("n" if kind == "abstention" else "n_answerable", 0))
    return Figure(value, n, _interval(group.get("intervals", {}).get(measure)))


def _interval(bounds: Any) -> tuple[float, float] | None:
    if not isinstance(bounds, Sequence) or len(bounds) != 2 or not all(map(math.isfinite, bounds)):
        return None
    return bounds[0], bounds[1]


def sure(found: Figure) -> str:
    """The interval of a group's measure, or what to say instead where it is of too few questions to mean anything."""
    return between(found.interval) if found.interval and found.n >= _LEAST_SURE else f"n = {found.n:,}"


def number(value: float) -> str:
    """A measure as it is shown everywhere."""
    # A summary holds four decimals: what is not rounded yet must not differ from it by being rounded only once.
    return f"{round(value, 4):.3f}"


def between(interval: tuple[float, float]) -> str:
    """An interval as it is shown everywhere."""
    return f"{interval[0]:.2f}–{interval[1]:.2f}"


def chance(p: float) -> str:
    """A p-value as it is shown everywhere."""
    return "under 0.001" if p < 0.001 else f"{p:.3f}"


@dataclass(frozen=True, slots=True)
class Step:
    """`n` of the questions came as far as this; `lost` are the outcomes of those that came only to the step before."""

    name: str
    n: int
    lost: tuple[tuple[Outcome, int], ...] = ()


_STEPS = (
    ("a passage with the evidence was found", (Outcome.FAILED, Outcome.NOT_RETRIEVED)),
    ("an answer was given", (Outcome.REFUSED,)),
    ("the answer cites the evidence", (Outcome.NOT_USED,)),
    ("the answer has what was expected", (Outcome.WRONG,)),
)


def funnel(rows: Sequence[Row]) -> list[Step]:
    """How far the questions that have an answer came; those that cannot be judged are left out, none give none."""
    judged = [row for row in rows if row.item.answerable and row.outcome is not Outcome.UNJUDGED]
    counts = Counter(row.outcome for row in judged)
    only_retrieved = bool(counts[Outcome.RETRIEVED]) or not any(row.answer for row in judged)
    steps = [Step("questions that have an answer", len(judged))] if judged else []
    for name, outcomes in (_STEPS[:1] if only_retrieved else _STEPS) if judged else ():
        lost = tuple((outcome, counts[outcome]) for outcome in outcomes if counts[outcome])
        steps.append(Step(name, steps[-1].n - sum(n for _, n in lost), lost))
    return steps


def refusals(rows: Sequence[Row]) -> list[Step]:
    """What came of the questions that have no answer, as `funnel`."""
    judged = [row for row in rows if not row.item.answerable and row.outcome is not Outcome.UNJUDGED]
    if not judged:
        return []
    counts = Counter(row.outcome for row in judged)
    lost = tuple((outcome, counts[outcome]) for outcome in (Outcome.FAILED, Outcome.ANSWERED) if counts[outcome])
    return [
        Step("questions that have no answer", len(judged)),
        Step("rightly refused", len(judged) - sum(n for _, n in lost), lost),
    ]


def operating_point(rows: Sequence[Row]) -> tuple[float, float] | None:
    """Shares of the unanswerable and of the answerable questions that the run answered; None where it lacks either."""
    shares = []
    for answerable in (False, True):
        own = [row for row in rows if row.answer and row.item.answerable is answerable]
        if not own:
            return None
        shares.append(sum(not row.abstained for row in own) / len(own))
    return shares[0], shares[1]


def worst_first(rows: Sequence[Row]) -> list[Row]:
    """Rows by outcome, then by the mean of what they measure, then by id."""
    rank = {outcome: place for place, outcome in enumerate(OUTCOMES)}

    def worth(row: Row) -> tuple[int, float, str]:
        goods = [1 - value if measure in LOWER_IS_BETTER else value for measure, value in row.values.items()]
        return rank[row.outcome], sum(goods) / max(1, len(goods)), row.item.id

    return sorted(rows, key=worth)
