"""nDCG@k of one question: DCG over the evidence spans found, over that of the ideal ranking.

Range [0, 1]; a question without evidence has no nDCG and is left out of means. Järvelin & Kekäläinen (2002) as
trec_eval's `ndcg_cut_k` has it: the gain is the grade itself, the discount 1 / log2(rank + 1); equal to it where a
passage holds one span at most and a span stands in one passage.

Beyond that, a span gains once, in the first passage that overlaps it: passages overlap, and a second one with the same
evidence is worth nothing. The ideal has one span a passage, by falling grade from the first on. The n-th span found,
of several in one passage those of higher grade first, counts no higher than at rank n: so a passage that holds all of
the evidence, at rank 1, gives 1 and not more. (Spans of low grade found earlier can thereby cost one of high grade
that shares a later passage a place.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from eval.measures.depth import check_depth, check_evidence


def ndcg(found: Sequence[frozenset[int]], n_evidence: int, k: int, grades: Sequence[int] = ()) -> float:
    """nDCG@k, where `found[i]` are the indices of the evidence spans that the i-th passage overlaps.

    `grades` says how relevant each span is, 1 or more; empty, each is of grade 1.

    Raises:
        ValueError: There is no evidence, `k` is less than 1, or the grades are not one of 1 or more for each span.
    """
    check_evidence("nDCG", n_evidence)
    check_depth(k)
    gains = list(grades) or [1] * n_evidence
    if len(gains) != n_evidence or min(gains) < 1:
        raise ValueError(f"the grades of {n_evidence} evidence spans are {gains}; expected: one of 1 or more for each")
    seen: set[int] = set()
    dcg = 0.0
    for rank, indices in enumerate(found[:k], 1):
        new = sorted((gains[index] for index in indices - seen), reverse=True)
        dcg += sum(gain * _discount(max(rank, n)) for n, gain in enumerate(new, len(seen) + 1) if n <= k)
        seen |= indices
    ideal = sorted(gains, reverse=True)[:k]
    return dcg / sum(gain * _discount(rank) for rank, gain in enumerate(ideal, 1))


def _discount(rank: int) -> float:
    return 1 / math.log2(rank + 1)
