from __future__ import annotations

import math
import unicodedata

import pytest

from eval.measures.abstention import abstention, roc_auc, trade_off
from eval.measures.answers import contains, contains_all, exact_match, f1, folded, tokens
from eval.measures.citation import citation, unsupported_share
from eval.measures.language import in_language
from rag.verify import Verdict


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The U.S. Army's 3.5 A, an x-ray!", "en", "us armys 35 xray"),
        ("El número de los cafés, ¡unas 3!", "es", "número de cafés 3"),
        ("Der Chef des Konzerns „OpenAI“ und eine STRASSE (Straße)", "de", "chef konzerns openai und strasse strasse"),
        ("Những chiếc xe của Hà Nội là…", "vi", "xe hà nội"),
        ("Những chiếc xe cu\u0309a Ha\u0300 No\u0323\u0302i", "vi", "xe hà nội"),  # decomposed
        ("المملكة العربية السعودية", "ar", "مملكة عربية سعودية"),
        ("مُحَمَّدٌ مـــحمد", "ar", "محمد محمد"),  # vowel signs and tatweel
        ("\ufeee\ufef6 ٢٠٢٤", "ar", "ولآ 2024"),  # presentation forms, digits
        ("अमेरिका की १०० किताबें।", "hi", "अमेरिका की 100 किताबें"),
        ("約860億美元。the", "zh-Hant", "約 860 億 美 元 the"),
        ("アダム・D氏", "ja", "ア ダ ム d 氏"),
        ("약 860억 달러(추산)", "ko", "약 860 억 달 러 추 산"),
        ("İSTANBUL'da ISPARTA, Isparta, ısparta", "tr", "istanbulda isparta isparta isparta"),
        ("L'Été à la fin", "fr", "lété à la fin"),  # of other languages no articles
        ("The ab\u00adc\u200bd\u200ee f_g €5", "EN-us", "abcde fg €5"),
        ("e\u0301 é e", "en", "é é e"),  # an accent makes another letter
    ],
)
def test_the_tokens_compared_in_a_language_are(text: str, language: str, expected: str) -> None:
    assert tokens(text, language) == expected.split()


@pytest.mark.parametrize(
    ("answer", "expected", "language", "exact", "held"),
    [
        ("OpenAI's board dismissed Altman’s allies.", "Altman", "en", 0.0, 1.0),  # punctuation parts words
        ("the US", "U.S.", "en", 1.0, 1.0),  # what matches is contained
        ("35 million", "3.5", "en", 0.0, 0.0),
        ("das ist der Turm in Paris", "ein Turm", "de", 0.0, 1.0),
        ("زار السعودية والإمارات", "الإمارات", "ar", 0.0, 1.0),  # with a particle before the article
        ("ذهب للسعودية", "السعودية", "ar", 0.0, 1.0),
        ("في العالم", "المال", "ar", 0.0, 0.0),  # though the official tokens of both hold a lone meem
        ("他出生於北京市", "北京", "zh-Hant", 0.0, 1.0),
        ("사우디아라비아와", "사우디아라비아", "ko", 0.0, 1.0),
        ("İSTANBUL'DA", "istanbul", "tr", 0.0, 1.0),
        ("in ISTANBUL", "İstanbul", "en", 0.0, 1.0),
        ("عام ٢٠٢٤", "2024", "ar", 0.0, 1.0),
        ("anything", "the", "en", 0.0, 0.0),  # nothing is left of it
        ("the", "an", "en", 1.0, 0.0),  # as the official scripts have it
    ],
)
def test_an_answer_matches_or_contains_in_a_language(
    answer: str, expected: str, language: str, exact: float, held: float
) -> None:
    assert exact_match(answer, [expected], language) == exact
    assert contains(answer, ["zzz", expected], language) == held


