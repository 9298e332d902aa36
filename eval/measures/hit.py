"""hit@k of one question: 1 if any of the first k passages overlaps an evidence span, else 0.

Range {0, 1}; trec_eval's `success_k`. An empty ranking gives 0, and so does a question without evidence, which is left
out of means. How many spans a passage holds, and how many passages a span, makes no difference.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval.measures.depth import check_depth


def hit(found: Sequence[frozenset[int]], k: int) -> float:
    """hit@k, where `found[i]` are the indices of the evidence spans that the i-th passage overlaps.

    Raises:
        ValueError: `k` is less than 1.
    """
    check_depth(k)
    return float(any(found[:k]))
