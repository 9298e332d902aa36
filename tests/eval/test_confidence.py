"""Intervals and p-values against exact enumeration, scipy, and their own promise of coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eval.measures.abstention import abstention, abstention_sums
from eval.measures.confidence import Interval, bootstrap_ratios, holm, paired_randomisation

NAN = math.nan


def bootstrap_intervals(values: object, seed: int = 0) -> list[Interval]:
    """The means of columns, NaN where a measure does not apply."""
    array = np.asarray(values, dtype=np.float64)
    return bootstrap_ratios(np.nan_to_num(array, posinf=math.inf), ~np.isnan(array), seed)


def test_the_interval_of_three_values_is_that_of_all_27_resamples() -> None:
    # Means of (0, 0, 1): 0 in 8 of 27, 1/3 in 12, 2/3 in 6, 1 in 1 (0.037).
    (wide,) = bootstrap_intervals([[0.0], [0.0], [1.0]])
    assert (wide.value, wide.low, wide.high, wide.n) == pytest.approx((1 / 3, 0.0, 1.0, 3))


def test_f1_of_abstention_has_an_interval() -> None:
    abstained = [True] * 30 + [False] * 10 + [True] * 10 + [False] * 50
    answerable = [False] * 40 + [True] * 60
    precision, recall, f1 = bootstrap_ratios(*abstention_sums(abstained, answerable))
    # 30 of 40 abstentions are right, 30 of 40 unanswerable questions are caught
    assert [one.value for one in (precision, recall, f1)] == pytest.approx([0.75, 0.75, 0.75])
    assert abstention(abstained, answerable) == pytest.approx({"precision": 0.75, "recall": 0.75, "f1": 0.75})
    assert bootstrap_ratios(*abstention_sums(abstained, answerable)) == [precision, recall, f1]  # one seed, one result
    # F1 = 2 h / (a + u): the delta method for a ratio of means.
    hits, both = np.array(abstained) & ~np.array(answerable), np.array(abstained).astype(int) + ~np.array(answerable)
    spread = 1.96 * np.std(2 * hits - 0.75 * both) / both.mean() / math.sqrt(100)
    assert (f1.low, f1.high) == pytest.approx((0.75 - spread, 0.75 + spread), abs=spread / 5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.empty((0, 2)), [(NAN, NAN, NAN, 0)] * 2),
        (np.empty((3, 0)), []),
        ([[0.25, NAN]], [(0.25, 0.25, 0.25, 1), (NAN, NAN, NAN, 0)]),
        ([[0.5], [NAN], [NAN]], [(0.5, 0.5, 0.5, 1)]),
        ([[NAN], [NAN]], [(NAN, NAN, NAN, 0)]),
    ],
)
def test_the_intervals_of_little_or_nothing(values: object, expected: list[tuple[float, float, float, int]]) -> None:
    found = [(one.value, one.low, one.high, one.n) for one in bootstrap_intervals(values)]
    assert np.array(found).reshape(-1, 4) == pytest.approx(np.array(expected).reshape(-1, 4), nan_ok=True)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1, 2, 3], 2 / 8),  # 6 and -6 of 8 sums
        ([1, 2, -3], 8 / 8),  # 0: every sum is as far
        ([3, -1, 1], 6 / 8),  # 3; the sums are 5 3 3 1 -1 -3 -3 -5
        ([1, 1, 1, -1], 10 / 16),  # 2; sums 4 once, 2 four times, 0 six times, and below 0 the same
        ([-1, 2, 4, 8], 4 / 16),  # 13; 15 and 13, either way
        ([0.1, 0.2, -0.3], 1.0),  # 5.6e-17 in floating point
        ([5], 1.0),
        ([0, 0], 1.0),
        ([], 1.0),
    ],
)
def test_the_exact_p_is(differences: list[float], p: float) -> None:
    assert paired_randomisation(differences, np.zeros(len(differences))) == pytest.approx(p)


def test_the_p_is_that_of_scipy() -> None:
    from scipy.stats import permutation_test

    rng = np.random.default_rng(2)

    def mean_difference(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return np.mean(a - b, axis=axis)

    for n, tolerance in ((5, 1e-12), (12, 1e-12), (13, 0.02), (60, 0.02)):
        for shift in (0.0, 0.1, 0.2):
            a, b = rng.random(n), rng.random(n) + shift
            theirs = permutation_test(
                (a, b),
                mean_difference,
                permutation_type="samples",
                vectorized=True,
                n_resamples=math.inf if n <= 13 else 20_000,
                rng=np.random.default_rng(1),
            ).pvalue
            assert paired_randomisation(a, b) == pytest.approx(theirs, abs=tolerance)


def test_p_is_never_0_and_the_same_either_way() -> None:
    a = np.linspace(0.5, 0.9, 400)
    assert paired_randomisation(a, a - 0.1) == 1 / 10_001
    one, other = np.random.default_rng(1).random((2, 500))
    assert paired_randomisation(one, other) == paired_randomisation(other, one) == paired_randomisation(one, other)


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # 3 * 0.01; 2 * 0.03; then 1 * 0.04, but no less than before
        ([0.5, 0.6], [1.0, 1.0]),
        ([], []),
    ],
)
def test_holm_is(p_values: list[float], expected: list[float]) -> None:
    assert holm(p_values) == pytest.approx(expected)
