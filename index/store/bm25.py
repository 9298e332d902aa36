"""BM25 as SQLite's FTS5 computes it: the same scores in every backend.

The score of a passage is the sum over terms of idf * f * (k1 + 1) / (f + k1 * (1 - b + b * length / mean length)),
where f counts a term of the title as 0.6, and idf = ln((N - n + 0.5) / (n + 0.5)), at least 1e-6.
"""

from __future__ import annotations

import math

K1, B = 1.2, 0.75
TITLE_WEIGHT = 0.6  # of a term in the title, where one in the body has 1
_LEAST_IDF = 1e-6


def idf(n_passages: int, n_holding: int) -> float:
    """How rare a term is that `n_holding` of `n_passages` hold."""
    return max(_LEAST_IDF, math.log((max(0, n_passages - n_holding) + 0.5) / (n_holding + 0.5)))
