"""Levels of languages, places for others, and copies; sums by hand."""

from __future__ import annotations

import pytest

from index.fusion import Copies, language_group, levels, with_places_for_others
from index.store.base import StoredPassage


def test_both_scripts_of_chinese_are_one_group() -> None:
    assert [language_group(tag) for tag in ("zh-Hant", "zh-Hans", "zh", "pt-BR", "")] == ["zh", "zh", "zh", "pt", ""]


def test_the_level_of_a_large_language_is_the_mean_of_its_ranks_four_to_ten() -> None:
    scores = {i: 1.0 - i / 100 for i in range(20)}
    # Ranks 4 to 10 score 0.97 to 0.91: the mean is 0.94. The common level is the same one: all passages are of it.
    assert levels(scores, dict.fromkeys(scores, "en"), {"en": 1_000}) == pytest.approx({"en": 0.94})


def test_the_level_of_a_language_with_few_passages_leans_on_that_of_all() -> None:
    scores = {**dict.fromkeys(range(90), 0.9), 100: 0.5, 101: 0.3, 102: 0.1}
    group = {**dict.fromkeys(range(90), "en"), 100: "ko", 101: "ko", 102: "ko"}
    found = levels(scores, group, {"en": 90, "ko": 3})
    # Of three passages the second alone says what is usual: ranks ceil(3/6) = 1 to ceil(3/2) = 2 from 0; it has 0.3,
    # and weighs 3 / (3 + 10). The common level is 0.9.
    assert found["ko"] == pytest.approx(3 / 13 * 0.3 + 10 / 13 * 0.9)
    assert found["en"] == pytest.approx(0.9)


def test_one_passage_and_none_have_a_level_too() -> None:
    assert levels({1: 0.4}, {1: "en"}, {"en": 1}) == pytest.approx({"en": 0.4})
    assert levels({}, {}, {"en": 5}) == {}


def test_a_passage_far_above_its_own_language_passes_one_that_is_merely_in_the_questions() -> None:
    own = {i: 0.6 - i / 1_000 for i in range(30)}  # all unrelated, all high
    other = {100: 0.45, **{100 + i: 0.2 for i in range(1, 30)}}
    scores = {**own, **other}
    group = {pid: "ko" if pid < 100 else "en" for pid in scores}
    level = levels(scores, group, {"ko": 30, "en": 30})
    above = {pid: scores[pid] - level[group[pid]] for pid in scores}
    assert max(above, key=lambda pid: above[pid]) == 100


@pytest.mark.parametrize(
    ("order", "k", "share", "expected"),
    [
        # Others are odd. Two of ten places are theirs.
        ([2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 1, 3, 5], 10, 0.2, [2, 4, 6, 8, 10, 12, 14, 16, 1, 3]),
        ([2, 4, 1, 8, 10, 12, 14, 16, 18, 20, 3, 5], 10, 0.2, [2, 4, 1, 8, 10, 12, 14, 16, 18, 3]),
        ([1, 3, 5, 2], 3, 0.2, [1, 3, 5]),
        ([2, 4, 6, 8, 10, 12], 5, 0.4, [2, 4, 6, 8, 10]),  # there are no others
        ([2, 4, 6, 8, 10, 1], 5, 0.4, [2, 4, 6, 8, 1]),  # and one only
        ([2, 4, 1], 2, 0.2, [2, 4]),  # a fifth of two is none
        ([], 5, 0.2, []),
    ],
)
def test_other_languages_keep_a_share_of_the_places(
    order: list[int], k: int, share: float, expected: list[int]
) -> None:
    assert with_places_for_others(order, {1, 3, 5}, k, share) == expected


def passage(pid: int, text: str, language: str = "en") -> StoredPassage:
    return StoredPassage(pid, "d", "s", "", "", "", "", language, "", 0, len(text), text, ((0, len(text)),))


LONG = "The mirror of the telescope is made of eighteen golden segments that were unfolded in space over two weeks."


def test_the_same_text_from_elsewhere_is_a_copy() -> None:
    copies = Copies(0.8)
    assert copies.original(passage(1, LONG)) == 1
    assert copies.original(passage(2, LONG.upper().replace(".", " !"))) == 1
    assert copies.original(passage(3, "Agency news: " + LONG)) == 1
    assert copies.original(passage(4, LONG[: len(LONG) // 2])) == 1  # all that it says was said
    assert copies.original(passage(5, "Coral reefs bleach when the water stays too warm for many weeks.")) == 5


def test_a_passage_that_shares_a_sentence_with_the_one_before_it_is_none() -> None:
    first, second, third = (
        f"{word} stands in the {word} of the {word} park by night." for word in ("Oak", "Elm", "Yew")
    )
    copies = Copies(0.8)
    assert copies.original(passage(1, f"{first} {second}")) == 1
    assert copies.original(passage(2, f"{second} {third}")) == 2


def test_a_translation_is_no_copy_and_both_scripts_of_chinese_are_one_text() -> None:
    copies = Copies(0.8)
    assert copies.original(passage(1, "望遠鏡的鏡子由十八塊鍍金的部分組成。", "zh-Hant")) == 1
    assert copies.original(passage(2, "望远镜的镜子由十八块镀金的部分组成。", "zh-Hans")) == 1
    assert copies.original(passage(3, "望遠鏡的鏡子由十八塊鍍金的部分組成。", "ja")) == 3


def test_short_passages_are_copies_only_if_they_say_the_same() -> None:
    copies = Copies(0.8)
    assert copies.original(passage(1, "Open at nine.")) == 1
    assert copies.original(passage(2, "Open at nine daily.")) == 2
    assert copies.original(passage(3, "open at nine")) == 1


def test_the_same_words_about_another_year_are_no_copy() -> None:
    told = "In {} the harbour moved more goods than in any year before, and the town was proud of what it had built."
    copies = Copies(0.8)
    assert [copies.original(passage(i, told.format(2020 + i))) for i in (1, 2)] == [1, 2]
    assert copies.original(passage(3, told.format(2021) + " So it was said.")) == 1
    assert copies.original(passage(4, told.format("that year"))) == 1
