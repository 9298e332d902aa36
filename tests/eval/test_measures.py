from __future__ import annotations

import itertools
import math
import random
import re
import statistics
import string
import unicodedata
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eval.measures.abstention import abstention, best_threshold, trade_off
from eval.measures.answer_text import contains, exact_match, f1, tokens
from eval.measures.citation import citation, citation_f1, overlaps
from eval.measures.f_measure import f_measure
from eval.measures.folding import folded
from eval.measures.language import LanguageRate, in_language, right_language_rate
from eval.measures.ndcg import ndcg
from eval.measures.ngram_recall import ngram_recall
from eval.measures.percentiles import percentiles
from eval.measures.recall import recall
from eval.measures.reciprocal_rank import reciprocal_rank
from eval.measures.roc_auc import roc_auc
from eval.measures.support import agreement, unsupported_share
from rag.verify import Verdict

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
        ("약 860억 달러로", "약 860 억 달 러 로"),
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


# --- the answer's text in a language ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The U.S. Army's 3.5 A, an x-ray!", "en", "us armys 35 xray"),
        ("El número de los cafés, ¡unas 3!", "es", "número de cafés 3"),
        ("The el", "es", "the"),  # the articles of that language only
        ("Der Chef des Konzerns „OpenAI“ und eine STRASSE (Straße)", "de", "chef konzerns openai und strasse strasse"),
        ("derart", "de", "derart"),
        ("Những chiếc xe của Hà Nội là…", "vi", "xe hà nội"),
        ("Những chiếc xe cu\u0309a Ha\u0300 No\u0323\u0302i", "vi", "xe hà nội"),  # decomposed
        ("المملكة العربية السعودية", "ar", "مملكة عربية سعودية"),
        ("مقال، في العالم؟", "ar", "مق في ع م"),  # as the official script: within words too
        ("مُحَمَّدٌ مـــحمد", "ar", "محمد محمد"),  # vowel signs and tatweel
        ("\ufeee\ufef6 ٢٠٢٤", "ar", "ولآ 2024"),  # presentation forms, digits
        ("अमेरिका की १०० किताबें।", "hi", "अमेरिका की 100 किताबें"),
        ("約860億美元。the", "zh-Hant", "約 860 億 美 元 the"),
        ("アダム・D氏", "ja", "ア ダ ム d 氏"),
        ("약 860억 달러(추산)", "ko", "약 860 억 달 러 추 산"),
        ("ชั้น ๓", "th", "ช \u0e31 \u0e49 น 3"),
        ("İSTANBUL'da ISPARTA, Isparta, ısparta", "tr", "istanbulda isparta isparta isparta"),
        ("L'Été à la fin", "fr", "lété à la fin"),  # of other languages no articles
        ("ＯｐｅｎＡＩ　１２％", "en", "openai 12"),
        ("The ab\u00adc\u200bd\u200ee f_g €5", "EN-us", "abcde fg €5"),
        ("e\u0301 é e", "en", "é é e"),  # an accent makes another letter
        (" …!? ", "en", ""),
        ("", "de", ""),
    ],
)
def test_the_tokens_compared_in_a_language_are(text: str, language: str, expected: str) -> None:
    assert tokens(text, language) == expected.split()


ARTICLES = {
    "en": "a an the",
    "es": "un una unos unas el la los las",
    "de": "ein eine einen einem eines einer der die das den dem des",
    "vi": "của là cái chiếc những",
    "hi": "",
    "ar": "",
    "zh": "",
}
LETTERS = {
    "en": "abethn",
    "es": "aelnsuoéñ",
    "de": "deinsramö",
    "vi": "làcáủahiếờnđ",
    "hi": "कखगािी",
    "ar": "المكةعربوي",
    "zh": "中国人民日报abc",
}


def mlqa_tokens(text: str, language: str) -> list[str]:
    """Tokens as in the official MLQA script, written anew from what it does."""
    kept = [c for c in text.lower() if unicodedata.category(c)[0] != "P" and c not in string.punctuation]
    bare = "".join(kept)
    if language == "ar":
        bare = " ".join(bare.split("ال"))
    for article in ARTICLES[language].split():
        bare = re.sub(rf"\b{article}\b", " ", bare)
    if language == "zh":
        bare = "".join(f" {c} " if "\u4e00" <= c <= "\u9fa5" else c for c in bare)
    return bare.split()


def official(own: list[str], other: list[str]) -> tuple[float, float]:
    """(exact match, F1) of two lists of tokens."""
    n_same = sum(min(own.count(token), other.count(token)) for token in set(own))
    score = 2 * n_same / (len(own) + len(other)) if n_same else 0.0
    return float(" ".join(own) == " ".join(other)), score


