"""How sure a measure is: intervals by the bootstrap, differences by the paired randomisation test.

Questions are resampled, not passages: a gold file stands for the questions that could have been asked. The same seed
gives the same figures.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_N_RESAMPLES, _N_PERMUTATIONS, _LEVEL = 1_000, 10_000, 0.95
_AT_ONCE = 100  # resamples; with 10,000 questions 8 MB
_MOST_EXACT = 12  # differences for which all 2 ** n signs are tried


@dataclass(frozen=True, slots=True)
class Interval:
    """`value` of `n` questions lies in [`low`, `high`] with 95 % confidence; all NaN where it applies to none."""

    value: float
    low: float
    high: float
    n: int


def bootstrap_ratios(above: ArrayLike, below: ArrayLike, seed: int = 0) -> list[Interval]:
    """The ratio of sums of each column and its percentile interval (Efron & Tibshirani 1993, chapter 13).

    A mean is such a ratio: 1 stands below the line where the measure applies to a question, and 0 where it does not.
    Whole rows are drawn, so that the sum below the line varies too. Resamples in which it is 0 are left out; no rows,
    or a column whose sum is 0, give NaN. `n` counts the rows with something below the line.

    Args:
        above: (n_questions, n_measures), finite.
        below: Of the same shape, not negative.
        seed: Of the draws.
    """
    top, bottom = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    parts = [_ratios(counts @ top, counts @ bottom) for counts in _resamples(len(top), seed)]
    drawn = np.concatenate(parts) if parts else np.empty((0, top.shape[1]))
    values, n = _ratios(top.sum(axis=0), bottom.sum(axis=0)), (bottom > 0).sum(axis=0)
    return [
        Interval(float(value), *_ends(column), int(one)) for value, column, one in zip(values, drawn.T, n, strict=True)
    ]


def paired_randomisation(a: ArrayLike, b: ArrayLike, seed: int = 0) -> float:
    """The two-sided p, in (0, 1], of the mean of `a - b`: Fisher's randomisation test (Smucker et al. 2007).

    If the systems were alike, each difference could as well have the other sign: p is the share of signs for which the
    mean is as far from 0. For up to 12 differences other than 0 all signs are tried, and p is exact. For more, 10,000
    are drawn, and what was found counts as one of them. Without a difference p is 1.
    """
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    moved = differences[differences != 0]
    # Sums that are equal in exact arithmetic differ in the last digits; without the slack they would not count.
    least = abs(float(moved.sum())) - 1e-12 * float(np.abs(moved).sum())
    if len(moved) <= _MOST_EXACT:
        signs = 1 - 2.0 * (np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved)) & 1)
        return float(np.mean(np.abs(signs @ moved) >= least))
    generator = np.random.default_rng(seed)
    n_as_far = 0
    for _ in range(_N_PERMUTATIONS // _AT_ONCE):
        signs = 1 - 2.0 * generator.integers(0, 2, (_AT_ONCE, len(moved)))
        n_as_far += int((np.abs(signs @ moved) >= least).sum())
    return (n_as_far + 1) / (_N_PERMUTATIONS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several tests, in order, corrected for their number (Holm 1979); each in [0, 1]."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    scaled = (min(1.0, (len(order) - rank) * p_values[place]) for rank, place in enumerate(order))
    corrected = dict(zip(order, itertools.accumulate(scaled, max), strict=True))
    return [corrected[place] for place in range(len(p_values))]


def _resamples(n: int, seed: int) -> Iterator[Floats]:
    """How often each of `n` rows is drawn in each of some resamples: (_AT_ONCE, n), multinomial."""
    generator = np.random.default_rng(seed)
    for _ in range(_N_RESAMPLES // _AT_ONCE) if n else ():
        places = generator.integers(0, n, (_AT_ONCE, n)) + n * np.arange(_AT_ONCE)[:, None]
        yield np.bincount(places.ravel(), minlength=_AT_ONCE * n).reshape(_AT_ONCE, n).astype(np.float64)


def _ratios(above: Floats, below: Floats) -> Floats:
    ratios: Floats = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return ratios


def _ends(drawn: Floats) -> tuple[float, float]:
    known = drawn[~np.isnan(drawn)]
    low, high = np.quantile(known, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]) if len(known) else (np.nan, np.nan)
    return float(low), float(high)
