"""recall@k of one question: the share of its evidence spans that the first k passages overlap.

Range [0, 1]; a question without evidence has no recall and is left out of means.
"""

from __future__ import annotations

from collections.abc import Sequence


def recall(found: Sequence[frozenset[int]], n_evidence: int, k: int) -> float:
    """recall@k, where `found[i]` are the indices of the evidence spans that the i-th passage overlaps.

    Raises:
        ValueError: There is no evidence.
    """
    if n_evidence < 1:
        raise ValueError("recall needs at least one evidence span")
    return len(frozenset().union(*found[:k])) / n_evidence