def random_text(rng: random.Random, language: str) -> str:
    words = []
    for _ in range(rng.randint(0, 6)):
        word = "".join(rng.choices(LETTERS[language], k=rng.randint(1, 3)))
        if ARTICLES[language] and rng.random() < 0.3:
            word = rng.choice(ARTICLES[language].split())
        word = rng.choice((str.upper, str.title, str.lower, str.lower))(word)
        words.append(rng.choice((word, word, word + rng.choice(",.!?¿؟،。、”“—-_$+€"), rng.choice("'\"(«") + word)))
    return rng.choice((" ", " ", "  ", "\n", "-")).join(words)


@pytest.mark.parametrize("language", ARTICLES)
def test_exact_match_and_f1_in_a_language_are_those_of_the_mlqa_script(language: str) -> None:
    rng = random.Random(1)
    n_alike = n_partly = 0
    for _ in range(3000):
        answer, expected = random_text(rng, language), random_text(rng, language)
        if rng.random() < 0.3:
            answer = rng.choice("¡.( ") + expected.upper()
        elif rng.random() < 0.3:
            answer = f"{expected} {answer}"
        exact, score = official(mlqa_tokens(answer, language), mlqa_tokens(expected, language))
        assert exact_match(answer, [expected], language) == exact, (answer, expected)
        assert f1(answer, [expected], language) == pytest.approx(score, abs=1e-12), (answer, expected)
        n_alike += exact == 1
        n_partly += 0 < score < 1
    assert n_alike > 100
    assert n_partly > 100


@settings(deadline=None)
@given(*[st.text("aaabTHEthen   ,.'-$_", max_size=20)] * 2)
def test_english_is_compared_as_by_the_squad_script(answer: str, expected: str) -> None:
    def normalised(text: str) -> str:
        bare = text.lower().translate(str.maketrans("", "", string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())

    assert exact_match(answer, [expected], "en") == (normalised(answer) == normalised(expected))
    assert f1(answer, [expected], "en") == pytest.approx(squad_f1(answer, expected))


@pytest.mark.parametrize(
    ("answer", "expected", "language", "exact", "held"),
    [
        ("OpenAI's board dismissed Altman’s allies.", "Altman", "en", 0.0, 1.0),  # punctuation parts words
        ("in 2019-2020", "2019", "en", 0.0, 1.0),
        ("the US", "U.S.", "en", 1.0, 1.0),  # what matches is contained
        ("35 million", "3.5", "en", 0.0, 0.0),
        ("a tower", "the Tower", "en", 1.0, 1.0),
        ("das ist der Turm in Paris", "ein Turm", "de", 0.0, 1.0),
        ("sedem", "dem", "de", 0.0, 0.0),
        ("زار السعودية والإمارات", "الإمارات", "ar", 0.0, 1.0),  # with a particle before the article
        ("ذهب للسعودية", "السعودية", "ar", 0.0, 1.0),
        ("في العالم", "المال", "ar", 0.0, 0.0),  # though the official tokens of both hold a lone meem
        ("والد", "د", "ar", 0.0, 0.0),
        ("他出生於北京市", "北京", "zh-Hant", 0.0, 1.0),
        ("사우디아라비아와", "사우디아라비아", "ko", 0.0, 1.0),
        ("İSTANBUL'DA", "istanbul", "tr", 0.0, 1.0),
        ("in ISTANBUL", "İstanbul", "en", 0.0, 1.0),
        ("عام ٢٠٢٤", "2024", "ar", 0.0, 1.0),
        ("ＧＰＴ－４", "GPT-4", "ja", 1.0, 1.0),
        ("anything", "the", "en", 0.0, 0.0),  # nothing is left of it
        ("the", "an", "en", 1.0, 0.0),  # as the official scripts have it
    ],
)
def test_an_answer_matches_or_contains_in_a_language(
    answer: str, expected: str, language: str, exact: float, held: float
) -> None:
    assert exact_match(answer, [expected], language) == exact
    assert contains(answer, ["zzz", expected], language) == held


def test_no_expected_answer_in_a_language_gives_0() -> None:
    assert (exact_match("x", [], "en"), f1("x", [], "en"), contains("x", [], "en")) == (0.0, 0.0, 0.0)


@settings(deadline=None)
@given(st.text(max_size=8), st.text(max_size=8), st.sampled_from(["", "en", "ar", "zh-Hans", "tr"]))
def test_whatever_matches_with_words_is_contained(answer: str, expected: str, language: str) -> None:
    if tokens(expected, language):
        assert exact_match(answer, [expected], language) <= contains(answer, [expected], language)
        assert contains(expected, [expected], language) == 1.0
        assert f1(expected, [expected], language) == 1.0


@settings(deadline=None)
@given(st.text(max_size=10))
@example("ǰ ΐ")  # folding case takes these apart
@example("İ\u0301 ı\u0307 e\u200d\u0301")
@example("\u0345 ᾳ ŉ ﷲ \ufc5e")
def test_folded_text_stays_as_it_is_and_whatever_its_normal_form(text: str) -> None:
    assert folded(folded(text)) == folded(text)
    assert unicodedata.is_normalized("NFKC", folded(text))
    assert folded(unicodedata.normalize("NFD", text)) == folded(text)


# --- character 3-grams --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected", "value"),
    [
        ("Das sagte Altmann.", ["Altman"], 1.0),  # alt ltm tma man
        ("Oltman", ["Altman"], 3 / 4),
        ("bana", ["banana"], 2 / 4),  # ban, ana; nan and the second ana lack
        ("Сэм Альтман", ["Sam Altman"], 0.0),
        ("Sam Oltman", ["Sam Altman"], 4 / 5),  # sam; ltm tma man of four
        ("samoltman", ["Sam Altman"], 4 / 5),
        ("of x", ["of"], 1.0),  # a short word is one by itself
        ("offer", ["of"], 0.0),  # and of a spaced script a whole word
        ("他在北京工作", ["北京"], 1.0),  # of an unspaced one it is found within
        ("서울에서 열린", ["서울"], 1.0),
        ("東京都知事", ["東京 大阪"], 1 / 2),
        ("アダム・ディアンジェロ氏", ["ディアンジェロ"], 1.0),
        ("アダム・デアンジェロ氏", ["ディアンジェロ"], 3 / 5),  # ディア ィアン lack; アンジ ンジェ ジェロ
        ("U.S.A", ["usa"], 0.0),  # punctuation parts words
        ("ＯｐｅｎＡＩ", ["OpenAI"], 1.0),
        ("x", ["zzz", "x"], 1.0),
        ("x", [""], 0.0),
        ("x", ["?!"], 0.0),
        ("x", [], 0.0),
        ("", ["x"], 0.0),
    ],
)
def test_the_3_gram_recall_is(answer: str, expected: list[str], value: float) -> None:
    assert ngram_recall(answer, expected) == pytest.approx(value)


