"""Sentences in every script: hand-made expectations, properties of any text, and linear time."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.text.sentences import split_sentences
from tests.conftest import linear_time

DATA = Path(__file__).parent.parent / "data"
ROWS = [json.loads(line) for line in (DATA / "sentences.jsonl").read_text("utf-8").splitlines()]


def sentences(text: str, language: str = "") -> list[str]:
    return [text[start:end] for start, end in split_sentences(text, language)]


def text_of(row: dict[str, list[str]]) -> str:
    return "".join(sentence + joint for sentence, joint in zip(row["sentences"], [*row["joiner"], ""], strict=True))


# --- hand-made expectations -------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_text_is_cut_as_a_reader_of_its_language_would(
    row: dict[str, list[str]], request: pytest.FixtureRequest
) -> None:
    if row["id"] == "ta-quotes":
        request.applymarker(pytest.mark.xfail(reason="Tamil has no capitals: an ellipsis may end nothing", strict=True))
    assert sentences(text_of(row), str(row["lang"])) == row["sentences"]


@pytest.mark.parametrize("row", [row for row in ROWS if row["lang"] != "el"], ids=lambda row: str(row["id"]))
def test_only_greek_needs_its_language_named(row: dict[str, list[str]]) -> None:
    text = text_of(row)
    assert sentences(text) == sentences(text, str(row["lang"]))


SEEDS = json.loads((DATA / "seed_boundaries.json").read_text("utf-8"))


@pytest.mark.parametrize("name", SEEDS)
def test_the_seed_articles_are_cut_where_a_reader_cut_them(shared: Path, name: str) -> None:
    data = (shared / "seeds" / name).read_bytes()
    assert hashlib.sha256(data).hexdigest() == SEEDS[name]["sha256"]
    text = data.decode()
    ends = [end for _, end in split_sentences(text)]
    for region in SEEDS[name]["regions"]:
        assert [end for end in ends if region["start"] < end <= region["end"]] == region["sentence_ends"]


def cut(*expected: str, joint: str = " ", language: str = "") -> None:
    assert sentences(joint.join(expected), language) == list(expected)


def test_a_closing_quote_stays_with_its_sentence() -> None:
    cut('He said "Stop."', "Then he left.")
    cut("He said “Stop.”", "Then he left.")
    cut("Sie sagte: „Halt!“", "Dann ging sie.", language="de")
    cut("Il a dit : « Halte ! »", "Puis il est parti.", language="fr")
    cut("他喊道：“停下！”", "大家都站住了。", joint="")
    cut("그는 “멈춰!”", "모두가 섰다.")


def test_a_quotation_inside_a_sentence_does_not_end_it() -> None:
    cut("「寒い。帰ろう。」と言った。", "外は雪だ。", joint="")
    cut("“가자.”라고 그는 말했다.", "밖은 추웠다.")
    cut("“Why?” she asked.", "Nobody answered.")
    cut("„Warum?“, fragte sie.", "Niemand antwortete.", language="de")


def test_an_opening_quote_goes_with_the_sentence_behind_it() -> None:
    cut("He left.", '"Wait," she said.')
    cut("He left.", "“Wait,” she said.")
    cut("Er ging.", "„Warte“, sagte sie.", language="de")
    cut("他走了。", "“等等，”她说。", joint="")


def test_a_sentence_in_brackets_is_one_of_its_own() -> None:
    cut("(Nobody had asked.)", "The door stayed shut.")
    cut("The door stayed shut.", "(Nobody had asked.)", "It was late.")
    cut("The door (it was old!) stayed shut.", "It was late.")


def test_stops_in_numbers_names_and_addresses_end_nothing() -> None:
    cut(
        "Version 2.0.1 costs $3.50 at shop.example.com.",
        "See https://example.org/a.b?c=d.",
        "Write to a.b@example.org.",
    )
    cut("J. K. Rowling met Dr. Smith at 5 p.m. on Baker St. near the U.S. embassy.", "They talked.")
    cut("그는 3.5km를 걸었다.", "v2.1이 나왔다.")


def test_a_line_that_is_wrapped_behind_a_title_goes_on() -> None:
    text = "The report of last year was written by Dr.\nSmith and two others. It was long."
    assert sentences(text) == ["The report of last year was written by Dr.\nSmith and two others.", "It was long."]
    assert len(sentences("The report of last year was written by the board.\nSmith and two others read it.")) == 2


def test_a_thai_figure_stays_with_what_is_before_it() -> None:
    text = (
        "โครงการนี้ใช้งบประมาณทั้งสิ้นประมาณ 2,500 ล้านบาทและจะแล้วเสร็จตามแผนที่วางไว้ภายในปี พ.ศ. 2570 "
        "ตามที่รัฐบาลประกาศเรื่องนี้เมื่อเดือนที่แล้ว หลังการประชุมคณะรัฐมนตรีครั้งแรก"
    )
    assert sentences(text, "th") == [text[: text.index(" หลัง")], text[text.index("หลัง") :]]


def test_several_stops_in_a_row_end_one_sentence() -> None:
    cut("What?!", "No way!!!", "Really?")
    cut("他走了！！！", "真的？！", "是的。", joint="")


def test_an_ellipsis_ends_a_sentence_only_before_a_new_one() -> None:
    cut("Wait… what?", "Yes.")
    cut("He paused...", "Then he went on.")
    cut("... And then he left.")
    assert sentences("Before.\n\n... And then he left.") == ["Before.", "... And then he left."]


def test_lines_end_sentences_unless_they_only_wrap_them() -> None:
    cut("A title without a stop", "The text begins here.", joint="\n")
    cut("first item", "second item", joint="\n")
    assert sentences("The committee met again on Tuesday and agreed\nto publish the report.") == [
        "The committee met again on Tuesday and agreed\nto publish the report."
    ]


@pytest.mark.parametrize(
    "text", ["", " \n\n\u3000", ".", "...", "?!", '"', "(", "。", "a", "1.", "...a", "“”", "\u0301", "!a", "« »"]
)
def test_a_text_of_one_sign_is_one_sentence(text: str) -> None:
    assert sentences(text) == ([text] if text.strip() else [])


# --- properties -------------------------------------------------------------------------------------------

CHARS = list(
    ".。!?！？…;:,، \n\n\t\u3000\"'“”‘’«»„‹›「」『』()（）[]《》•-–—1aA가あア漢ก我ж។၊।؟\u0301\u200d\u200b\r🙂と\u2028"
)
SIGNS = st.sampled_from([*CHARS, "U.S.", "Dr.", "e.g.", "3.5", "፡፡", "...", "라고 "])
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=80)
SENTENCE_LIKE = st.lists(SIGNS | st.text(max_size=3), max_size=60).map("".join)
LANGUAGES = st.sampled_from(["", "en", "de", "el", "ko", "ja", "zh-Hant", "th", "km", "fr"])


@settings(max_examples=500, deadline=None)
@given(ANY_TEXT | SENTENCE_LIKE, LANGUAGES)
def test_the_spans_hold_every_visible_character_once_and_in_order(text: str, language: str) -> None:
    spans = split_sentences(text, language)
    for start, end in spans:
        assert 0 <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
    for (_, end), (start, _) in pairwise(spans):
        assert end <= start
    outside = set(range(len(text))) - {i for start, end in spans for i in range(start, end)}
    assert all(text[i].isspace() for i in outside)


@settings(max_examples=300, deadline=None)
@given(SENTENCE_LIKE, SENTENCE_LIKE, LANGUAGES)
def test_paragraphs_are_cut_each_by_itself(one: str, other: str, language: str) -> None:
    one, other = one.strip(), other.strip()
    together = sentences(f"{one}\n\n{other}", language)
    assert together == sentences(one, language) + sentences(other, language)


# --- time -------------------------------------------------------------------------------------------------

PATHOLOGICAL = {
    "quotes": '"' * 100_000,
    "brackets": "(" * 100_000,
    "no-space": "x" * 1_000_000,
    "initials": "A. Bcd " * 50_000,
    "ellipses": "word... " * 50_000,
    "openers": "“" * 100_000 + "a." * 50_000,
    "closers": "a." + "”" * 100_000,
    "japanese": "「あ。」と" * 50_000,
    "lines": "a\n" * 200_000,
    "spaces": "a" + " " * 500_000 + "b. c",
    "thai": "กขค " * 100_000,
    "marks": "." + "\u0301" * 200_000,
    "emoji": "👩‍🌾" * 100_000,
}


@pytest.mark.parametrize("language", ["", "el"])
@pytest.mark.parametrize("text", PATHOLOGICAL.values(), ids=PATHOLOGICAL)
def test_no_text_takes_more_than_linear_time(text: str, language: str) -> None:
    with linear_time():
        spans = split_sentences(text, language)
    assert spans[0].start == 0 or text[: spans[0].start].isspace()
    assert spans[-1].end == len(text.rstrip())
