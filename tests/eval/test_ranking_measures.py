from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.measures.average_precision import average_precision
from eval.measures.hit import hit
from eval.measures.ndcg import ndcg
from eval.measures.precision import precision
from eval.measures.recall import recall
from eval.measures.reciprocal_rank import reciprocal_rank

Found = Sequence[frozenset[int]]

NONE: frozenset[int] = frozenset()
A, B, C = frozenset({0}), frozenset({1}), frozenset({2})
N_SPANS = 4
rankings = st.lists(st.frozensets(st.integers(0, N_SPANS - 1), max_size=3), max_size=8)


# --- trec_eval ----------------------------------------------------------------------------------------------

N_RUNS = 4_000
DEPTHS = (1, 2, 3, 5, 10, 20, 100)
CUT = {f"{name}.{','.join(map(str, DEPTHS))}" for name in ("recall", "P", "success", "map_cut", "ndcg_cut")} | {
    "map",
    "recip_rank",
}


def random_topic(rng: random.Random) -> tuple[dict[str, int], dict[str, float]]:
    """Judgements and scores of one query: few scores, so that many are equal; judged and unjudged ones missing."""
    names = [f"d{i}" for i in rng.sample(range(200), rng.randint(1, 30))]
    highest = rng.choice((1, 1, 3, 4))
    judged = {name: rng.randint(-1, highest) for name in names if rng.random() < 0.6}
    ranked = rng.sample(names, rng.randint(0, len(names)))
    return judged, {name: rng.randint(0, rng.choice((3, 1000))) / 4 for name in ranked}


def as_found(judged: dict[str, int], scores: dict[str, float]) -> tuple[list[frozenset[int]], list[int]]:
    """The ranking as trec_eval orders it, of equal scores the greater name first, and the grades of the evidence."""
    evidence = [name for name, grade in judged.items() if grade >= 1]
    order = sorted(scores, key=lambda name: (scores[name], name), reverse=True)
    found = [frozenset({evidence.index(name)}) if name in evidence else NONE for name in order]
    return found, [judged[name] for name in evidence]


def test_the_measures_are_those_of_trec_eval() -> None:
    rng = random.Random(20_26)
    topics = {str(number): random_topic(rng) for number in range(N_RUNS)}
    evaluator = pytrec_eval.RelevanceEvaluator({q: judged for q, (judged, _) in topics.items()}, CUT)
    theirs = evaluator.evaluate({q: scores for q, (_, scores) in topics.items()})
    kinds = dict.fromkeys(("empty", "tied", "graded", "all found", "some missing", "no evidence"), 0)
    for query, (judged, scores) in topics.items():
        expected = theirs.get(query, {})
        found, grades = as_found(judged, scores)
        kinds["empty"] += not scores
        kinds["tied"] += len(set(scores.values())) < len(scores)
        kinds["graded"] += len(set(grades)) > 1
        kinds["no evidence"] += not grades
        if not grades:
            continue
        n = len(grades)
        kinds["all found" if recall(found, n, 1000) == 1 else "some missing"] += 1
        ours = {"map": average_precision(found, n, 1000), "recip_rank": reciprocal_rank(found, 1000)}
        for k in DEPTHS:
            ours |= {
                f"recall_{k}": recall(found, n, k),
                f"P_{k}": precision(found, k),
                f"success_{k}": hit(found, k),
                f"map_cut_{k}": average_precision(found, n, k),
                f"ndcg_cut_{k}": ndcg(found, n, k, grades),
            }
        assert ours.keys() == expected.keys()
        for name, value in ours.items():
            assert value == pytest.approx(expected[name], abs=1e-9), (query, name)
    assert min(kinds.values()) > 50, kinds


# --- arguments ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, -1])
def test_a_ranking_is_cut_at_one_passage_or_more(k: int) -> None:
    for measure in (
        lambda: recall([A, B], 2, k),
        lambda: precision([A, B], k),
        lambda: hit([A, B], k),
        lambda: reciprocal_rank([A, B], k),
        lambda: average_precision([A, B], 2, k),
        lambda: ndcg([A, B], 2, k),
    ):
        with pytest.raises(ValueError, match=f"k is {k}; expected: at least 1"):
            measure()


def test_average_precision_needs_evidence() -> None:
    with pytest.raises(ValueError, match="average precision needs at least one evidence span"):
        average_precision([NONE], 0, 1)


@pytest.mark.parametrize("grades", [(1,), (1, 0), (1, 2, 3)])
def test_each_span_has_a_grade_of_one_or_more(grades: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="the grades of 2 evidence spans are"):
        ndcg([A, B], 2, 10, grades)


