"""How probable it is that a passage bears on the question, and that any does: in [0, 1], calibrated.

Logistic in how far the passage is above what passages of its language reach that do not answer, and in
whether it is in the question's language (where strangers are nearer too). Fitted by
`python -m eval.relevance`; docs/decisions/0008.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Passages in all: at so many their level counts half, and what is usual elsewhere the other half. The passages of a
# small corpus are all about its subject, and their level says little of strangers; docs/decisions/0008.
_FEW = 60


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the distance above what is usual, of the same language; and the bias."""

    above: float
    same: float
    bias: float


# What is usual in a pool of passages, by whether they are in the question's language.
USUAL = {True: 0.39, False: 0.27}
RESULT = Weights(18.49, -2.63, -1.44)  # that one of the passages bears on the question, by the first
PASSAGE = Weights(21.20, -2.13, -2.55)  # that this passage does


def above_usual(raw: float, level: float, same: bool, n_passages: int) -> float:
    """How far a score is above what is usual; where there are few passages, that is not known from them alone."""
    weight = n_passages / (n_passages + _FEW)
    return raw - weight * level - (1 - weight) * USUAL[same]


def probability(weights: Weights, above: float, same: bool) -> float:
    """The logistic function of the weighted sum."""
    total = weights.above * above + weights.same * same + weights.bias
    return 1 / (1 + math.exp(-max(-500.0, min(500.0, total))))
