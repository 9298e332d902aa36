"""RR@k of one question: 1 / rank of the first relevant passage, 0 if none is among the first k.

Range [0, 1]. Voorhees, TREC-8 (1999). The mean over questions is MRR. With k beyond the ranking it is trec_eval's
`recip_rank`. An empty ranking gives 0, and so does a question without evidence, which is left out of means. How many
spans a passage holds, and how many passages a span, makes no difference.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval.measures.depth import check_depth


def reciprocal_rank(relevant: Sequence[frozenset[int] | bool], k: int) -> float:
    """RR@k of passages in rank order: whether each is relevant, or the evidence spans that it overlaps.

    Raises:
        ValueError: `k` is less than 1.
    """
    check_depth(k)
    return next((1 / rank for rank, is_relevant in enumerate(relevant[:k], 1) if is_relevant), 0.0)
