from __future__ import annotations

import math
import random
import re
import string
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eval.measures.abstention import abstention, roc_auc, trade_off
from eval.measures.answers import contains, contains_all, exact_match, f1, folded, tokens
from eval.measures.citation import citation, overlaps, unsupported_share
from eval.measures.language import in_language
from rag.verify import Verdict

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
    """Tokens as in the official MLQA script, written from what it does."""
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
    for _ in range(1000):
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
    assert n_alike > 30
    assert n_partly > 30


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


@settings(deadline=None)
@given(st.text(max_size=10))
@example("ǰ ΐ")  # folding case takes these apart
@example("İ\u0301 ı\u0307 e\u200d\u0301")
@example("\u0345 ᾳ ŉ ﷲ \ufc5e")
def test_folded_text_stays_as_it_is_and_whatever_its_normal_form(text: str) -> None:
    assert folded(folded(text)) == folded(text)
    assert unicodedata.is_normalized("NFKC", folded(text))
    assert folded(unicodedata.normalize("NFD", text)) == folded(text)


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
        ("It costs 4,318 euros", "4.318", 1.0),
        ("61\u202f300 lecteurs", "61,300", 1.0),
        ("61 300 читателей", "61300", 1.0),
        ("1.234.567,89", "1234567", 1.0),
        ("4’318 Franken", "4318", 1.0),
        ("it has 2,150 seats", "150", 0.0),  # a part of a number is no answer
        ("3.5 million", "35", 0.0),  # no separator of thousands
        ("1234 567", "1234567", 0.0),  # nor here: four digits before it
        ("on 12.345, 678 came", "12345678", 0.0),
        ("١٬٢٣٤ كتابا", "1234", 1.0),
    ],
)
def test_separators_of_thousands_do_not_count(answer: str, expected: str, value: float) -> None:
    assert contains(answer, [expected], "en") == value


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
    assert citation(cited, evidence) == pytest.approx((1 / 3, 1 / 2, 2 / 5))  # 2 * 1/3 * 1/2 / (5/6)
    assert citation([], evidence) == (0.0, 0.0, 0.0)
    assert citation(cited, []) == (0.0, 0.0, 0.0)


# --- support ------------------------------------------------------------------------------------------------

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


# --- the trade-off of abstention ----------------------------------------------------------------------------


def test_the_trade_off_of_five_questions_by_hand() -> None:
    # relevance 0.2 0.4 0.4 0.6 0.9, of which 0.2, one 0.4 and 0.6 have no answer
    points = trade_off([0.9, 0.4, 0.2, 0.4, 0.6], [True, True, False, False, False])
    assert points == [(0, 0), (0, 1 / 2), (pytest.approx(1 / 3), 1 / 2), (pytest.approx(2 / 3), 1), (1, 1)]
    # 0.9 over all three; 0.4 over 0.2, as 0.4, under 0.6: 4.5 of 6
    assert roc_auc([0.9, 0.4], [0.2, 0.4, 0.6]) == 4.5 / 6
    assert trade_off([0.9], [True]) == trade_off([], []) == []


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