@pytest.mark.parametrize("text", ["ǰ ΐ", "İ\u0301 ı\u0307 e\u200d\u0301", "\u0345 ᾳ ŉ ﷲ \ufc5e"])
def test_folded_text_stays_as_it_is_and_whatever_its_normal_form(text: str) -> None:
    assert folded(folded(text)) == folded(unicodedata.normalize("NFD", text)) == folded(text)
    assert unicodedata.is_normalized("NFKC", folded(text))


@pytest.mark.parametrize(
    ("answer", "expected", "value"),
    [
        ("seven cranes", ["seven cranes"], 1.0),
        # it has seven cranes | seven cranes: p = 2/4, r = 2/2, 2 * 0.5 * 1 / 1.5
        ("It has seven cranes", ["nothing", "seven cranes"], 2 / 3),
        # 約 860 億 美 元 | 860 億: p = 2/5, r = 1, 2 * 0.4 / 1.4
        ("約860億美元", ["860億"], 0.8 / 1.4),
        # b b c | b b b: two b in common; p = 2/3, r = 2/3
        ("b b c", ["b b b"], 2 / 3),
        ("", ["seven"], 0.0),
        ("seven", [""], 0.0),
    ],
)
def test_f1_is_the_best_overlap_of_tokens(answer: str, expected: list[str], value: float) -> None:
    assert f1(answer, expected, "en") == pytest.approx(value)


@pytest.mark.parametrize(
    ("answer", "expected", "some", "every"),
    [
        ("The bell and the harbour", ["bell", "harbour"], 1.0, 1.0),
        ("The bell only", ["bell", "harbour"], 1.0, 0.0),
        ("Nothing of both", ["bell", "harbour"], 0.0, 0.0),
        ("The bell", ["bell"], 1.0, 1.0),
        ("The bell", ["bell", ""], 1.0, 0.0),  # an empty text stands nowhere
        ("The bell", [], 0.0, 0.0),
    ],
)
def test_a_list_is_contained_with_every_part_only(answer: str, expected: list[str], some: float, every: float) -> None:
    assert (contains(answer, expected, "en"), contains_all(answer, expected, "en")) == (some, every)


@pytest.mark.parametrize(
    ("answer", "expected", "value"),
    [
        ("Es kostet 4.318 Euro", "4318", 1.0),
        ("61\u202f300 lecteurs", "61,300", 1.0),
        ("1.234.567,89", "1234567", 1.0),
        ("it has 2,150 seats", "150", 0.0),  # a part of a number is no answer
        ("3.5 million", "35", 0.0),  # no separator of thousands
        ("1234 567", "1234567", 0.0),  # nor here: four digits before it
        ("on 12.345, 678 came", "12345678", 0.0),
        ("١٬٢٣٤ كتابا", "1234", 1.0),
    ],
)
def test_separators_of_thousands_do_not_count(answer: str, expected: str, value: float) -> None:
    assert contains(answer, [expected], "en") == value


def test_citations_are_measured_by_overlap_with_evidence() -> None:
    cited = [("d", 0, 10), ("d", 50, 60), ("e", 0, 10)]
    evidence = [[("d", 5, 8)], [("d", 20, 30)]]
    # 1 of 3 citations is right; 1 of 2 spans is covered
    assert citation(cited, evidence) == pytest.approx((1 / 3, 1 / 2, 2 / 5))  # 2 * 1/3 * 1/2 / (5/6)
    assert citation([("d", 8, 20)], evidence) == (0.0, 0.0, 0.0)  # touching is not overlapping
    assert citation([("e", 5, 8)], evidence) == citation([], evidence) == (0.0, 0.0, 0.0)
    assert citation(cited, []) == (0.0, 0.0, 0.0)


YES, PARTLY, NO, NO_SOURCE = Verdict.SUPPORTED, Verdict.PARTLY, Verdict.UNSUPPORTED, Verdict.NO_SOURCE


