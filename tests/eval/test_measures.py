from __future__ import annotations

import itertools
import math
import re
import string
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.measures.abstention import abstention
from eval.measures.answer_text import contains, exact_match, f1, tokens
from eval.measures.citation import citation, overlaps
from eval.measures.ndcg import ndcg
from eval.measures.recall import recall
from eval.measures.reciprocal_rank import reciprocal_rank

NONE: frozenset[int] = frozenset()
A, B, C = frozenset({0}), frozenset({1}), frozenset({2})
rankings = st.lists(st.frozensets(st.integers(0, 3), max_size=3), max_size=8)


# --- recall -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "n", "k", "expected"),
    [
        ([A, NONE, B], 2, 1, 1 / 2),
        ([A, NONE, B], 2, 2, 1 / 2),
        ([A, NONE, B], 2, 3, 2 / 2),
        ([A, A, A], 2, 3, 1 / 2),  # the same span again
        ([A | B], 2, 1, 2 / 2),  # two at once
        ([NONE, A], 1, 1, 0.0),
        ([], 3, 10, 0.0),
        ([B], 3, 10, 1 / 3),
    ],
)
def test_recall_is_the_share_of_the_spans_in_the_first_k(
    found: list[frozenset[int]], n: int, k: int, expected: float
) -> None:
    assert recall(found, n, k) == pytest.approx(expected)


def test_recall_and_ndcg_need_evidence() -> None:
    with pytest.raises(ValueError, match="recall needs at least one evidence span"):
        recall([A], 0, 1)
    with pytest.raises(ValueError, match="nDCG needs at least one evidence span"):
        ndcg([A], 0, 1)


@settings(deadline=None)
@given(rankings, st.integers(1, 10))
def test_recall_counts_as_a_plain_loop_does(found: list[frozenset[int]], k: int) -> None:
    hits = 0
    for span in range(4):
        for i in range(min(k, len(found))):
            if span in found[i]:
                hits += 1
                break
    assert recall(found, 4, k) == pytest.approx(hits / 4)


# --- reciprocal rank ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("relevant", "k", "expected"),
    [
        ([True, True], 10, 1.0),
        ([False, True], 10, 1 / 2),
        ([False, False, False, True], 10, 1 / 4),
        ([False, False, False, True], 3, 0.0),
        ([False] * 9 + [True], 10, 1 / 10),
        ([False] * 10 + [True], 10, 0.0),
        ([], 10, 0.0),
    ],
)
def test_the_reciprocal_rank_is_one_over_the_first_relevant_rank(relevant: list[bool], k: int, expected: float) -> None:
    assert reciprocal_rank(relevant, k) == expected


# --- nDCG ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "n", "k", "expected"),
    [
        # One span: 1 / log2(rank + 1).
        ([A], 1, 10, 1.0),
        ([NONE, A], 1, 10, 0.6309),  # 1 / log2(3)
        ([NONE, NONE, A], 1, 10, 0.5),  # 1 / log2(4)
        ([NONE] * 9 + [A], 1, 10, 0.2891),  # 1 / log2(11)
        ([NONE] * 10 + [A], 1, 10, 0.0),
        ([A, A], 1, 10, 1.0),  # a passage that overlaps the first one gains nothing
        # Two spans: the ideal is 1 + 1 / log2(3) = 1.6309.
        ([A, B], 2, 10, 1.0),
        ([A, NONE, B], 2, 10, (1 + 0.5) / 1.63093),
        ([NONE, A, B], 2, 10, (0.63093 + 0.5) / 1.63093),
        ([A], 2, 10, 1 / 1.63093),
        ([A | B], 2, 10, 1.0),  # both in the first passage: nothing could be better
        ([NONE, A | B], 2, 10, 2 * 0.63093 / 1.63093),
        ([A, A | B], 2, 10, 1.0),
        # Cut at k, the ideal too.
        ([A, B, C], 3, 1, 1.0),
        ([A | B | C], 3, 1, 1.0),
        ([NONE, A], 2, 1, 0.0),
        ([], 1, 10, 0.0),
    ],
)
def test_ndcg_is(found: list[frozenset[int]], n: int, k: int, expected: float) -> None:
    assert ndcg(found, n, k) == pytest.approx(expected, abs=1e-4)


