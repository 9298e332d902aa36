"""precision@k of one question: of the first k passages, the share that overlaps an evidence span.

Range [0, 1]. The denominator is k, also where fewer passages were found: trec_eval's `P_k`. An empty ranking gives 0,
and so does a question without evidence, which is left out of means. Passages are counted, not spans: one that holds
several counts once, and each of several that hold the same span counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval.measures.depth import check_depth


def precision(found: Sequence[frozenset[int]], k: int) -> float:
    """precision@k, where `found[i]` are the indices of the evidence spans that the i-th passage overlaps.

    Raises:
        ValueError: `k` is less than 1.
    """
    check_depth(k)
    return sum(map(bool, found[:k])) / k