spaced = st.text(st.sampled_from("abcABCñé  ,.-!'"), max_size=25)


@settings(deadline=None)
@given(spaced, spaced)
def test_the_3_gram_recall_of_spaced_text_is_that_of_its_authors(answer: str, expected: str) -> None:
    def grams(text: str) -> list[str]:
        words = re.split(r"[^a-zñé]+", text.lower())
        return [w if len(w) < 3 else w[i : i + 3] for w in words if w for i in range(max(1, len(w) - 2))]

    held, wanted = grams(answer), grams(expected)
    n_found = sum(min(held.count(gram), wanted.count(gram)) for gram in set(wanted))
    assert ngram_recall(answer, [expected]) == pytest.approx(n_found / len(wanted) if wanted else 0.0)


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


@settings(deadline=None)
@given(st.lists(spans, max_size=5), st.lists(st.lists(spans, max_size=3), max_size=4))
def test_the_f1_of_citations_is_the_harmonic_mean(
    cited: list[tuple[str, int, int]], evidence: list[list[tuple[str, int, int]]]
) -> None:
    both = citation(cited, evidence)
    assert citation_f1(cited, evidence) == pytest.approx(statistics.harmonic_mean(both))


def test_the_f1_of_no_citations_and_of_no_evidence_is_0() -> None:
    assert citation_f1([], [[("d", 0, 1)]]) == 0.0
    assert citation_f1([("d", 0, 1)], []) == 0.0
    assert citation_f1([], []) == 0.0
    assert (f_measure(0.0, 0.0), f_measure(1.0, 0.5)) == (0.0, pytest.approx(2 / 3))


# --- support ------------------------------------------------------------------------------------------------

YES, PARTLY, NO, NO_SOURCE = Verdict.SUPPORTED, Verdict.PARTLY, Verdict.UNSUPPORTED, Verdict.NO_SOURCE


@pytest.mark.parametrize(
    ("verdicts", "share"),
    [([YES, YES], 0.0), ([YES, PARTLY, NO], 2 / 3), ([NO_SOURCE], 1.0), ([YES, NO_SOURCE, YES, YES], 1 / 4)],
)
def test_the_unsupported_share_counts_every_verdict_but_supported(verdicts: list[Verdict], share: float) -> None:
    assert unsupported_share(verdicts) == pytest.approx(share)


