from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from index.encoders.base import Encoder, FloatArray
from index.names import KnownNames
from index.search import ScoredPassage
from rag.testing import HashEncoder
from rag.verify import Verdict, figures, support
from rag.verify.figures import lacking_figures
from rag.verify.names import probability_of_name
from rag.verify.polarity import negates
from rag.verify.units import other_units

MakePassage = Callable[..., ScoredPassage]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Groups of three, whatever stands between them.
        ("5,100 people", {"5100"}),
        ("5.100 Menschen", {"5100"}),
        ("5\u00a0100 and 5\u202f100", {"5100"}),
        ("5'100 and 5’100", {"5100"}),
        ("1 234 567", {"1234567"}),
        ("12,34,567 and 1,00,000 in lakh", {"1234567", "100000"}),
        # Anything else behind one mark is a fraction.
        ("3.5 and 3,5", {"3.5"}),
        ("1,5 Mio.", {"1500000"}),
        # Both.
        ("1,234.5 and 1.234,5 and 1 234,5", {"1234.5"}),
        ("1,234,567.89", {"1234567.89"}),
        # Digits of other scripts.
        ("２０２４年", {"2024"}),
        ("٢٠٢٤ و ٣٫٥ و ٥٬١٠٠", {"2024", "3.5", "5100"}),
        ("१,००,००० और २०२४", {"100000", "2024"}),
        ("๒๕๖๗", {"2567"}),
        # Dates, times and lists are not one number.
        ("24.01.2022", {"24.1.2022"}),
        ("2022-01-24", {"2022", "2022-01-24"}),
        ("12:20 UTC", {"12", "20"}),
        ("In 2019 300 people came", {"2019", "300"}),
        ("12345 678", {"12345", "678"}),
        # Leading zeros say nothing.
        ("007", {"7"}),
        ("00", {"0"}),
        # Names with a digit in them; the number in a name counts too.
        ("GPT-4 and Covid-19", {"gpt-4", "4", "covid-19", "19"}),
        ("L2, F-16.", {"l2", "f-16", "16"}),
        # A unit, an ordinal or a decade is no name: other languages write it otherwise.
        ("5km, the 1990s, the 20th", {"5", "1990", "20"}),
        # An exponent or a note is no digit of the number before it.
        ("10² m², 1999³", {"10", "1999"}),
        ("CO₂", {"co2"}),
    ],
)
def test_the_figures_of_a_text_are(text: str, expected: set[str]) -> None:
    assert figures(text) == expected


_COSINES = {"Ask": 1.0, "Near": 0.9, "High": 0.8, "Some": 0.6, "Half": 0.5, "Low": 0.2, "Far": 0.05}


class ByFirstWord(HashEncoder):
    """The first word of a text says its cosine with every text that begins with `Ask`."""

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        cosines = [_COSINES[text.split()[0]] for text in texts]
        return np.array([(cosine, math.sqrt(1 - cosine * cosine)) for cosine in cosines], dtype=np.float32)


def test_the_nearest_sentence_decides(make_passage: MakePassage) -> None:
    text = "Low Rain fell. High The tower is tall. Half Nobody came."
    found = support("Ask how tall", make_passage(text, start=100).passage, ByFirstWord())
    assert text[found.start - 100 : found.end - 100] == "High The tower is tall."
    assert found.cosine == pytest.approx(0.8, abs=1e-6)
    assert found.figures == ()
    assert found.holds


def test_the_sentence_that_holds_the_figures_decides_before_one_that_is_a_little_nearer(
    make_passage: MakePassage,
) -> None:
    text = "Some The tower is tall. Half The tower has 330 metres."
    found = support("Ask 330", make_passage(text).passage, ByFirstWord())
    # 0.6 + 0 against 0.5 + 0.2 for one figure in common
    assert text[found.start : found.end] == "Half The tower has 330 metres."
    assert found.cosine == pytest.approx(0.5, abs=1e-6)
    far = "High The tower is tall. Half The tower has 330 metres."
    found = support("Ask 330", make_passage(far).passage, ByFirstWord())
    # 0.8 + 0 against 0.5 + 0.2
    assert far[found.start : found.end] == "High The tower is tall."


