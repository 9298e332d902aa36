"""Abstention as a classifier of questions that have no answer in the articles.

precision: of the abstentions, the share on unanswerable questions; recall: of the
unanswerable questions, the share abstained on; F1 their harmonic mean. Range [0, 1];
without abstentions precision is 0, without unanswerable questions recall is 0.

The trade-off is what they would be at every threshold that makes a difference, if a question
were answered where its relevance is at least that (as `rag.chain` does), beside the shares of
answerable and of unanswerable questions answered: a ROC curve, whose area is `eval.measures.roc_auc`.
The share of an empty class is 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from eval.measures.f_measure import f_measure


@dataclass(frozen=True, slots=True)
class AbstentionPoint:
    """What a threshold of relevance, below which is abstained, would give."""

    threshold: float
    answerable_answered: float
    unanswerable_answered: float
    precision: float
    recall: float
    f1: float


def abstention(abstained: Sequence[bool], answerable: Sequence[bool]) -> dict[str, float]:
    """precision, recall and f1 over questions."""
    hits = sum(a and not b for a, b in zip(abstained, answerable, strict=True))
    n_abstained, n_unanswerable = sum(abstained), len(answerable) - sum(answerable)
    precision = hits / n_abstained if n_abstained else 0.0
    recall = hits / n_unanswerable if n_unanswerable else 0.0
    return {"precision": precision, "recall": recall, "f1": f_measure(precision, recall)}


def trade_off(relevance: Sequence[float], answerable: Sequence[bool]) -> list[AbstentionPoint]:
    """A point for each relevance that occurs, rising, and one just above them all, at which nothing is answered.

    Questions of equal relevance are answered together or not at all; no questions give no points.

    Raises:
        ValueError: They are not as many, or a relevance is not finite.
    """
    if not all(map(math.isfinite, relevance)):
        raise ValueError("a relevance is not finite; expected: a number for each question")
    held, lacking = Counter[float](), Counter[float]()
    for value, has_answer in zip(relevance, answerable, strict=True):
        (held if has_answer else lacking)[float(value)] += 1
    values = sorted(held.keys() | lacking.keys())
    n_held, n_lacking = held.total(), lacking.total()
    points = []
    wrongly, rightly = 0, 0  # abstained on so far: answerable, unanswerable
    for threshold in [*values, math.nextafter(values[-1], math.inf)] if values else []:
        points.append(_point(threshold, wrongly, rightly, n_held, n_lacking))
        wrongly += held[threshold]
        rightly += lacking[threshold]
    return points


def best_threshold(points: Sequence[AbstentionPoint]) -> AbstentionPoint:
    """The point of the best F1; of several the one of the lowest threshold, which answers most.

    Raises:
        ValueError: There is no point.
    """
    if not points:
        raise ValueError("there is no point to choose from; expected: the trade-off of at least one question")
    return max(points, key=lambda point: (point.f1, -point.threshold))


def _point(threshold: float, wrongly: int, rightly: int, n_held: int, n_lacking: int) -> AbstentionPoint:
    n_abstained = wrongly + rightly
    return AbstentionPoint(
        threshold,
        (n_held - wrongly) / n_held if n_held else 0.0,
        (n_lacking - rightly) / n_lacking if n_lacking else 0.0,
        rightly / n_abstained if n_abstained else 0.0,
        rightly / n_lacking if n_lacking else 0.0,
        # One division of whole numbers: equal values are equal floats, so that the best one is exact.
        2 * rightly / (n_abstained + n_lacking) if n_lacking else 0.0,
    )
