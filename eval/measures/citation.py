"""Citations against evidence spans, by overlap; and how much of an answer its citations support.

precision: of the citations, the share that overlaps an evidence span. recall: of the evidence spans, the share that a
citation overlaps. F1: their harmonic mean (van Rijsbergen 1979). Range [0, 1]; without citations precision is 0,
without evidence recall is 0. A span that stands in several places counts once, wherever it is cited.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rag.verify import Verdict

SpanIn = tuple[str, int, int]  # (doc_id, start, end)


def f_measure(precision: float, recall: float) -> float:
    """Their harmonic mean; 0 where both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def overlaps(one: SpanIn, other: SpanIn) -> bool:
    """Whether two spans are of one document and share a character."""
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


def citation(cited: Sequence[SpanIn], evidence: Sequence[Sequence[SpanIn]]) -> tuple[float, float, float]:
    """(precision, recall, F1) of one answer's citations, where `evidence[i]` are the places of the i-th span."""
    n_right = sum(any(overlaps(c, place) for places in evidence for place in places) for c in cited)
    n_covered = sum(any(overlaps(c, place) for place in places for c in cited) for places in evidence)
    precision = n_right / len(cited) if cited else 0.0
    recall = n_covered / len(evidence) if evidence else 0.0
    return precision, recall, f_measure(precision, recall)


def unsupported_share(verdicts: Sequence[Verdict]) -> float:
    """Of one answer's sentences, the share that is neither quoted nor supported; NaN without sentences."""
    n_unsupported = sum(verdict not in (Verdict.QUOTED, Verdict.SUPPORTED) for verdict in verdicts)
    return n_unsupported / len(verdicts) if verdicts else math.nan
