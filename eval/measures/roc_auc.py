"""ROC-AUC: how often a positive scores higher than a negative, a tie counting half.

Range [0, 1], 0.5 where the scores tell nothing. The statistic of Mann & Whitney (1947) over the number of pairs, so
ties are exact; NaN where either class is empty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def roc_auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """ROC-AUC of the scores of positives against those of negatives.

    Raises:
        ValueError: A score is not a number.
    """
    one, other = np.asarray(positive, dtype=np.float64), np.sort(np.asarray(negative, dtype=np.float64))
    if np.isnan(one).any() or np.isnan(other).any():
        raise ValueError("a score is not a number; expected: every question scored")
    if not len(one) or not len(other):
        return math.nan
    n_halves = np.searchsorted(other, one, "left").sum() + np.searchsorted(other, one, "right").sum()
    return float(n_halves / (2 * len(one) * len(other)))
