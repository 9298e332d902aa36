"""Citations against evidence spans, by overlap.

precision: of the citations, the share that overlaps an evidence span; recall: of the
evidence spans, the share that a citation overlaps; F1 their harmonic mean. Range [0, 1];
without citations precision is 0, without evidence recall is 0, and F1 is 0 with either.
A span that stands in several places is one, wherever it is cited.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval.measures.f_measure import f_measure

SpanIn = tuple[str, int, int]  # (doc_id, start, end)


def overlaps(one: SpanIn, other: SpanIn) -> bool:
    """Whether two spans are of one document and share a character."""
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


def citation(cited: Sequence[SpanIn], evidence: Sequence[Sequence[SpanIn]]) -> tuple[float, float]:
    """(precision, recall) of one answer's citations, where `evidence[i]` are the places of the i-th span."""
    n_right = sum(any(overlaps(c, place) for places in evidence for place in places) for c in cited)
    n_covered = sum(any(overlaps(c, place) for place in places for c in cited) for places in evidence)
    return n_right / len(cited) if cited else 0.0, n_covered / len(evidence) if evidence else 0.0


def citation_f1(cited: Sequence[SpanIn], evidence: Sequence[Sequence[SpanIn]]) -> float:
    """F1 of one answer's citations, with arguments as of `citation`."""
    return f_measure(*citation(cited, evidence))
