from __future__ import annotations

import tomllib
import unicodedata
from pathlib import Path

import pytest
import regex

from index.text.language import detect_language
from rag.phrases import Part, accepted, best_language, direction, english_name, languages, own_name, phrase, phrases

FILES = sorted((Path(__file__).parent.parent.parent / "rag/phrases").glob("*.toml"))
ALL = {path.stem: tomllib.loads(path.read_text("utf-8")) for path in FILES}
ANSWER = {tag: table["answer"] for tag, table in ALL.items()}


def places(text: str) -> set[str]:
    return set(regex.findall(r"\{[a-z]+\}", text))


@pytest.mark.parametrize("tag", sorted(ALL))
def test_every_language_has_every_phrase_in_nfc_and_one_line(tag: str) -> None:
    assert {"name", "english", "answer"} <= set(ALL[tag]) <= {"name", "english", *Part}
    for part in set(Part) & set(ALL[tag]):
        assert list(ALL[tag][part]) == list(ALL["en"][part])
        for name, text in ALL[tag][part].items():
            assert text.strip() == text != ""
            assert "\n" not in text
            assert unicodedata.is_normalized("NFC", text)
            assert places(text) == places(ALL["en"][part][name]), name
    assert set(languages(Part.INTERFACE)) <= set(languages(Part.ANSWER)) == set(ALL)
    assert len(languages(Part.INTERFACE)) >= 16


def test_no_phrase_of_an_answer_has_brackets_that_read_as_a_citation() -> None:
    assert [text for table in ANSWER.values() for text in table.values() if set("[]［］【】") & set(text)] == []


@pytest.mark.parametrize(
    "tag", ["en", "zh-Hant", "zh-Hans", "ja", "ko", "th", "ar", "ru", "el", "he", "hi", "ka", "hy", "am"]
)
def test_a_phrase_is_in_the_language_of_its_file(tag: str) -> None:
    # Languages that a script decides, or that are told apart with certainty.
    said = " ".join(text.replace("{languages}", "") for text in ANSWER[tag].values())
    assert detect_language(said) == tag


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("zh-Hant-TW", "zh-Hant"),
        ("zh-TW", "zh-Hant"),
        ("zh", "zh-Hans"),
        ("pt-BR", "pt"),
        ("no", "nb"),
        ("nn-NO", "nb"),
        ("gl", "pt"),
        ("iw", "he"),
        ("tlh", "en"),
        ("<script>", "en"),
        ("", "en"),
    ],
)
def test_a_phrase_is_in_the_language_or_the_nearest_one_or_english(tag: str, expected: str) -> None:
    assert best_language([tag]) == expected
    assert phrase("abstain", tag) == ANSWER[expected]["abstain"]


def test_a_part_without_the_language_is_in_the_next_one_that_is_wanted() -> None:
    assert best_language(["sw", "it"], Part.INTERFACE) == "it"
    assert phrases("sw", Part.INTERFACE) == ALL["en"]["interface"]
    assert phrase("new", "ko", Part.INTERFACE) == ALL["ko"]["interface"]["new"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", [""]),
        ("en;q=0.5, ja;q=0.9", ["ja", "en"]),
        ("de-AT,en;q=0.5,fr;q=0", ["de-AT", "en"]),
        ("xx;q=oops, he", ["he"]),
        ("\x00", ["\x00"]),
    ],
)
def test_the_tags_of_a_browser_come_in_the_order_of_their_weights(header: str, expected: list[str]) -> None:
    assert accepted(header) == expected


def test_languages_that_run_from_right_to_left_are_known() -> None:
    assert {tag for tag in ALL if direction(tag) == "rtl"} == {"ar", "fa", "he", "ur"}


def test_a_language_has_a_name_of_its_own_and_an_english_one() -> None:
    assert [own_name(tag) for tag in ("de", "zh-Hant", "pt-BR", "th", "no", "xyz", "")] == [
        "Deutsch", "繁體中文", "Português", "ไทย", "Norsk", "xyz", "",
    ]  # fmt: skip
    assert [english_name(tag) for tag in ("zh-Hans", "pt-BR", "xyz")] == ["Simplified Chinese", "Portuguese", "xyz"]
