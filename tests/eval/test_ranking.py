"""Ranking measures of spans, by hand and against trec_eval itself."""

from __future__ import annotations

import math
import random

import pytest
import pytrec_eval

from eval.measures.ranking import RANKING, ranking

NONE: frozenset[int] = frozenset()
A, B, C = frozenset({0}), frozenset({1}), frozenset({2})


@pytest.mark.parametrize(
    ("found", "n", "recall_1", "recall_5", "rr", "ap", "ndcg"),
    [
        ([A], 1, 1, 1, 1, 1, 1),
        ([NONE, A], 1, 0, 1, 1 / 2, 1 / 2, 1 / math.log2(3)),
        ([NONE, NONE, A], 1, 0, 1, 1 / 3, 1 / 3, 1 / 2),  # 1 / log2(4)
        ([NONE] * 9 + [A], 1, 0, 0, 1 / 10, 1 / 10, 1 / math.log2(11)),
        ([NONE] * 10 + [A], 1, 0, 0, 0, 0, 0),
        ([], 2, 0, 0, 0, 0, 0),
        ([A, A, A], 2, 1 / 2, 1 / 2, 1, 1 / 2, 1 / (1 + 1 / math.log2(3))),  # the same span again
        ([A, B], 2, 1 / 2, 1, 1, 1, 1),
        ([A, NONE, B], 2, 1 / 2, 1, 1, (1 + 2 / 3) / 2, 1.5 / (1 + 1 / math.log2(3))),
        ([A | B], 2, 1, 1, 1, 1, 1),  # two spans in a passage: nothing could be better
        ([A, A | B], 2, 1 / 2, 1, 1, 1, 1),
        ([NONE, A | B], 2, 0, 1, 1 / 2, 1 / 2, 1 / math.log2(3)),
        ([C, NONE, A | B], 3, 1 / 2, 1, 1, (1 + 2 / 3) / 2, 1.5 / (1 + 1 / math.log2(3))),
    ],
)
def test_the_measures_of_a_ranking_are(
    found: list[frozenset[int]], n: int, recall_1: float, recall_5: float, rr: float, ap: float, ndcg: float
) -> None:
    values = ranking(found, [1] * n)
    names = ("recall@1", "recall@5", "mrr@10", "map@10", "ndcg@10")
    assert [values[name] for name in names] == pytest.approx([recall_1, recall_5, rr, ap, ndcg])
    assert tuple(values) == RANKING


def test_the_gain_is_the_grade() -> None:
    # grades 1 and 3, ranked 1 and 2: (1 + 3 / log2(3)) / (3 + 1 / log2(3))
    assert ranking([A, B], [1, 3])["ndcg@10"] == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)))
    assert ranking([B, A], [1, 3])["ndcg@10"] == pytest.approx(1)


def test_the_measures_are_those_of_trec_eval_where_a_passage_holds_one_span() -> None:
    rng = random.Random(2026)
    qrels: dict[str, dict[str, int]] = {}
    runs: dict[str, dict[str, float]] = {}
    ours: dict[str, dict[str, float]] = {}
    for number in range(400):
        grades = [rng.choice((1, 1, 2, 3)) for _ in range(rng.randint(1, 12))]
        ranked = rng.sample(range(30), rng.randint(1, 20))  # a number below len(grades) is a span
        qrels[str(number)] = {f"d{i}": grade for i, grade in enumerate(grades)}
        runs[str(number)] = {f"d{i}": float(-place) for place, i in enumerate(ranked)}
        ours[str(number)] = ranking([frozenset({i}) if i < len(grades) else NONE for i in ranked], grades)
    names = {"recall_1": "recall@1", "recall_5": "recall@5", "recall_10": "recall@10", "ndcg_cut_10": "ndcg@10",
             "map_cut_10": "map@10"}  # fmt: skip
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"recall.1,5,10", "ndcg_cut.10", "map_cut.10", "recip_rank"})
    for query, values in theirs.evaluate(runs).items():
        for name, own in names.items():
            assert ours[query][own] == pytest.approx(values[name], abs=1e-12), (query, own)
        expected = values["recip_rank"] if values["recip_rank"] >= 0.1 else 0.0
        assert ours[query]["mrr@10"] == pytest.approx(expected, abs=1e-12)
