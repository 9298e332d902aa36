from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from index.encoders.base import Encoder, FloatArray
from index.search import ScoredPassage
from rag.testing import HashEncoder
from rag.verify import Support, figures, support

MakePassage = Callable[..., ScoredPassage]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Groups of three, whatever stands between them.
        ("5,100 people", {"5100"}),
        ("5.100 Menschen", {"5100"}),
        ("5 100 человек", {"5100"}),
        ("5\u00a0100 and 5\u202f100", {"5100"}),
        ("5'100 and 5’100", {"5100"}),
        ("1,234,567", {"1234567"}),
        ("1.234.567", {"1234567"}),
        ("1 234 567", {"1234567"}),
        ("12,34,567 and 1,00,000 in lakh", {"1234567", "100000"}),
        # Anything else behind one mark is a fraction.
        ("3.5 and 3,5", {"3.5"}),
        ("1,5 Mio.", {"1500000"}),
        ("0.125 and 0,125", {"0.125"}),
        ("2.75%", {"2.75"}),
        # Both.
        ("1,234.5 and 1.234,5 and 1 234,5", {"1234.5"}),
        ("1,234,567.89", {"1234567.89"}),
        # Digits of other scripts.
        ("２０２４年", {"2024"}),
        ("٢٠٢٤ و ٣٫٥ و ٥٬١٠٠", {"2024", "3.5", "5100"}),
        ("۲۰۲۴", {"2024"}),
        ("१,००,००० और २०२४", {"100000", "2024"}),
        ("๒๕๖๗", {"2567"}),
        ("২০২৪", {"2024"}),
        # Dates, times and lists are not one number.
        ("24.01.2022", {"24.1.2022"}),
        ("2022-01-24", {"2022", "1", "24", "2022-01-24"}),
        ("12:20 UTC", {"12", "20"}),
        ("in 2019, 2020 and 2021", {"2019", "2020", "2021"}),
        ("In 2019 300 people came", {"2019", "300"}),
        ("2023 12 people", {"2023", "12"}),
        ("12345 678", {"12345", "678"}),
        # Leading zeros say nothing.
        ("007", {"7"}),
        ("00", {"0"}),
        # Names with a digit in them; the number in a name counts too.
        ("GPT-4 and Covid-19", {"gpt-4", "4", "covid-19", "19"}),
        ("GPT-4를, ＧＰＴ－４", {"gpt-4", "4"}),
        ("L2, F-16.", {"l2", "f-16", "16"}),
        # A unit, an ordinal or a decade is no name: other languages write it otherwise.
        ("5km, the 1990s, the 20th", {"5", "1990", "20"}),
        # An exponent or a note is no digit of the number before it.
        ("10² m², 1999³", {"10", "1999"}),
        ("CO₂", {"co2"}),
        ("no figures here, 数字なし", set()),
        ("", set()),
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


def test_of_two_sentences_alike_the_first_decides(make_passage: MakePassage) -> None:
    text = "Half The tower. Half The tower."
    assert support("Ask", make_passage(text).passage, ByFirstWord()).start == 0


def test_a_number_that_the_passage_lacks_is_named_and_the_sentence_does_not_hold(make_passage: MakePassage) -> None:
    found = support("Ask 330 and GPT-5", make_passage("Near It has 300 metres and GPT-4.").passage, ByFirstWord())
    assert found.cosine == pytest.approx(0.9, abs=1e-6)
    assert found.figures == ("330", "5", "gpt-5")
    assert not found.holds


def test_a_number_anywhere_in_the_passage_or_in_its_date_is_not_missing(make_passage: MakePassage) -> None:
    passage = make_passage("Near It is tall. Low It cost 5.100 francs.", date="2024-05-31").passage
    assert support("Ask in 2024 it cost 5,100", passage, ByFirstWord()).figures == ()
    assert support("Ask in 2025 it cost 5,100", passage, ByFirstWord()).figures == ("2025",)


def test_a_sentence_that_is_not_near_any_span_does_not_hold(make_passage: MakePassage) -> None:
    assert not support("Ask", make_passage("Far away.").passage, ByFirstWord()).holds
    assert support("Ask", make_passage("High near.").passage, ByFirstWord()).holds
    assert Support(0, 1, 0.9, ()).holds
    assert not Support(0, 1, 0.9, ("7",)).holds


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
