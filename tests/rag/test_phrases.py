from __future__ import annotations

import tomllib
import unicodedata
from pathlib import Path

import pytest

from index.text.language import detect_language
from rag.phrases import phrase, phrase_language

ALL = tomllib.loads((Path(__file__).parent.parent.parent / "rag/phrases.toml").read_text("utf-8"))
KEYS = ["abstain", "closest", "empty", "intro", "intro_other", "no_source", "partly", "sources", "unsupported"]


@pytest.mark.parametrize("tag", sorted(ALL))
def test_every_language_has_every_phrase_in_nfc_and_one_line(tag: str) -> None:
    assert sorted(ALL[tag]) == KEYS
    for text in ALL[tag].values():
        assert text.strip() == text != ""
        assert "\n" not in text
        assert unicodedata.is_normalized("NFC", text)


@pytest.mark.parametrize("tag", sorted(ALL))
def test_only_the_line_above_foreign_quotations_has_the_place_for_their_languages(tag: str) -> None:
    assert {name: text.count("{languages}") for name, text in ALL[tag].items()} == {
        name: int(name == "intro_other") for name in KEYS
    }
    assert all("{" not in text.replace("{languages}", "") for text in ALL[tag].values())


def test_no_phrase_has_brackets_that_read_as_a_citation() -> None:
    assert [text for table in ALL.values() for text in table.values() if set("[]［］【】") & set(text)] == []


def test_no_two_languages_share_all_their_phrases() -> None:
    tables = [tuple(sorted(table.items())) for table in ALL.values()]
    assert len(set(tables)) == len(tables)


@pytest.mark.parametrize(
    "tag", ["en", "zh-Hant", "zh-Hans", "ja", "ko", "th", "ar", "ru", "el", "he", "hi", "ka", "hy", "am"]
)
def test_a_phrase_is_in_the_language_that_it_is_filed_under(tag: str) -> None:
    # Languages that a script decides, or that are told apart with certainty.
    said = " ".join(text.replace("{languages}", "") for text in ALL[tag].values())
    assert detect_language(said) == tag


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("ko", "ko"),
        ("zh-Hant", "zh-Hant"),
        ("zh-Hans", "zh-Hans"),
        ("zh", "zh-Hans"),
        ("pt-BR", "pt"),
        ("en-GB", "en"),
        ("no", "nb"),
        ("nn", "nb"),
        ("nn-NO", "nb"),
        ("fil", "tl"),
        ("gl", "pt"),
        ("be", "ru"),
        ("bs", "hr"),
        ("mk", "bg"),
        ("tlh", "en"),
        ("", "en"),
    ],
)
def test_the_phrases_of_a_language_are_its_own_or_the_nearest_ones_or_english(tag: str, expected: str) -> None:
    assert phrase_language(tag) == expected
    assert phrase("abstain", tag) == ALL[expected]["abstain"]


def test_a_name_that_no_phrase_has_is_an_error() -> None:
    with pytest.raises(KeyError, match="greeting"):
        phrase("greeting", "en")
