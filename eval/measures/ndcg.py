"""nDCG@k of one question: DCG over the evidence spans found, over that of the ideal ranking.

Range [0, 1]. Järvelin & Kekäläinen (2002), gain 1, discount 1 / log2(rank + 1). A span gains once, in the first
passage that overlaps it: passages overlap, and a second one with the same evidence is worth nothing. The ideal
has one span a passage, from the first on; of several in one passage each counts no higher than its ideal rank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def ndcg(found: Sequence[frozenset[int]], n_evidence: int, k: int) -> float:
    """nDCG@k, where `found[i]` are the indices of the evidence spans that the i-th passage overlaps.

    Raises:
        ValueError: There is no evidence.
    """
    if n_evidence < 1:
        raise ValueError("nDCG needs at least one evidence span")
    seen: set[int] = set()
    dcg = 0.0
    for rank, indices in enumerate(found[:k], 1):
        n_before = len(seen)
        seen |= indices
        dcg += sum(_discount(max(rank, ideal_rank)) for ideal_rank in range(n_before + 1, min(len(seen), k) + 1))
    return dcg / sum(_discount(rank) for rank in range(1, min(n_evidence, k) + 1))


def _discount(rank: int) -> float:
    return 1 / math.log2(rank + 1)
