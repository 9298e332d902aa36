"""Abstention as a classifier of questions that have no answer in the articles.

precision: of the abstentions, the share on unanswerable questions; recall: of the
unanswerable questions, the share abstained on; F1 their harmonic mean. Range [0, 1];
without abstentions precision is 0, without unanswerable questions recall is 0.
"""

from __future__ import annotations

from collections.abc import Sequence


def abstention(abstained: Sequence[bool], answerable: Sequence[bool]) -> dict[str, float]:
    """precision, recall and f1 over questions."""
    hits = sum(a and not b for a, b in zip(abstained, answerable, strict=True))
    n_abstained, n_unanswerable = sum(abstained), len(answerable) - sum(answerable)
    precision = hits / n_abstained if n_abstained else 0.0
    recall = hits / n_unanswerable if n_unanswerable else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}