@pytest.mark.parametrize(
    ("verdicts", "share"),
    [
        ([YES, YES], 0.0),
        ([YES, PARTLY, NO], 2 / 3),
        ([NO_SOURCE], 1.0),
        ([YES, NO_SOURCE, YES, YES], 1 / 4),
        ([], math.nan),
    ],
)
def test_the_unsupported_share_counts_every_verdict_but_supported(verdicts: list[Verdict], share: float) -> None:
    assert unsupported_share(verdicts) == pytest.approx(share, nan_ok=True)


@pytest.mark.parametrize(
    ("abstained", "answerable", "expected"),
    [
        # 2 of 3 abstentions are right; 2 of 4 unanswerable questions are caught: f1 = 2 * 2/3 * 1/2 / (7/6) = 4/7
        ([1, 1, 1, 0, 0, 0], [0, 0, 1, 0, 0, 1], (2 / 3, 1 / 2, 4 / 7)),
        ([1, 1], [0, 0], (1.0, 1.0, 1.0)),
        ([0, 0], [0, 1], (0.0, 0.0, 0.0)),
        ([], [], (0.0, 0.0, 0.0)),
    ],
)
def test_abstention_is_measured_as_a_classifier_of_the_unanswerable(
    abstained: list[int], answerable: list[int], expected: tuple[float, float, float]
) -> None:
    found = abstention([bool(x) for x in abstained], [bool(x) for x in answerable])
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx(expected)


def test_the_trade_off_of_five_questions_by_hand() -> None:
    # relevance 0.2 0.4 0.4 0.6 0.9, of which 0.2, one 0.4 and 0.6 have no answer
    points = trade_off([0.9, 0.4, 0.2, 0.4, 0.6], [True, True, False, False, False])
    assert points == [(0, 0), (0, 1 / 2), (pytest.approx(1 / 3), 1 / 2), (pytest.approx(2 / 3), 1), (1, 1)]
    # 0.9 over all three; 0.4 over 0.2, as 0.4, under 0.6: 4.5 of 6
    assert roc_auc([0.9, 0.4], [0.2, 0.4, 0.6]) == 4.5 / 6
    assert trade_off([0.9], [True]) == trade_off([], []) == []


ENGLISH = "The company dismissed its chief executive after the board lost confidence in him."
TRADITIONAL = "董事會對執行長失去信心，因此將他解僱。"
SIMPLIFIED = "董事会对首席执行官失去信心，因此将他解雇。"
KOREAN = "이사회는 최고경영자에 대한 신뢰를 잃었다."
JAPANESE = "取締役会は最高経営責任者への信頼を失った。"
TURKISH = "Yönetim kurulu genel müdüre olan güvenini kaybettiği için onu görevden aldı."


@pytest.mark.parametrize(
    ("text", "wanted", "value"),
    [
        (ENGLISH, "en", 1.0),
        (KOREAN, "ko", 1.0),
        (JAPANESE, "zh-Hant", 0.0),
        (TRADITIONAL, "zh-Hant", 1.0),
        (TRADITIONAL, "zh-Hans", 0.0),
        (SIMPLIFIED, "zh-Hant", 0.0),
        (SIMPLIFIED, "zh", 1.0),
        ("人工智能公司在北京", "zh-Hant", 1.0),  # none of these is written otherwise
        (TURKISH, "tr", 1.0),
        (TURKISH, "en", 0.0),
        ("서울", "ko", 1.0),  # the script of one language tells at once
        ("Sam Altman", "ko", math.nan),  # a name
        ("Sam Altman, Mira Murati, Greg Brockman", "en", math.nan),  # long enough, but of no language
        ("約860億美元", "zh-Hant", math.nan),  # too short
        ("", "en", math.nan),
        (ENGLISH, "", math.nan),
    ],
)
def test_an_answer_is_in_the_wanted_language(text: str, wanted: str, value: float) -> None:
    assert in_language(text, wanted) == pytest.approx(value, nan_ok=True)