def test_verifier_and_gold_agree_where_both_hold_the_answer_right_or_both_wrong() -> None:
    verdicts = [[YES, YES], [YES, PARTLY], [NO], [YES], [NO_SOURCE, YES], []]
    right = [True, True, False, False, False, True]
    # right and right; doubted but right; wrong and wrong; passed but wrong; wrong and wrong; nothing said, left out
    assert agreement(verdicts, right) == pytest.approx(3 / 5)
    assert agreement([[YES]], [True]) == 1.0


def test_without_sentences_support_is_not_defined() -> None:
    assert math.isnan(unsupported_share([]))
    assert math.isnan(agreement([], []))
    assert math.isnan(agreement([[], []], [True, False]))
    with pytest.raises(ValueError, match="shorter"):
        agreement([[YES]], [])


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


# --- the trade-off of abstention ----------------------------------------------------------------------------


def test_the_trade_off_of_five_questions_by_hand() -> None:
    # relevance 0.2 0.4 0.4 0.6 0.9, of which 0.2, one 0.4 and 0.6 have no answer
    points = trade_off([0.9, 0.4, 0.2, 0.4, 0.6], [True, True, False, False, False])
    shown = [(p.threshold, p.answerable_answered, p.unanswerable_answered, p.precision, p.recall, p.f1) for p in points]
    assert [row[:1] + tuple(Fraction(value).limit_denominator(100) for value in row[1:]) for row in shown] == [
        (0.2, 1, 1, 0, 0, 0),
        (0.4, 1, Fraction(2, 3), 1, Fraction(1, 3), Fraction(1, 2)),
        (0.6, Fraction(1, 2), Fraction(1, 3), Fraction(2, 3), Fraction(2, 3), Fraction(2, 3)),
        (0.9, Fraction(1, 2), 0, Fraction(3, 4), 1, Fraction(6, 7)),
        (math.nextafter(0.9, 1), 0, 0, Fraction(3, 5), 1, Fraction(3, 4)),
    ]
    assert best_threshold(points).threshold == 0.9
    # 0.9 over all three; 0.4 over 0.2, as 0.4, under 0.6: 4.5 of 6
    assert roc_auc([0.9, 0.4], [0.2, 0.4, 0.6]) == 4.5 / 6


questions = st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=14)


@settings(deadline=None)
@given(questions)
def test_each_point_is_what_answering_from_there_on_gives(asked: list[tuple[int, bool]]) -> None:
    relevance, answerable = [number / 10 for number, _ in asked], [has_answer for _, has_answer in asked]
    points = trade_off(relevance, answerable)
    assert [p.threshold for p in points[:-1]] == sorted(set(relevance))
    for point in points:
        abstained = [value < point.threshold for value in relevance]
        expected = abstention(abstained, answerable)
        assert {"precision": point.precision, "recall": point.recall, "f1": point.f1} == pytest.approx(expected)
        for share, kind in ((point.answerable_answered, True), (point.unanswerable_answered, False)):
            own = [not out for out, has_answer in zip(abstained, answerable, strict=True) if has_answer is kind]
            assert share == pytest.approx(sum(own) / len(own) if own else 0.0)
    if points:
        scores = [exact_f1(relevance, answerable, p.threshold) for p in points]
        assert best_threshold(points) is points[scores.index(max(scores))]  # of equal ones the first


def exact_f1(relevance: list[float], answerable: list[bool], threshold: float) -> Fraction:
    below = [has_answer for value, has_answer in zip(relevance, answerable, strict=True) if value < threshold]
    total = len(below) + answerable.count(False)
    return Fraction(2 * below.count(False), total) if total else Fraction(0)


@settings(deadline=None)
@given(questions)
def test_the_roc_auc_counts_pairs_and_is_the_area_under_the_points(asked: list[tuple[int, bool]]) -> None:
    right = [number / 10 for number, has_answer in asked if has_answer]
    wrong = [number / 10 for number, has_answer in asked if not has_answer]
    value = roc_auc(right, wrong)
    if not (right and wrong):
        assert math.isnan(value)
        return
    pairs = [Fraction(1) if a > b else Fraction(int(a == b), 2) for a in right for b in wrong]
    assert value == pytest.approx(float(sum(pairs) / len(pairs)))
    points = trade_off([number / 10 for number, _ in asked], [has_answer for _, has_answer in asked])
    area = sum(
        (a.unanswerable_answered - b.unanswerable_answered) * (a.answerable_answered + b.answerable_answered) / 2
        for a, b in itertools.pairwise(points)
    )
    assert value == pytest.approx(area)


