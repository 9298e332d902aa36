"""F1: the harmonic mean of precision and recall (van Rijsbergen 1979).

Range [0, 1]; 0 where both are 0.
"""

from __future__ import annotations


def f_measure(precision: float, recall: float) -> float:
    """F1 of a precision and a recall, each in [0, 1]."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
