"""BM25 as SQLite's FTS5 computes it: the same scores in every backend.

The score of a passage is the sum over terms of idf * f * (k1 + 1) / (f + k1 * (1 - b + b * length / mean length)),
where f counts a term of the title as 0.6, and idf = ln((N - n + 0.5) / (n + 0.5)), at least 1e-6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

K1, B = 1.2, 0.75
TITLE_WEIGHT = 0.6  # of a term in the title, where one in the body has 1
_LEAST_IDF = 1e-6
_SPARSE = 8  # numbers between the least and the greatest pid for each posting: of more, postings are sorted instead


def idf(n_passages: int, n_holding: int) -> float:
    """How telling a term is that `n_holding` of `n_passages` hold."""
    return max(_LEAST_IDF, math.log((n_passages - n_holding + 0.5) / (n_holding + 0.5)))


def scores(frequencies: Floats, lengths: Integers, n_passages: int, mean_length: float) -> NDArray[np.float64]:
    """What one term gives to each passage that holds it.

    Args:
        frequencies: How often each holds it, titles by their weight.
        lengths: Number of terms of each, title and all.
        n_passages: In all.
        mean_length: Of all.
    """
    often = frequencies.astype(np.float64)
    usual = K1 * (1 - B + B * lengths / mean_length)
    return idf(n_passages, len(often)) * often * (K1 + 1) / (often + usual)


def best(pids: Sequence[Integers], parts: Sequence[Floats], n: int) -> list[tuple[int, float]]:
    """(pid, score) of the `n` best passages, best first, then the smaller pid; of the pids and scores of each term."""
    held = [(own, part) for own, part in zip(pids, parts, strict=True) if len(own)]
    if not held or n < 1:
        return []
    found, total = held[0] if len(held) == 1 else _summed(held)
    if len(found) > n:
        kept = np.flatnonzero(total >= np.partition(total, len(total) - n)[len(total) - n])
        found, total = found[kept], total[kept]
    order = np.lexsort((found, -total))[:n]
    return list(zip(found[order].tolist(), total[order].tolist(), strict=True))


def _summed(held: Sequence[tuple[Integers, Floats]]) -> tuple[Integers, Floats]:
    """Each passage once, and the sum of its scores."""
    pids: Integers = np.concatenate([own for own, _ in held])
    parts: Floats = np.concatenate([part for _, part in held])
    least, most = int(pids.min()), int(pids.max())
    if most - least > _SPARSE * len(pids):
        found, places = np.unique(pids, return_inverse=True)
        return found, np.bincount(places, parts).astype(np.float64, copy=False)
    sums = np.bincount(pids - least, parts).astype(np.float64, copy=False)
    places = np.flatnonzero(sums)
    return places + least, sums[places]
