from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.confidence import Interval, bootstrap_intervals, bootstrap_statistic, holm, paired_randomisation
from eval.measures.abstention import abstention

NAN = math.nan


# --- bootstrap ----------------------------------------------------------------------------------------------


def test_the_interval_of_three_values_is_that_of_all_27_resamples() -> None:
    # Means of (0, 0, 1): 0 in 8 of 27, 1/3 in 12, 2/3 in 6, 1 in 1 (0.037).
    (wide,) = bootstrap_intervals([[0.0], [0.0], [1.0]], 20_000, 0.95)
    assert (wide.value, wide.low, wide.high, wide.n) == pytest.approx((1 / 3, 0.0, 1.0, 3))
    (narrow,) = bootstrap_intervals([[0.0], [0.0], [1.0]], 20_000, 0.90)  # 26 of 27 (0.963) are at most 2/3
    assert (narrow.low, narrow.high) == pytest.approx((0.0, 2 / 3))
    (half,) = bootstrap_intervals([[0.0], [0.0], [1.0]], 20_000, 0.50)  # 8 of 27 (0.296) are 0, 20 (0.741) at most 1/3
    assert (half.low, half.high) == pytest.approx((0.0, 2 / 3))


def test_intervals_hold_the_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    shapes = {
        # 0.7 itself is a possible end of an interval: the coverage would jump there.
        "Bernoulli": (rng.random((100, 2000)) < 0.695, 0.695),
        "uniform": (rng.random((100, 2000)), 0.5),
        "beta, skewed": (rng.beta(0.5, 2.0, (100, 2000)), 0.2),
    }
    for name, (values, mean) in shapes.items():
        for level in (0.8, 0.95):
            found = bootstrap_intervals(values, level=level)
            covered = np.mean([one.low <= mean <= one.high for one in found])
            assert covered == pytest.approx(level, abs=0.025), (name, level, covered)


def test_intervals_with_values_lacking_hold_the_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(8)
    values = np.where(rng.random((150, 2000)) < 0.3, np.nan, rng.random((150, 2000)))
    found = bootstrap_intervals(values)
    assert np.mean([one.low <= 0.5 <= one.high for one in found]) == pytest.approx(0.95, abs=0.02)
    assert [one.n for one in found[:5]] == [int((~np.isnan(values[:, i])).sum()) for i in range(5)]


def test_the_interval_is_that_of_scipy() -> None:
    from scipy.stats import bootstrap

    rng = np.random.default_rng(3)
    for values in (rng.random(60), rng.beta(0.5, 2, 200), (rng.random(40) < 0.8).astype(float)):
        theirs = bootstrap(
            (values,),
            np.mean,
            n_resamples=20_000,
            confidence_level=0.9,
            method="percentile",
            rng=np.random.default_rng(1),
        ).confidence_interval
        (ours,) = bootstrap_intervals(values[:, None], 20_000, 0.9)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_the_mean_by_any_figure_is_the_mean_by_columns() -> None:
    rng = np.random.default_rng(4)
    values = np.where(rng.random((70, 3)) < 0.2, np.nan, rng.random((70, 3)))
    by_column = bootstrap_intervals(values, 500, 0.9, seed=5)
    for column, expected in enumerate(by_column):
        one = bootstrap_statistic(lambda rows, c=column: float(np.nanmean(values[rows, c])), 70, 500, 0.9, seed=5)
        assert (one.value, one.low, one.high) == pytest.approx((expected.value, expected.low, expected.high), abs=1e-12)


def test_many_questions_are_drawn_in_several_blocks_and_to_the_same_end() -> None:
    rng = np.random.default_rng(6)
    values = rng.random((30_000, 1))  # 66 resamples at once
    (ours,) = bootstrap_intervals(values, 300)
    spread = 1.96 * values.std() / math.sqrt(len(values))
    assert (ours.low, ours.high) == pytest.approx((values.mean() - spread, values.mean() + spread), abs=spread / 4)
    counted = []
    bootstrap_statistic(lambda rows: counted.append(len(rows)) or 0.0, 30_000, 300)
    assert len(counted) == 300 + 1  # and once for the value
    assert set(counted) == {30_000}


