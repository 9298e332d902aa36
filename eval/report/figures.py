"""The figures of a report, looked up in a run's summary or counted over its rows, and the words for them."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from eval.runs.rows import Outcome, Row
from eval.runs.summary import LOWER_IS_BETTER, flat
from rag.prompts import language_name

_MIN_SURE = 5  # questions, below which an interval is uninformative


@dataclass(frozen=True, slots=True)
class Word:
    """A name to show and what it means."""

    name: str
    meaning: str
    sign: str = ""
    kind: str = ""  # good, bad, or neither
    headline: bool = False


WORDS = {
    group: {key: Word(**values) for key, values in own.items()}
    for group, own in tomllib.loads(files("eval.report").joinpath("words.toml").read_text("utf-8")).items()
}
HEADLINE = [measure for measure, one in WORDS["measures"].items() if one.headline]


def word(group: str, key: str) -> Word:
    """The word of a measure, outcome, verdict or reason; its own name where it has none."""
    return WORDS[group].get(key, Word(key, key))


def language_label(tag: str) -> str:
    """A language as a reader knows it, with its tag: `Korean (ko)`."""
    return f"{language_name(tag)} ({tag})" if tag not in ("", "?") else "unknown"


@dataclass(frozen=True, slots=True)
class Figure:
    """A measure of `n` questions; `interval` is its 95 % interval, None where the summary has none."""

    value: float
    n: int
    interval: tuple[float, float] | None

    @property
    def shown(self) -> str:
        """The value, with three digits."""
        # A summary holds four digits: what is not rounded yet must not differ from it by being rounded only once.
        return f"{round(self.value, 4):.3f}"

    @property
    def between(self) -> str:
        """The interval; empty where there is none."""
        return f"{self.interval[0]:.2f}–{self.interval[1]:.2f}" if self.interval else ""

    @property
    def sure(self) -> str:
        """The interval, or n where it is too small for one."""
        return self.between if self.interval and self.n >= _MIN_SURE else f"n = {self.n:,}"


def figure(group: Mapping[str, Any], measure: str) -> Figure | None:
    """A measure of a summary or of a group of it; None where it was not measured."""
    value = flat(group).get(measure)
    if value is None:
        return None
    bounds = group["intervals"].get(measure)
    return Figure(value, group["n_measured"].get(measure, group["n"]), (bounds[0], bounds[1]) if bounds else None)


@dataclass(frozen=True, slots=True)
class Step:
    """`n` questions reached this step; `lost` are the outcomes of those that reached only the step before."""

    name: str
    n: int
    lost: tuple[tuple[Outcome, int], ...] = ()


_STEPS = {
    True: {
        "questions that have an answer": (),
        "a passage with the evidence was found": (Outcome.FAILED, Outcome.NOT_RETRIEVED),
        "an answer was given": (Outcome.REFUSED,),
        "the answer cites the evidence": (Outcome.NOT_USED,),
        "the answer has what was expected": (Outcome.WRONG,),
    },
    False: {"questions that have no answer": (), "rightly refused": (Outcome.FAILED, Outcome.ANSWERED)},
}


def funnel(rows: Sequence[Row], *, answerable: bool) -> list[Step]:
    """How far the questions of one kind came; those that cannot be judged are left out, none give none."""
    judged = [row for row in rows if row.item.answerable is answerable and row.outcome is not Outcome.UNJUDGED]
    counts = Counter(row.outcome for row in judged)
    steps: list[Step] = []
    left = len(judged)
    for name, outcomes in _STEPS[answerable].items() if judged else ():
        lost = tuple((outcome, counts[outcome]) for outcome in outcomes if counts[outcome])
        left -= sum(n for _, n in lost)
        steps.append(Step(name, left, lost))
    return steps if any(row.answer for row in judged) else steps[:2]  # else only passages were looked for


def worst_first(rows: Sequence[Row]) -> list[Row]:
    """Rows by outcome, then by the mean of what they measure, then by id."""
    rank = {outcome: place for place, outcome in enumerate(WORDS["outcomes"])}

    def worth(row: Row) -> tuple[int, float, str]:
        goods = [1 - value if measure in LOWER_IS_BETTER else value for measure, value in row.values.items()]
        return rank[row.outcome], sum(goods) / max(1, len(goods)), row.item.id

    return sorted(rows, key=worth)