@settings(deadline=None)
@given(st.permutations([0, 1, 2, None, None, None]), st.integers(1, 8))
def test_ndcg_of_one_span_a_passage_is_the_textbooks(ranking: list[int | None], k: int) -> None:
    # Järvelin & Kekäläinen: sum of gain / log2(rank + 1), over that of the gains sorted.
    gains = [0.0 if span is None else 1.0 for span in ranking]

    def dcg(values: list[float]) -> float:
        return sum(values[i] / math.log(i + 2, 2) for i in range(min(k, len(values))))

    found = [NONE if span is None else frozenset({span}) for span in ranking]
    assert ndcg(found, 3, k) == pytest.approx(dcg(gains) / dcg(sorted(gains, reverse=True)))


@settings(deadline=None)
@given(rankings, st.integers(1, 10))
def test_ndcg_is_between_0_and_1_and_grows_when_a_hit_moves_up(found: list[frozenset[int]], k: int) -> None:
    value = ndcg(found, 4, k)
    assert 0 <= value <= 1 + 1e-12
    for i in range(1, len(found)):
        if not found[i - 1]:
            moved = [*found[: i - 1], found[i], found[i - 1], *found[i + 1 :]]
            assert ndcg(moved, 4, k) >= value - 1e-12


# --- the answer's text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Eiffel Tower, a tower!", "eiffel tower tower"),
        ("don't U.S. 3.5", "don t u s 3 5"),
        ("약 860억 달러로", "약 860억 달러로"),
        ("約860億美元。", "約 860 億 美 元"),
        ("アダム・D", "ア ダ ム d"),
        ("ไทย", "ไ ท ย"),
        ("사우디아라비아와 GPT가", "사 우 디 아 라 비 아 와 gpt 가"),
        ("\u1109\u1165\u110b\u116e\u11af", "서 울"),  # decomposed
        ("ＡＢＣ１２", "abc12"),
        ("Straße", "strasse"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("  …!? ", ""),
    ],
)
def test_the_tokens_compared_are(text: str, expected: str) -> None:
    assert tokens(text) == expected.split()


@pytest.mark.parametrize(
    ("answer", "expected", "value"),
    [
        ("seven cranes", ["seven cranes"], 1.0),
        ("The seven cranes.", ["seven cranes"], 1.0),
        # it has seven cranes | seven cranes: p = 2/4, r = 2/2, 2 * 0.5 * 1 / 1.5
        ("It has seven cranes", ["seven cranes"], 2 / 3),
        ("It has seven cranes", ["nothing", "seven cranes"], 2 / 3),
        # 約 860 億 美 元 | 860 億: p = 2/5, r = 1, 2 * 0.4 / 1.4
        ("約860億美元", ["860億"], 0.8 / 1.4),
        # b b c | b b b: two b in common; p = 2/3, r = 2/3
        ("b b c", ["b b b"], 2 / 3),
        ("", ["seven"], 0.0),
        ("seven", [""], 0.0),
        ("seven", [], 0.0),
        ("seven", ["eight"], 0.0),
    ],
)
def test_f1_is_the_best_overlap_of_tokens(answer: str, expected: list[str], value: float) -> None:
    assert f1(answer, expected) == pytest.approx(value)


def squad_f1(prediction: str, truth: str) -> float:
    """F1 as in the official SQuAD script, for text of plain words."""

    def normalised(text: str) -> list[str]:
        text = "".join(char for char in text.lower() if char not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    one, other = normalised(prediction), normalised(truth)
    n_same = sum((Counter(one) & Counter(other)).values())
    if n_same == 0:
        return 0.0
    precision, share = n_same / len(one), n_same / len(other)
    return 2 * precision * share / (precision + share)


words = st.lists(st.sampled_from("the a an Tower tower, seven! Cranes cranes. of x1".split()), max_size=8).map(" ".join)


@settings(deadline=None)
@given(words, st.lists(words, min_size=1, max_size=3))
def test_f1_of_english_words_is_that_of_the_squad_script(answer: str, expected: list[str]) -> None:
    assert f1(answer, expected) == pytest.approx(max(squad_f1(answer, other) for other in expected))


@pytest.mark.parametrize(
    ("answer", "expected", "exact", "held"),
    [
        ("The 860억 달러.", ["860억 달러"], 1.0, 1.0),
        ("약 860억 달러", ["860억 달러", "x"], 0.0, 1.0),
        ("dollars 860", ["860 dollars"], 0.0, 0.0),  # in a row and in order
        ("旧取締役会のアダム・ディアンジェロ氏", ["アダム・ディアンジェロ"], 0.0, 1.0),
        ("사우디아라비아와 같은 곳", ["사우디아라비아"], 0.0, 1.0),  # a particle follows
        ("두 명의 연구원", ["두 명"], 0.0, 1.0),
        ("seventeen", ["seven"], 0.0, 0.0),  # whole tokens only
        ("1860", ["860"], 0.0, 0.0),
        ("anything", [""], 0.0, 0.0),
        ("anything", [], 0.0, 0.0),
        ("", ["x"], 0.0, 0.0),
    ],
)
def test_exact_match_and_contains_compare_tokens(answer: str, expected: list[str], exact: float, held: float) -> None:
    assert (exact_match(answer, expected), contains(answer, expected)) == (exact, held)


# --- citations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("d", 0, 5), ("d", 4, 9), True),
        (("d", 0, 5), ("d", 5, 9), False),  # touching is not overlapping
        (("d", 0, 9), ("d", 3, 4), True),
        (("d", 0, 5), ("e", 0, 5), False),
    ],
)
def test_spans_overlap_where_they_share_a_character(
    one: tuple[str, int, int], other: tuple[str, int, int], expected: bool
) -> None:
    assert overlaps(one, other) is expected
    assert overlaps(other, one) is expected


