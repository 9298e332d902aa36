"""How sure a measure is: intervals by the bootstrap, differences by the paired randomisation test.

Questions are drawn, not passages: a set of questions stands for the questions that could have been asked. The same
seed gives the same figures. A measure that does not apply to a question is NaN there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

_CELLS_AT_ONCE = 2_000_000  # of resamples times questions: 16 MB of row numbers
_MOST_EXACT = 12  # differences whose 2 ** n signs are gone through one by one


@dataclass(frozen=True, slots=True)
class Interval:
    """`value` of `n` questions lies in [`low`, `high`] at the level asked for; all NaN where it applies to none."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of `n` differences, and how probable one as great, either way, is by chance: `p` in (0, 1]."""

    mean: float
    p: float
    n: int


def bootstrap_intervals(
    values: ArrayLike, n_resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> list[Interval]:
    """The mean of each column and its percentile interval (Efron 1979; Efron & Tibshirani 1993, chapter 13).

    Whole rows are drawn, so that a column with NaN varies in its number too; resamples in which it has none are left
    out. No rows, or a column of NaN only, give NaN; one value gives itself as both ends.

    Args:
        values: (n_questions, n_measures); NaN where a measure does not apply to a question.
        n_resamples: Resamples of the questions.
        level: Share of resamples between the ends, in (0, 1).
        seed: Of the draws.

    Raises:
        ValueError: `values` has another shape or is infinite, or an argument is out of its range.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or np.isinf(array).any():
        raise ValueError(f"values are {array.shape}; expected: finite ones of (n_questions, n_measures), or NaN")
    applies = (~np.isnan(array)).astype(np.float64)
    filled = np.nan_to_num(array)
    parts = []
    for rows in _resamples(len(array), n_resamples, level, seed):
        counts = _counts(rows)
        parts.append(_ratio(counts @ filled, counts @ applies))
    drawn = np.concatenate(parts) if parts else np.empty((0, array.shape[1]))
    means, n_applies = _ratio(filled.sum(axis=0), applies.sum(axis=0)), applies.sum(axis=0)
    return [
        Interval(float(mean), *_ends(column, level), int(n))
        for mean, column, n in zip(means, drawn.T, n_applies, strict=True)
    ]


def bootstrap_statistic(
    statistic: Callable[[Rows], float], n: int, n_resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Any figure of `n` questions and its percentile interval; the draws are those of `bootstrap_intervals`.

    `statistic` is given row numbers, int64, (n,), with repeats, and returns the figure over these questions: F1 of
    abstention, say, which is no mean over questions. Resamples for which it is NaN are left out; no questions give NaN.

    Raises:
        ValueError: An argument is out of its range.
    """
    drawn = [statistic(row) for rows in _resamples(n, n_resamples, level, seed) for row in rows]
    value = statistic(np.arange(n)) if n else math.nan
    return Interval(float(value), *_ends(np.array(drawn, dtype=np.float64), level), n)


def paired_randomisation(a: ArrayLike, b: ArrayLike, n_permutations: int = 10_000, seed: int = 0) -> Difference:
    """The mean of `a - b` and its two-sided p by Fisher's randomisation test (Smucker, Allan & Carterette 2007).

    If the systems were alike, each difference could as well have the other sign: p is the share of signs for which the
    mean is as far from 0. Of up to 12 differences other than 0 all signs are gone through, and p is exact; of more,
    `n_permutations` are drawn, and they and what was found count (add one), so that p is never 0. Pairs with a NaN are
    left out; without a difference p is 1, without a pair the mean is NaN.

    Raises:
        ValueError: `a` and `b` are not two lists of one length, or there are no permutations.
    """
    one, other = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError(f"the pairs are {one.shape} and {other.shape}; expected: two lists of one length")
    if n_permutations < 1:
        raise ValueError(f"n_permutations is {n_permutations}; expected: at least 1")
    differences = one - other
    differences = differences[~np.isnan(differences)]
    n = len(differences)
    return Difference(float(differences.mean()) if n else math.nan, _p(differences, n_permutations, seed), n)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several tests, in order, corrected so that a false one among them is as rare (Holm 1979).

    Each in [0, 1]; none give none.

    Raises:
        ValueError: One is not in [0, 1].
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError(f"the p-values are {list(p_values)}; expected: each in [0, 1]")
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    scaled = (min(1.0, (len(order) - rank) * p_values[place]) for rank, place in enumerate(order))
    corrected = dict(zip(order, itertools.accumulate(scaled, max), strict=True))
    return [corrected[place] for place in range(len(p_values))]


def _resamples(n: int, n_resamples: int, level: float, seed: int) -> Iterator[Rows]:
    """Row numbers, (some, n), of `n_resamples` resamples in all; none of no rows."""
    if n_resamples < 1 or not 0 < level < 1:
        raise ValueError(f"n_resamples is {n_resamples}, level {level}; expected: at least 1, and in (0, 1)")
    generator = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // max(1, n))
    for done in range(0, n_resamples if n else 0, at_once):
        yield generator.integers(0, n, (min(at_once, n_resamples - done), n))


def _counts(rows: Rows) -> Floats:
    """How often each row was drawn, of the same shape: multinomial."""
    n_resamples, n = rows.shape
    places = rows + n * np.arange(n_resamples)[:, None]
    counts = np.bincount(places.ravel(), minlength=n_resamples * n).reshape(n_resamples, n)
    return counts.astype(np.float64)


def _ratio(sums: Floats, numbers: Floats) -> Floats:
    means: Floats = np.divide(sums, numbers, out=np.full(sums.shape, np.nan), where=numbers > 0)
    return means


def _ends(drawn: Floats, level: float) -> tuple[float, float]:
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _p(differences: Floats, n_permutations: int, seed: int) -> float:
    moved = differences[differences != 0]
    total = float(moved.sum())
    # Sums that are equal in exact arithmetic differ in the last digits; without the slack they would not count.
    least = abs(total) - 1e-12 * float(np.abs(moved).sum())
    if len(moved) <= _MOST_EXACT:
        every = np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved)) & 1
        return float(np.mean(np.abs(total - 2 * every @ moved) >= least))
    generator = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // len(moved))
    n_as_far = 0
    for done in range(0, n_permutations, at_once):
        flips = generator.integers(0, 2, (min(at_once, n_permutations - done), len(moved))).astype(np.float64)
        n_as_far += int((np.abs(total - 2 * flips @ moved) >= least).sum())
    return (n_as_far + 1) / (n_permutations + 1)