def test_a_trade_off_needs_finite_relevances_as_many_as_questions() -> None:
    assert trade_off([], []) == []
    with pytest.raises(ValueError, match="no point to choose from"):
        best_threshold([])
    with pytest.raises(ValueError, match="not finite"):
        trade_off([math.nan], [True])
    with pytest.raises(ValueError, match="shorter"):
        trade_off([0.1], [])
    with pytest.raises(ValueError, match="not a number"):
        roc_auc([0.1], [math.nan])


# --- the answer's language ----------------------------------------------------------------------------------

ENGLISH = "The company dismissed its chief executive after the board lost confidence in him."
TRADITIONAL = "董事會對執行長失去信心，因此將他解僱。"
SIMPLIFIED = "董事会对首席执行官失去信心，因此将他解雇。"
KOREAN = "이사회는 최고경영자에 대한 신뢰를 잃었다."
JAPANESE = "取締役会は最高経営責任者への信頼を失った。"
ARABIC = "فقد مجلس الإدارة ثقته في الرئيس التنفيذي للشركة"
TURKISH = "Yönetim kurulu genel müdüre olan güvenini kaybettiği için onu görevden aldı."


@pytest.mark.parametrize(
    ("text", "wanted", "value"),
    [
        (ENGLISH, "en", 1.0),
        (ENGLISH, "ko", 0.0),
        (KOREAN, "ko", 1.0),
        (KOREAN + " OpenAI, Sam Altman", "ko", 1.0),
        (JAPANESE, "ja", 1.0),
        (JAPANESE, "zh-Hant", 0.0),
        (TRADITIONAL, "zh-Hant", 1.0),
        (TRADITIONAL, "zh-Hans", 0.0),
        (SIMPLIFIED, "zh-Hans", 1.0),
        (SIMPLIFIED, "zh-Hant", 0.0),
        (SIMPLIFIED, "zh", 1.0),
        (SIMPLIFIED, "ja", 0.0),
        ("人工智能公司在北京", "zh-Hant", 1.0),  # none of these is written otherwise
        (ARABIC, "ar", 1.0),
        (TURKISH, "tr", 1.0),
        (TURKISH, "en", 0.0),
        ("서울", "ko", 1.0),  # the script of one language tells at once
        ("서울", "en", 0.0),
        ("Sam Altman", "ko", math.nan),  # a name
        ("Die Zeit", "en", math.nan),  # a name that is surely German
        ("Sam Altman, Mira Murati, Greg Brockman", "en", math.nan),  # long enough, but of no language
        ("約860億美元", "zh-Hant", math.nan),  # too short
        ("東京都", "ja", math.nan),
        ("1984", "en", math.nan),
        ("", "en", math.nan),
        (ENGLISH, "", math.nan),
    ],
)
def test_an_answer_is_in_the_wanted_language(text: str, wanted: str, value: float) -> None:
    assert in_language(text, wanted) == pytest.approx(value, nan_ok=True)


def test_the_right_language_rate_leaves_out_what_does_not_tell() -> None:
    texts = [ENGLISH, TRADITIONAL, KOREAN, "OpenAI", ""]
    assert right_language_rate(texts, ["en", "zh-Hans", "ko", "ko", "ko"]) == LanguageRate(2 / 3, 3, 2)
    nothing = right_language_rate([""], ["en"])
    assert (math.isnan(nothing.rate), nothing.n, nothing.n_unknown) == (True, 0, 1)
    assert right_language_rate([], []).n == 0
    with pytest.raises(ValueError, match="shorter"):
        right_language_rate([ENGLISH], [])


# --- percentiles --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3, 4], (2.5, 3.85, 3.97)),  # places 1.5, 2.85 and 2.97 from 0
        ([4, 1, 3, 2], (2.5, 3.85, 3.97)),
        ([7.5], (7.5, 7.5, 7.5)),
        ([0, 100], (50, 95, 99)),
        ([], (0, 0, 0)),
    ],
)
def test_percentiles_lie_between_the_values(values: list[float], expected: tuple[float, float, float]) -> None:
    assert tuple(percentiles(values).values()) == pytest.approx(expected)
    assert list(percentiles(values)) == ["p50", "p95", "p99"]


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e4), min_size=2, max_size=50))
def test_percentiles_are_those_of_the_standard_library(values: list[float]) -> None:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    assert percentiles(values) == pytest.approx({"p50": cuts[49], "p95": cuts[94], "p99": cuts[98]})