def test_citations_are_measured_by_overlap_with_evidence() -> None:
    cited = [("d", 0, 10), ("d", 50, 60), ("e", 0, 10)]
    evidence = [[("d", 5, 8)], [("d", 20, 30)]]
    # 1 of 3 citations is right; 1 of 2 spans is covered
    assert citation(cited, evidence) == (pytest.approx(1 / 3), 1 / 2)
    assert citation([], evidence) == (0.0, 0.0)
    assert citation(cited, []) == (0.0, 0.0)


def test_a_span_that_stands_in_several_places_is_covered_by_a_citation_of_one() -> None:
    assert citation([("d", 0, 10)], [[("d", 5, 8), ("d", 95, 98), ("e", 5, 8)]]) == (1.0, 1.0)


def test_a_span_that_stands_nowhere_counts_as_not_covered() -> None:
    assert citation([("d", 0, 10)], [[("d", 5, 8)], []]) == (1.0, 1 / 2)


spans = st.tuples(st.sampled_from("de"), st.integers(0, 12), st.integers(1, 4)).map(lambda s: (s[0], s[1], s[1] + s[2]))


@settings(deadline=None)
@given(st.lists(spans, max_size=5), st.lists(st.lists(spans, max_size=3), max_size=4))
def test_citations_are_measured_as_by_sets_of_characters(
    cited: list[tuple[str, int, int]], evidence: list[list[tuple[str, int, int]]]
) -> None:
    def characters(span: tuple[str, int, int]) -> set[tuple[str, int]]:
        return {(span[0], i) for i in range(span[1], span[2])}

    all_evidence = set().union(*(characters(place) for place in itertools.chain(*evidence)))
    all_cited = set().union(*(characters(span) for span in cited))
    n_right = sum(1 for span in cited if characters(span) & all_evidence)
    n_covered = sum(1 for places in evidence if any(characters(place) & all_cited for place in places))
    expected = (n_right / len(cited) if cited else 0.0, n_covered / len(evidence) if evidence else 0.0)
    assert citation(cited, evidence) == pytest.approx(expected)


# --- abstention ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("abstained", "answerable", "expected"),
    [
        # 2 of 3 abstentions are right; 2 of 4 unanswerable questions are caught: f1 = 2 * 2/3 * 1/2 / (7/6) = 4/7
        ([1, 1, 1, 0, 0, 0], [0, 0, 1, 0, 0, 1], (2 / 3, 1 / 2, 4 / 7)),
        ([1, 1], [0, 0], (1.0, 1.0, 1.0)),
        ([1, 1], [1, 1], (0.0, 0.0, 0.0)),
        ([0, 0], [0, 1], (0.0, 0.0, 0.0)),
        ([0, 0], [1, 1], (0.0, 0.0, 0.0)),
        ([], [], (0.0, 0.0, 0.0)),
    ],
)
def test_abstention_is_measured_as_a_classifier_of_the_unanswerable(
    abstained: list[int], answerable: list[int], expected: tuple[float, float, float]
) -> None:
    found = abstention([bool(x) for x in abstained], [bool(x) for x in answerable])
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx(expected)


def test_abstentions_and_questions_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="longer"):
        abstention([True], [True, False])
