"""Baselines of languages, the ranking that rests on them, and copies; sums by hand."""

from __future__ import annotations

import pytest

from index import fusion
from index.fusion import Evidence, baselines, language_group, originals, ranked
from index.settings import SearchSettings
from index.store.base import StoredPassage

FEW = fusion._FEW_OF_LANGUAGE
SETTINGS = SearchSettings(lexical_weight=0.5, names_weight=1.0, quoted_weight=0.3)


def test_both_scripts_of_chinese_are_one_group() -> None:
    assert [language_group(tag) for tag in ("zh-Hant", "zh-Hans", "zh", "pt-BR", "")] == ["zh", "zh", "zh", "pt", ""]


def test_the_baseline_of_a_large_language_is_the_mean_of_its_ranks_four_to_ten() -> None:
    scores = [("en", 1.0 - i / 100) for i in range(20)]
    # Ranks 4 to 10 score 0.97 to 0.91: the mean is 0.94. The common baseline is the same: all passages are of it.
    assert baselines(scores, {"en": 1_000}) == pytest.approx({"en": 0.94})


def test_the_baseline_of_a_language_with_few_passages_is_drawn_to_that_of_all() -> None:
    scores = [*[("en", 0.9)] * 90, ("ko", 0.5), ("ko", 0.3), ("ko", 0.1)]
    found = baselines(scores, {"en": 90, "ko": 3})
    # Of three passages the second alone is the baseline: ranks ceil(3/6) = 1 to ceil(3/2) = 2 from 0; it has 0.3,
    # and weighs 3 / (3 + FEW). The common baseline is 0.9.
    assert found["ko"] == pytest.approx((3 * 0.3 + FEW * 0.9) / (3 + FEW))
    assert found["en"] == pytest.approx(0.9)


def test_one_passage_and_none_have_a_baseline_too() -> None:
    assert baselines([("en", 0.4)], {"en": 1}) == pytest.approx({"en": 0.4})
    assert baselines([], {"en": 5}) == {}


def test_a_passage_far_above_its_own_language_passes_one_that_is_merely_in_the_questions() -> None:
    found = [Evidence(pid, "ko", dense=0.6 - pid / 1_000) for pid in range(30)]  # all unrelated, all high
    found += [Evidence(100, "en", dense=0.45), *(Evidence(100 + i, "en", dense=0.2) for i in range(1, 30))]
    first, second, *_ = ranked(found, {"ko": 30, "en": 30}, SETTINGS)
    assert (first.pid, second.pid) == (100, 0)
    # Ranks 4 to 10: Korean 0.594, English 0.2, all 0.594; a language of 30 weighs 30 / (30 + FEW).
    assert first.baseline == pytest.approx((30 * 0.2 + FEW * 0.594) / (30 + FEW))
    assert first.score == pytest.approx(0.45 - first.baseline)


def test_the_signals_are_added_and_a_quotation_is_above_them() -> None:
    item = Evidence(1, "en", dense=0.4, words=0.5, names=0.1, phonetic=0.05)
    assert item.signals(SETTINGS) == pytest.approx(0.4 + 0.5 * 0.5 + 0.1 + 0.05)
    plain, quoting = Evidence(1, "en", dense=0.5), Evidence(2, "en", dense=0.5, quoted=True)
    assert [found.pid for found in ranked([plain, quoting], {"en": 2}, SETTINGS)] == [2, 1]
    assert quoting.score - plain.score == pytest.approx(0.3)


def test_a_phonetic_match_never_lifts_a_passage_over_one_with_the_questions_own_form() -> None:
    own, other = Evidence(1, "en", dense=0.5, has_name=True), Evidence(2, "hi", dense=0.45, phonetic=0.4)
    stranger = Evidence(3, "en", dense=0.47)
    assert [item.pid for item in ranked([own, other, stranger], {"en": 1, "hi": 1}, SETTINGS)] == [1, 2, 3]
    # Without the match it would be above: it may stay there.
    nearer = Evidence(2, "en", dense=0.6, phonetic=0.1)
    assert [item.pid for item in ranked([own, nearer], {"en": 2}, SETTINGS)] == [2, 1]
    assert nearer.score == pytest.approx(0.7 - nearer.baseline)


def test_a_question_that_is_uninformative_to_the_encoder_has_no_baselines() -> None:
    found = ranked([Evidence(1, "en", words=0.5), Evidence(2, "en", words=0.2)], {"en": 200}, SETTINGS)
    assert [(item.pid, item.baseline, item.score) for item in found] == [(1, 0.0, 0.25), (2, 0.0, 0.1)]


def passage(pid: int, text: str, language: str = "en") -> StoredPassage:
    return StoredPassage(pid, "d", "s", "", "", "", "", language, "", 0, len(text), text, ((0, len(text)),))


LONG = "The mirror of the telescope is made of eighteen golden segments that were unfolded in space over two weeks."


def kept(*passages: StoredPassage) -> list[int]:
    return [one.pid for one in originals(passages, 0.8)]


def test_the_same_text_in_another_document_is_a_copy() -> None:
    texts = (
        LONG,
        LONG.upper().replace(".", " !"),
        "Agency news: " + LONG,
        LONG[: len(LONG) // 2],  # all that it says was said
        "Coral reefs bleach when the water stays too warm for many weeks.",
    )
    assert kept(*map(passage, range(5), texts)) == [0, 4]


def test_a_passage_that_shares_a_sentence_with_the_one_before_it_is_none() -> None:
    first, second, third = (
        f"{word} stands in the {word} of the {word} park by night." for word in ("Oak", "Elm", "Yew")
    )
    assert kept(passage(1, f"{first} {second}"), passage(2, f"{second} {third}")) == [1, 2]


def test_a_translation_is_no_copy_and_both_scripts_of_chinese_are_one_text() -> None:
    traditional, simplified = "望遠鏡的鏡子由十八塊鍍金的部分組成。", "望远镜的镜子由十八块镀金的部分组成。"
    passages = (passage(1, traditional, "zh-Hant"), passage(2, simplified, "zh-Hans"), passage(3, traditional, "ja"))
    assert kept(*passages) == [1, 3]


def test_short_passages_are_copies_only_if_they_say_the_same() -> None:
    assert kept(passage(1, "Open at nine."), passage(2, "Open at nine daily."), passage(3, "open at nine")) == [1, 2]


def test_the_same_words_about_another_year_are_no_copy() -> None:
    told = "In {} the harbour moved more goods than in any year before, and the town was proud of what it had built."
    texts = (told.format(2021), told.format(2022), told.format(2021) + " So it was said.", told.format("that year"))
    assert kept(*map(passage, range(4), texts)) == [0, 1]