def test_a_number_anywhere_in_the_passage_or_in_its_date_is_not_missing(make_passage: MakePassage) -> None:
    passage = make_passage("Near It is tall. Low It cost 5.100 francs.", date="2024-05-31").passage
    assert support("Ask in 2024 it cost 5,100", passage, ByFirstWord()).figures == ()
    assert support("Ask in 2025 it cost 5,100", passage, ByFirstWord()).figures == ("2025",)


@pytest.mark.parametrize(
    ("sentence", "text", "verdict"),
    [
        ("Ask", "High near.", Verdict.SUPPORTED),
        ("Ask in 2024", "High in 2025.", Verdict.UNSUPPORTED),  # none of its figures
        ("Ask in 2024, 13 times", "High in 2025, 13 times.", Verdict.PARTLY),
        ("Ask Zuckerberg", "High near.", Verdict.PARTLY),
        ("Ask Zuckerberg", "High Zuckerberg.", Verdict.SUPPORTED),
        ("Ask it is not so", "High it is so.", Verdict.PARTLY),
        ("Ask it is so", "High it is so, not otherwise.", Verdict.PARTLY),
        ("Ask in 2024", "Far in 2024.", Verdict.UNSUPPORTED),
    ],
)
def test_a_verdict_is_made_of_nearness_figures_names_and_negation(
    make_passage: MakePassage, sentence: str, text: str, verdict: Verdict
) -> None:
    assert support(sentence, make_passage(text).passage, ByFirstWord()).verdict is verdict


@pytest.mark.parametrize(
    ("sentence", "language", "text", "text_language", "lacking"),
    [
        ("It cost 13 billion dollars", "en", "花費130億美元", "zh", set()),
        ("It cost 13 million dollars", "en", "花費130億美元", "zh", {"13000000"}),
        ("400万人", "ja", "Over four million people", "en", set()),
        ("On 12 March 2024", "en", "2024年3月12日", "zh", set()),
        ("On 12 March 2024", "en", "In 2024, on the 12th of March", "en", set()),
        ("On 12 March 2024", "en", "2024年5月12日", "zh", {"2024-03-12"}),
        ("In March 2024", "en", "2024年3月12日", "zh", set()),
        ("11月", "ja", "in November", "en", set()),
        ("3 researchers", "en", "세 명의 연구원", "ko", set()),
        ("4 researchers", "en", "三名研究人員", "zh-Hant", {"4"}),
        ("siglo 16", "es", "in the XVI century", "en", set()),
        ("at 12:00", "en", "um 12 Uhr", "de", set()),
        ("數百萬人", "zh", "millions of people", "en", set()),
        ("GPT-4", "en", "GPT-5 is here, 4 of them", "en", {"gpt-4"}),
        ("no figures", "en", "", "", set()),
    ],
)
def test_figures_are_held_against_each_other_in_every_notation(
    sentence: str, language: str, text: str, text_language: str, lacking: set[str]
) -> None:
    assert lacking_figures(sentence, language, text, text_language) == lacking


@pytest.mark.parametrize(
    ("name", "text", "language", "held"),
    [
        ("Altman", "阿爾特曼被解僱", "zh-Hant", True),
        ("Altman", "알트만은 해고되었다", "ko", True),
        ("Altman", "Альтмана уволили", "ru", True),
        ("Microsoft", "微軟投資了", "zh-Hant", True),
        ("Ive", "喬尼·艾維(Jony Ive)說", "zh-Hant", True),
        ("Altman", "馬斯克被解僱", "zh-Hant", False),
        ("Altman", "브록만은 해고되었다", "ko", False),
        ("Microsoft", "谷歌投資了", "zh-Hant", False),
        ("Zorbax", "Altman said so", "en", False),
    ],
)
def test_a_name_is_held_in_whatever_form(name: str, text: str, language: str, held: bool, encoder: Encoder) -> None:
    assert (probability_of_name(name, text, language, encoder) >= 0.35) == held


def test_your_own_names_are_held_too(encoder: Encoder) -> None:
    user_names = KnownNames.of([["Zorbax", "佐巴公司"]], 1.0)
    assert probability_of_name("Zorbax", "佐巴公司成立了", "zh-Hant", encoder) < 0.5
    assert probability_of_name("Zorbax", "佐巴公司成立了", "zh-Hant", encoder, user_names) == 1.0


