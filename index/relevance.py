"""How probable it is that a passage bears on the question, and that any does: in [0, 1], calibrated.

Logistic in how far the passage is above what passages of its language reach that do not answer, in whether it
is in the question's language (where strangers are nearer too), and in the names and numbers of the question that it
lacks. docs/decisions/0008 says how it was fitted.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence, Set
from dataclasses import dataclass

from index.store.base import StoredPassage
from index.text.terms import indexed_terms

# Passages in all: at so many their level counts half, and what is usual elsewhere the other half. The passages of a
# small corpus are all about its subject, and their level says little of strangers; docs/decisions/0008.
_FEW = 60


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the distance above what is usual; of the same language; of the share of names and numbers that are lacking,
    in the same language and in another; and the bias.
    """

    above: float
    same: float
    lacking_same: float
    lacking_other: float
    bias: float


# What is usual in a pool of passages, by whether they are in the question's language.
USUAL = {True: 0.39, False: 0.27}
RESULT = Weights(17.96, -2.44, -1.38, -0.45, -1.35)  # that one of the passages bears on the question, by the first
PASSAGE = Weights(20.87, -2.12, -0.24, -0.35, -2.47)  # that this passage does


def above_usual(raw: float, level: float, same: float, n_passages: int) -> float:
    """How far a score is above what is usual; where there are few passages, that is not known from them alone."""
    weight = n_passages / (n_passages + _FEW)
    return raw - weight * level - (1 - weight) * (same * USUAL[True] + (1 - same) * USUAL[False])


def lacking(asked: Sequence[Set[str]], passage: StoredPassage) -> float:
    """Share of `asked` that `passage` and its title do not hold, in [0, 1]; 0 where nothing is asked.

    Each of `asked` is a name or a number of the question, as the phrases (terms with spaces) of which one is enough.
    """
    if not asked:
        return 0.0
    held = _held(passage.text, passage.title)
    return sum(not any(f" {phrase} " in held for phrase in phrases) for phrases in asked) / len(asked)


@functools.lru_cache(maxsize=2048)
def _held(text: str, title: str) -> str:
    """The terms of a passage and its title in a row; kept for the next question, which finds the same passages."""
    return f" {' '.join(indexed_terms(text))} {' '.join(indexed_terms(title))} "


def probability(weights: Weights, above: float, same: float, lacking: float = 0.0) -> float:
    """The logistic function of the weighted sum."""
    of_lacking = same * weights.lacking_same + (1 - same) * weights.lacking_other
    total = weights.above * above + weights.same * same + of_lacking * lacking + weights.bias
    return 1 / (1 + math.exp(-max(-500.0, min(500.0, total))))
