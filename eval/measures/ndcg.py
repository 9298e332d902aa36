"""nDCG@k of one question: DCG with gain 1 for a passage with evidence not seen above it, over the ideal.

Range [0, 1]. Järvelin & Kekäläinen (2002), discount 1 / log2(rank + 1). Passages overlap, so a second
passage with the same evidence gains nothing, and the ideal has one passage per evidence span.
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
        dcg += len(indices - seen) / math.log2(rank + 1)
        seen |= indices
    # A passage that holds several spans gains them at once; the ideal has all of them in the first.
    return dcg / n_evidence
