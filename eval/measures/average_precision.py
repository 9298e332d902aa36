"""AP@k of one question: the mean over its evidence spans of the precision at the rank where each is found.

Range [0, 1]; a span not among the first k gives 0. A question without evidence has no AP and is left out of means.
The mean over questions is MAP: trec_eval's `map_cut_k`, and its `map` with k beyond the ranking, where a passage holds
one span at most and a span stands in one passage. Beyond that a span is found in the first passage that overlaps it,
a passage is relevant if it is the first to overlap some span, and the spans found together share its precision: a
second passage with the same evidence is as one without.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval.measures.depth import check_depth, check_evidence


def average_precision(found: Sequence[frozenset[int]], n_evidence: int, k: int) -> float:
    """AP@k, where `found[i]` are the indices of the evidence spans that the i-th passage overlaps.

    Raises:
        ValueError: There is no evidence, or `k` is less than 1.
    """
    check_evidence("average precision", n_evidence)
    check_depth(k)
    seen: set[int] = set()
    n_relevant, total = 0, 0.0
    for rank, indices in enumerate(found[:k], 1):
        n_new = len(indices - seen)
        n_relevant += n_new > 0
        total += n_new * n_relevant / rank
        seen |= indices
    return total / n_evidence