@pytest.mark.parametrize(
    ("text", "language", "answer"),
    [
        ("It is not so.", "en", True),
        ("It is so.", "en", False),
        ("He can't go.", "en", True),
        ("Er kommt nicht.", "de", True),
        ("他沒有來", "zh-Hant", True),
        ("他不僅來了", "zh-Hant", False),
        ("非常好", "zh-Hans", False),
        ("그는 오지 않았다", "ko", True),
        ("彼は来なかった", "ja", True),
        ("Он не пришёл", "ru", True),
        ("लोग नहीं आए", "hi", True),
        ("لم يأت", "ar", True),
        ("เขาไม่มา", "th", True),
        ("Anh ấy không đến", "vi", True),
        ("Gelmedi, hiç gelmeyecek", "tr", True),
        ("Suluk mba", "xx", None),
        ("問題は無い。", "ja", True),  # an old form of its sign, which is folded
        ("Il n\u2019est pas parti.", "fr", True),
        ("It wasn\u2019t there.", "en", True),
        ("Gate No. 5 opened.", "en", False),
    ],
)
def test_whether_a_text_negates(text: str, language: str, answer: bool | None) -> None:
    assert negates(text, language) is answer


def test_a_passage_without_sentences_is_one_span(make_passage: MakePassage) -> None:
    from dataclasses import replace

    passage = replace(make_passage("High one thing", start=40).passage, sentences=())
    found = support("Ask", passage, ByFirstWord())
    assert (found.start, found.end) == (40, 54)


def test_a_translation_holds_and_the_span_is_the_sentence_that_it_translates(
    encoder: Encoder, make_passage: MakePassage
) -> None:
    text = "오늘은 날씨가 맑았다. 이 거래에서 오픈AI의 기업가치는 약 860억 달러로 평가됐다. 회의는 내일 열린다."
    passage = make_passage(text, language="ko").passage
    found = support("The deal valued the company OpenAI at about 86 billion dollars.", passage, encoder)
    assert text[found.start : found.end] == "이 거래에서 오픈AI의 기업가치는 약 860억 달러로 평가됐다."
    assert found.holds
    assert support("The deal valued OpenAI at 90 billion dollars.", passage, encoder).figures == ("90000000000",)


SAME_UNIT = [
    ("The bridge is 30 km long.", "en", "橋長30公里。", "zh-Hant"),
    ("估值860億美元。", "zh-Hant", "valued at $86 billion", "en"),
    ("Es kostet 25 Euro.", "de", "Il coûte 25 €.", "fr"),
    ("5 Stunden", "de", "5 часов", "ru"),
    ("20 Taiwan dollars", "en", "票價20元", "zh-Hant"),
    ("10 kilos", "en", "10キロ", "ja"),
    ("2,600 cattle", "en", "2.600 Rinder", "de"),
    ("450 square kilometres", "en", "450 km²", "de"),
    ("100 บาท", "th", "100 baht", "en"),
    ("3 시간", "ko", "3 hours", "en"),
    ("25 دولارا", "ar", "25 dollars", "en"),
    ("in his 20s", "en", "20 साल की उम्र", "hi"),
]
OTHER_UNIT = [
    ("The bridge is 30 miles long.", "en", "橋長30公里。", "zh-Hant"),
    ("估值860億元。", "zh-Hant", "估值860億美元。", "zh-Hant"),
    ("Es kostet 25 Euro.", "de", "It costs $25.", "en"),
    ("5 Tage", "de", "5 часов", "ru"),
    ("30 percent", "en", "30 Euro", "de"),
    ("450 square miles", "en", "450 Quadratkilometer", "de"),
    ("100 บาท", "th", "100 won", "en"),
    ("5 giờ", "vi", "5 minutes", "en"),
    ("25 يورو", "ar", "25 dollars", "en"),
]


@pytest.mark.parametrize(("sentence", "language", "text", "other"), SAME_UNIT)
def test_a_figure_may_have_its_unit_in_any_language(sentence: str, language: str, text: str, other: str) -> None:
    assert other_units(sentence, language, text, other) == set()


@pytest.mark.parametrize(("sentence", "language", "text", "other"), OTHER_UNIT)
def test_a_figure_with_another_unit_or_currency_is_not_supported(
    sentence: str, language: str, text: str, other: str
) -> None:
    assert len(other_units(sentence, language, text, other)) == 1
    assert other_units(sentence, language, f"{text} {sentence}", other) == set()  # it stands there too
