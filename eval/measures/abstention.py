"""Abstention as a classifier of questions that have no answer in the articles, and the relevance behind it.

precision: of the abstentions, the share on unanswerable questions. recall: of the unanswerable questions, the share
abstained on. F1: their harmonic mean. Range [0, 1]. Each is a ratio of sums over questions, so that it can be
resampled like a mean; NaN where the sum below the line is 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ABSTENTION = ("abstention.precision", "abstention.recall", "abstention.f1")


def abstention_sums(abstained: Sequence[bool], answerable: Sequence[bool]) -> tuple[Floats, Floats]:
    """What is summed above and below the line: each (n_questions, 3), the columns as in `ABSTENTION`."""
    refused, unanswerable = np.asarray(abstained, np.float64), 1 - np.asarray(answerable, np.float64)
    hits = refused * unanswerable
    return np.stack([hits, hits, 2 * hits], axis=1), np.stack([refused, unanswerable, refused + unanswerable], axis=1)


def abstention(abstained: Sequence[bool], answerable: Sequence[bool]) -> dict[str, float]:
    """precision, recall and f1 over questions; 0 where NaN would be."""
    above, below = (sums.sum(axis=0) for sums in abstention_sums(abstained, answerable))
    ratios = np.divide(above, below, out=np.zeros(3), where=below > 0)
    return dict(zip(("precision", "recall", "f1"), map(float, ratios), strict=True))


def trade_off(relevance: Sequence[float], answerable: Sequence[bool]) -> list[tuple[float, float]]:
    """The ROC curve: (share of the unanswerable answered, share of the answerable answered) at every threshold.

    A question is answered where its relevance is at least the threshold, as in `rag.chain`. The thresholds are the
    values that occur, falling, after one above them all. Without questions of both kinds there is no curve.
    """
    values, can = np.asarray(relevance, np.float64), np.asarray(answerable, np.bool_)
    if not can.any() or can.all():
        return []
    thresholds = np.concatenate([[np.inf], np.unique(values)[::-1]])
    wrongly, rightly = (1 - np.searchsorted(np.sort(own), thresholds) / len(own) for own in (values[~can], values[can]))
    return list(zip(wrongly.tolist(), rightly.tolist(), strict=True))


def roc_auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """How often a positive scores higher than a negative, a tie counting half; in [0, 1], NaN without either.

    The statistic of Mann & Whitney (1947) over the number of pairs: ties are exact.
    """
    one, other = np.asarray(positive, dtype=np.float64), np.sort(np.asarray(negative, dtype=np.float64))
    if not len(one) or not len(other):
        return math.nan
    n_halves = np.searchsorted(other, one, "left").sum() + np.searchsorted(other, one, "right").sum()
    return float(n_halves / (2 * len(one) * len(other)))
