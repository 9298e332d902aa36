"""RR@k of one question: 1 / rank of the first relevant passage, 0 if none is among the first k.

Range [0, 1]. Voorhees, TREC-8 (1999). The mean over questions is MRR.
"""

from __future__ import annotations

from collections.abc import Sequence


def reciprocal_rank(relevant: Sequence[bool], k: int) -> float:
    """RR@k of passages in rank order."""
    return next((1 / rank for rank, is_relevant in enumerate(relevant[:k], 1) if is_relevant), 0.0)