def test_f1_of_abstention_has_an_interval() -> None:
    abstained = np.array([True] * 30 + [False] * 10 + [True] * 10 + [False] * 50)
    answerable = np.array([False] * 40 + [True] * 60)

    def f1(rows: np.ndarray) -> float:
        return abstention(abstained[rows].tolist(), answerable[rows].tolist())["f1"]

    found = bootstrap_statistic(f1, 100, 2000)
    assert found.value == pytest.approx(0.75)  # precision 30 / 40, recall 30 / 40
    # F1 = 2 h / (a + u): the delta method for a ratio of means.
    hits, both = abstained & ~answerable, abstained.astype(int) + ~answerable
    spread = 1.96 * np.std(2 * hits - 0.75 * both) / both.mean() / math.sqrt(100)
    assert (found.low, found.high) == pytest.approx((0.75 - spread, 0.75 + spread), abs=spread / 5)


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    values = np.random.default_rng(0).random((50, 2))
    assert bootstrap_intervals(values) == bootstrap_intervals(values)
    assert bootstrap_intervals(values) != bootstrap_intervals(values, seed=1)


def same(found: Interval, expected: tuple[float, float, float, int]) -> bool:
    return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(found_values(found), expected, strict=True))


def found_values(found: Interval) -> tuple[float, float, float, int]:
    return found.value, found.low, found.high, found.n


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.empty((0, 2)), [(NAN, NAN, NAN, 0)] * 2),
        (np.empty((3, 0)), []),
        ([[0.25, NAN]], [(0.25, 0.25, 0.25, 1), (NAN, NAN, NAN, 0)]),
        ([[0.5], [NAN], [NAN]], [(0.5, 0.5, 0.5, 1)]),
        ([[1.0], [1.0], [1.0]], [(1.0, 1.0, 1.0, 3)]),
        ([[NAN], [NAN]], [(NAN, NAN, NAN, 0)]),
    ],
)
def test_the_intervals_of_little_or_nothing(values: object, expected: list[tuple[float, float, float, int]]) -> None:
    found = bootstrap_intervals(values)
    assert len(found) == len(expected)
    assert all(itertools.starmap(same, zip(found, expected, strict=True))), found


def test_a_figure_of_nothing_or_never_defined_is_nan() -> None:
    assert same(bootstrap_statistic(lambda rows: 1.0, 0), (NAN, NAN, NAN, 0))
    assert same(bootstrap_statistic(lambda rows: NAN, 4), (NAN, NAN, NAN, 4))
    # Where it is defined only with row 0, resamples without it are left out.
    assert same(bootstrap_statistic(lambda rows: 0.5 if 0 in rows else NAN, 4), (0.5, 0.5, 0.5, 4))


@pytest.mark.parametrize(
    "call",
    [
        lambda: bootstrap_intervals([0.1, 0.2]),
        lambda: bootstrap_intervals([[math.inf]]),
        lambda: bootstrap_intervals([[0.1]], n_resamples=0),
        lambda: bootstrap_intervals([[0.1]], level=1.0),
        lambda: bootstrap_statistic(lambda rows: 1.0, 3, level=0.0),
        lambda: paired_randomisation([1.0], [1.0, 2.0]),
        lambda: paired_randomisation([[1.0]], [[2.0]]),
        lambda: paired_randomisation([1.0], [2.0], n_permutations=0),
        lambda: holm([0.5, 1.1]),
        lambda: holm([NAN]),
    ],
)
def test_a_bad_argument_is_refused(call: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        call()


# --- the paired randomisation test --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1, 2, 3], 2 / 8),  # 6 and -6 of 8 sums
        ([1, 2, -3], 8 / 8),  # 0: every sum is as far
        ([3, -1, 1], 6 / 8),  # 3; the sums are 5 3 3 1 -1 -3 -3 -5
        ([1, 1, 1, -1], 10 / 16),  # 2; sums 4 once, 2 four times, 0 six times, and below 0 the same
        ([1, 1, 1, 1], 2 / 16),
        ([1, 2, 4, 8], 2 / 16),
        ([-1, 2, 4, 8], 4 / 16),  # 13; 15 and 13, either way
        ([0.1, 0.2, 0.3], 2 / 8),
        ([0.1, 0.2, -0.3], 1.0),  # 5.6e-17 in floating point
        ([0.3, 0.3, 0.3, -0.1, -0.1, -0.1, 0, 0, 0], None),
        ([5], 1.0),
        ([0, 0], 1.0),
        ([], 1.0),
    ],
)
def test_the_exact_p_is(differences: list[float], p: float | None) -> None:
    found = paired_randomisation(differences, np.zeros(len(differences)))
    if p is None:
        p = by_fractions(differences)
    assert found.p == pytest.approx(p)
    assert found.n == len(differences)
    assert found.mean == pytest.approx(np.mean(differences)) if differences else math.isnan(found.mean)