# --- precision and hit --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "k", "share", "any_hit"),
    [
        ([A, NONE, B], 1, 1.0, 1.0),
        ([A, NONE, B], 2, 1 / 2, 1.0),
        ([A, NONE, B], 3, 2 / 3, 1.0),
        ([A, NONE, B], 10, 2 / 10, 1.0),  # of ten, though three were found
        ([NONE, A], 1, 0.0, 0.0),
        ([A | B, NONE], 2, 1 / 2, 1.0),  # two spans in a passage are one passage
        ([A, A, A], 3, 1.0, 1.0),  # the same span again is a passage again
        ([], 5, 0.0, 0.0),
    ],
)
def test_precision_and_hit_count_passages(found: Found, k: int, share: float, any_hit: float) -> None:
    assert precision(found, k) == pytest.approx(share)
    assert hit(found, k) == any_hit


def test_the_reciprocal_rank_takes_spans_as_it_takes_truth_values() -> None:
    assert reciprocal_rank([NONE, A | B, A], 10) == 1 / 2
    assert reciprocal_rank([False, True, True], 10) == 1 / 2
    assert reciprocal_rank([NONE, A], 1) == 0.0


# --- average precision --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "n", "k", "expected"),
    [
        ([A, B], 2, 10, 1.0),
        ([A, NONE, B], 2, 10, (1 + 2 / 3) / 2),
        ([NONE, A], 2, 10, (1 / 2) / 2),  # the other is not found
        ([A, NONE, B], 2, 2, 1 / 2),
        ([A | B], 2, 10, 1.0),
        ([NONE, A | B], 2, 10, 1 / 2),  # both at a rank where one passage of two is relevant
        ([A, A, B], 2, 10, (1 + 2 / 3) / 2),  # the repeated passage is as one without evidence
        ([A, A | B], 2, 10, 1.0),
        ([NONE, A | B, A, C], 3, 10, (1 / 2 + 1 / 2 + 2 / 4) / 3),
        ([], 2, 10, 0.0),
    ],
)
def test_average_precision_is(found: Found, n: int, k: int, expected: float) -> None:
    assert average_precision(found, n, k) == pytest.approx(expected)


@settings(deadline=None)
@given(rankings, st.integers(1, 10))
def test_average_precision_is_the_mean_precision_where_each_span_is_found(found: Found, k: int) -> None:
    first = {
        span: next(rank for rank, held in enumerate(found[:k], 1) if span in held) for span in set().union(*found[:k])
    }
    values = [len({r for r in first.values() if r <= rank}) / rank for rank in first.values()]
    assert average_precision(found, N_SPANS, k) == pytest.approx(sum(values) / N_SPANS)
    assert 0 <= average_precision(found, N_SPANS, k) <= 1


# --- graded nDCG --------------------------------------------------------------------------------------------

D2 = 1 / math.log2(3)  # 0.63093, the discount at rank 2; at rank 3 it is 0.5


@pytest.mark.parametrize(
    ("found", "grades", "k", "expected"),
    [
        ([A, B], (3, 1), 10, 1.0),
        ([B, A], (3, 1), 10, (1 + 3 * D2) / (3 + D2)),
        ([NONE, A], (3, 1), 10, 3 * D2 / (3 + D2)),
        ([B], (3, 1), 1, 1 / 3),  # the ideal has the best at rank 1
        ([A | B], (3, 1), 10, 1.0),  # the ideal order within a passage
        ([A | B], (1, 3), 10, 1.0),
        ([NONE, A | B], (3, 1), 10, 4 * D2 / (3 + D2)),
        ([A, A], (3, 1), 10, 3 / (3 + D2)),
        ([B, A, A], (3, 1), 10, (1 + 3 * D2) / (3 + D2)),
        ([A | B | C], (1, 2, 4), 2, 1.0),  # cut: the two best
        ([B | C, A], (5, 1, 1), 10, (1 + D2 + 5 * 0.5) / (5 + D2 + 0.5)),  # the cost that the docstring names
        ([C, B, A], (2, 2, 2), 3, 1.0),
    ],
)
def test_graded_ndcg_is(found: Found, grades: tuple[int, ...], k: int, expected: float) -> None:
    assert ndcg(found, len(grades), k, grades) == pytest.approx(expected)


some_grades = st.lists(st.integers(1, 5), min_size=N_SPANS, max_size=N_SPANS)


@settings(deadline=None)
@given(rankings, some_grades, st.integers(1, 10))
def test_graded_ndcg_is_between_0_and_1_and_grows_when_a_hit_moves_up(found: Found, grades: list[int], k: int) -> None:
    value = ndcg(found, N_SPANS, k, grades)
    assert 0 <= value <= 1 + 1e-12
    for i in range(1, len(found)):
        if not found[i - 1]:
            moved = [*found[: i - 1], found[i], found[i - 1], *found[i + 1 :]]
            assert ndcg(moved, N_SPANS, k, grades) >= value - 1e-12


@settings(deadline=None)
@given(rankings, st.integers(1, 5), st.integers(1, 10))
def test_equal_grades_are_as_none(found: Found, grade: int, k: int) -> None:
    assert ndcg(found, N_SPANS, k, [grade] * N_SPANS) == pytest.approx(ndcg(found, N_SPANS, k))
