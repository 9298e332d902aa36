"""recall@k of one question: the share of its evidence spans that the first k passages overlap.

Range [0, 1]; a question without evidence has no recall and is left out of means. trec_eval's `recall_k` where a
passage holds one span at most and a span stands in one passage. Beyond that spans are counted, not passages: one
passage with all of them is enough, and a span found again is worth nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval.measures.depth import check_depth, check_evidence


def recall(found: Sequence[frozenset[int]], n_evidence: int, k: int) -> float:
    """recall@k, where `found[i]` are the indices of the evidence spans that the i-th passage overlaps.

    Raises:
        ValueError: There is no evidence, or `k` is less than 1.
    """
    check_evidence("recall", n_evidence)
    check_depth(k)
    return len(frozenset().union(*found[:k])) / n_evidence
