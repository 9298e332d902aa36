"""Citations against evidence spans, by overlap.

precision: of the citations, the share that overlaps an evidence span; recall: of the
evidence spans, the share that a citation overlaps. Range [0, 1]; without citations
precision is 0.
"""

from __future__ import annotations

from collections.abc import Sequence

SpanIn = tuple[str, int, int]  # (doc_id, start, end)


def overlaps(one: SpanIn, other: SpanIn) -> bool:
    """Whether two spans are of one document and share a character."""
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


def citation(cited: Sequence[SpanIn], evidence: Sequence[SpanIn]) -> tuple[float, float]:
    """(precision, recall) of one answer's citations."""
    precision = sum(any(overlaps(c, e) for e in evidence) for c in cited) / len(cited) if cited else 0.0
    recall = sum(any(overlaps(c, e) for c in cited) for e in evidence) / len(evidence) if evidence else 0.0
    return precision, recall