def by_fractions(differences: list[float]) -> float:
    """p in whole tenths: exact arithmetic."""
    tenths = [round(10 * difference) for difference in differences]
    sums = [
        abs(sum(s * d for s, d in zip(signs, tenths, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(tenths))
    ]
    return sum(one >= abs(sum(tenths)) for one in sums) / len(sums)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=10))
def test_the_exact_p_is_that_of_exact_arithmetic(tenths: list[int]) -> None:
    a = [0.1 * tenth for tenth in tenths]
    assert paired_randomisation(a, [0.0] * len(a)).p == pytest.approx(by_fractions(a))


def test_the_p_is_that_of_scipy() -> None:
    from scipy.stats import permutation_test

    rng = np.random.default_rng(2)

    def mean_difference(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return np.mean(a - b, axis=axis)

    for n, tolerance in ((5, 1e-12), (9, 1e-12), (12, 1e-12), (13, 0.02), (60, 0.02)):
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
            assert paired_randomisation(a, b, 20_000).p == pytest.approx(theirs, abs=tolerance)


def test_the_signs_of_up_to_12_differences_are_gone_through_and_of_more_drawn() -> None:
    assert paired_randomisation([1.0] * 12 + [0.0] * 30, [0.0] * 42, n_permutations=100).p == 2 / 2**12
    drawn = [paired_randomisation([1.0] * 13, [0.0] * 13, n_permutations=100, seed=seed).p for seed in range(5)]
    assert set(drawn) <= {1 / 101, 2 / 101}


def test_p_is_uniform_where_the_systems_are_alike() -> None:
    rng = np.random.default_rng(9)
    found = [paired_randomisation(rng.random(20), rng.random(20), 500).p for _ in range(600)]
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(found) <= level) == pytest.approx(level, abs=3.5 * math.sqrt(level * (1 - level) / 600))


def test_p_is_never_0_and_the_same_either_way() -> None:
    a = np.linspace(0.5, 0.9, 400)
    assert paired_randomisation(a, a - 0.1).p == 1 / 10_001
    rng = np.random.default_rng(1)
    one, other = rng.random(500), rng.random(500)
    there, back = paired_randomisation(one, other), paired_randomisation(other, one)
    assert (there.p, there.mean) == (back.p, -back.mean)
    assert there == paired_randomisation(one, other)


def test_pairs_that_lack_a_value_are_left_out() -> None:
    found = paired_randomisation([1.0, 2.0, 3.0, NAN, 9.0], [0.0, 0.0, 0.0, 7.0, NAN])
    assert (found.mean, found.p, found.n) == (2.0, 2 / 8, 3)
    nothing = paired_randomisation([NAN], [1.0])
    assert (nothing.p, nothing.n, math.isnan(nothing.mean)) == (1.0, 0, True)


# --- Holm ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # 3 * 0.01; 2 * 0.03; then 1 * 0.04, but no less than before
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([0.01, 0.01], [0.02, 0.02]),
        ([], []),
    ],
)
def test_holm_is(p_values: list[float], expected: list[float]) -> None:
    assert holm(p_values) == pytest.approx(expected)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferronis(p_values: list[float]) -> None:
    # Marcus, Peritz & Gabriel: the greatest Bonferroni p of all sets that hold the hypothesis.
    places = range(len(p_values))
    sets = [s for size in range(1, len(p_values) + 1) for s in itertools.combinations(places, size)]
    expected = [max(min(1.0, len(s) * min(p_values[j] for j in s)) for s in sets if i in s) for i in places]
    assert holm(p_values) == pytest.approx(expected)
