from __future__ import annotations

import csv
import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eval.errors import GoldError
from eval.gold import Evidence, GoldItem, read_gold, write_gold

KOREAN = GoldItem(
    "f00-ko",
    "누가 운하를 열었나요?",
    "ko",
    True,
    ("정약용", "丁若鏞"),
    (Evidence("운하.md", "정약용이 열었다"), Evidence("b.md", "ในปี 2024 | คลอง")),
    ("역사", "사람"),
)
ITEMS = [
    KOREAN,
    GoldItem("f00-ar", "من فتح القناة؟", "ar", False, (), ()),
    GoldItem("2", '"運河"は、いつ\nできた?', "ja", True, (), (Evidence("a.md"), Evidence("c.md", grade=3))),
    GoldItem("3", "运河在哪里？", "zh-Hans", True, ("a|b", "c\\", "\\|d"), ()),
]
SUFFIXES = (".jsonl", ".ndjson", ".json-lines", ".csv", ".tsv", ".yaml", ".yml", ".CSV")


def saved(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8"))
    return path


# --- there and back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_questions_are_read_back_as_they_were_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"gold{suffix}"
    write_gold(ITEMS, path)
    assert read_gold(path) == ITEMS
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]  # nothing is left beside it


# Signs that some format gives a meaning, and some that readers of lines, of YAML and of spreadsheets trip over.
ODD = st.text(
    alphabet=st.one_of(
        st.sampled_from("\"'|\\,;\t\n\r\u2028\u2029\x85\u00a0\u3000\ufeff\x00\x1b#:-?[]{}&*!%@`~ =no1"),
        st.sampled_from("한글かな漢ไทยعربी👩\u200d👩\u0301\u1100\u1161"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=12,
)
NAMED = ODD.filter(lambda text: text.strip() != "")
SOME_ITEMS = st.lists(
    st.builds(
        GoldItem,
        id=NAMED,
        question=NAMED,
        lang=NAMED,
        answerable=st.just(False),
        answers=st.lists(ODD, max_size=3).map(tuple),
        evidence=st.lists(st.builds(Evidence, ODD, ODD, st.integers(1, 4)), max_size=3).map(tuple),
        tags=st.lists(ODD, max_size=2).map(tuple),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda item: item.id,
)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv", ".yaml"])
@settings(deadline=None, max_examples=150)
@given(items=SOME_ITEMS)
@example(items=[GoldItem("true", "~", "no", False, ("", " ", "12:30"), (Evidence("", " | ", 2),), ("null",))])
@example(items=[GoldItem("1", "\ufeff", "ko", False, ("",), (Evidence("a", ""),), ("",))])
@example(items=[GoldItem("1", "a\r\nb\rc\n", "ko", False, ("x |", "| y", "\\", "\\\\|"), ())])
def test_whatever_the_text_it_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, items: list[GoldItem]
) -> None:
    path = tmp_path_factory.getbasetemp() / f"odd{suffix}"
    write_gold(items, path)
    assert read_gold(path) == items


def test_a_table_shows_several_values_in_a_cell_and_the_grade_where_it_is_not_one(tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    write_gold(ITEMS, path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbfid,question,lang,")  # without it Excel shows mojibake
    header, first, _, third, last = csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline=""))
    assert header[-2:] == ["tags", "evidence_grade"]
    assert first == [
        "f00-ko", "누가 운하를 열었나요?", "ko", "true", "정약용 | 丁若鏞", "운하.md | b.md",
        "정약용이 열었다 | ในปี 2024 \\| คลอง", "역사 | 사람", "1 | 1",
    ]  # fmt: skip
    assert third[5:] == ["a.md | c.md", " | ", "", "1 | 3"]
    assert last[4] == "a\\|b | c\\\\ | \\\\\\|d"
    write_gold([KOREAN], path)
    assert path.read_text("utf-8-sig").splitlines()[0].endswith(",tags")


def test_yaml_stays_readable_in_every_script(tmp_path: Path) -> None:
    path = tmp_path / "gold.yaml"
    write_gold([KOREAN], path)
    text = path.read_text("utf-8")
    assert text.startswith("- id: f00-ko\n  question: 누가 운하를 열었나요?\n")
    assert yaml.safe_load(text)[0]["evidence"][1] == {"doc": "b.md", "text": "ในปี 2024 | คลอง"}


# --- what people write by hand ------------------------------------------------------------------------------


def test_yaml_by_hand_means_what_stands_there(tmp_path: Path) -> None:
    text = (
        "# my questions\n"
        "- id: 01\n  question: Når gikk toget?\n  lang: no\n  answerable: True\n"
        "  answers: [12:30, 1_000, 2024-01-01, yes]\n  evidence:\n"
        "- id: 2\n  question: |\n    二行\n    の問い\n  lang: ja\n  answerable: false\n  answers: ~\n"
        "- {id: 3, question: 'q', lang: th, answerable: true, evidence: [{doc: ก.txt, text: 'ข', grade: 2}]}\n"
    )
    assert read_gold(saved(tmp_path, "gold.yml", text)) == [
        GoldItem("01", "Når gikk toget?", "no", True, ("12:30", "1_000", "2024-01-01", "yes"), ()),
        GoldItem("2", "二行\nの問い\n", "ja", False, (), ()),
        GoldItem("3", "q", "th", True, (), (Evidence("ก.txt", "ข", 2),)),
    ]


def test_a_table_by_hand_may_lack_columns_and_have_others(tmp_path: Path) -> None:
    text = (
        "\ufeffLang,ID,note,Question,answerable,answers,evidence_doc,evidence_text\r\n"
        "ko,1,지어낸 것,어디인가요?,TRUE,부산|인천,a.md,부산항 | 인천항\r\n"
        ",,,,,,,\r\n"
        "th,2,,ที่ไหน,false\r\n"
        'ja,3,,"どこ,\nですか",true,C:\\temp,"b.md",\r\n'
    )
    assert read_gold(saved(tmp_path, "gold.csv", text)) == [
        GoldItem(
            "1", "어디인가요?", "ko", True, ("부산", "인천"), (Evidence("a.md", "부산항"), Evidence("a.md", "인천항"))
        ),
        GoldItem("2", "ที่ไหน", "th", False, (), ()),
        GoldItem("3", "どこ,\nですか", "ja", True, ("C:\\temp",), (Evidence("b.md"),)),
    ]


def test_semicolons_of_a_spreadsheet_and_tabs_part_cells_too(tmp_path: Path) -> None:
    semicolons = "id;question;lang;answerable;answers\n1;a, b?;de;true;3,5\n"
    expected = [GoldItem("1", "a, b?", "de", True, ("3,5",), ())]
    assert read_gold(saved(tmp_path, "gold.csv", semicolons)) == expected
    assert read_gold(saved(tmp_path, "gold.tsv", semicolons.replace(";", "\t"))) == expected


def test_a_file_of_another_suffix_is_read_as_json_lines(tmp_path: Path) -> None:
    line = json.dumps({"id": "1", "question": unicodedata.normalize("NFD", "é"), "lang": "fr", "answerable": False})
    (item,) = read_gold(saved(tmp_path, "gold.txt", line))
    assert item.question == "e\u0301"  # as written: only matching normalises


# --- what cannot be used ------------------------------------------------------------------------------------

HEADER = "id,question,lang,answerable,answers,evidence_doc,evidence_text,tags\n"
GOOD_ROW = "1,q,ko,true,a,,,\n"


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "the header has no id, question, lang, answerable; expected: the columns id,question"),
        ("id,lang,answerable\n", 1, "the header has no question"),
        ("\nid,id,question,lang,answerable\n", 2, "the header has id twice"),
        (HEADER + '1,"two\nlines",ko,true,a,,,\n2,q,ko,maybe,a,,,\n', 4, "answerable is 'maybe'; expected: true"),
        (HEADER + GOOD_ROW + "\n\n2,q,ko,,a,,,\n", 5, "KeyError: 'answerable'"),
        (HEADER + GOOD_ROW + ",q,ko,true,a,,,\n", 3, "KeyError: 'id'"),
        (HEADER + "1,a, b,ko,true,a,,,,\n" + GOOD_ROW, 2, "answerable is 'ko'"),
        (HEADER + "1,q,ko,true,a,d,t,x,y\n", 2, "9 cells; expected: 8, as the header has"),
        (HEADER + GOOD_ROW + '2,"q"x,ko,true,a,,,\n', 3, "not CSV ("),
        (HEADER + GOOD_ROW + '2,"q\nko,true\n', 3, "not CSV (unexpected end of data)"),
        (HEADER + "1,q,ko,true,a,d | e,t,\n", 2, "2 documents, 1 texts and 2 grades of evidence; expected: as many"),
        (HEADER + "1,q,ko,true,a,d,t | u | v,\n" + GOOD_ROW, 3, "the id '1' occurs twice"),
        (HEADER + "1,q,ko,true,a,,t,\n", 2, "0 documents, 1 texts and 0 grades"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, text: str, line: int, problem: str) -> None:
    path = saved(tmp_path, "gold.csv", text)
    with pytest.raises(GoldError) as caught:
        read_gold(path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert problem in str(caught.value)


GOOD_ENTRY = "- {id: 1, question: q, lang: ko, answerable: true, answers: [a]}\n"
BOMB = "- &a [x, x]\n- &b [*a, *a, *a]\n"


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (GOOD_ENTRY + "- id: 2\n  question: [\n", 4, "not YAML ("),
        (GOOD_ENTRY + "- id: 2\n   lang: ko\n", 3, "not YAML ("),
        ("questions:\n" + GOOD_ENTRY, 1, "no list; expected: objects, each after a dash"),
        (GOOD_ENTRY + "---\n" + GOOD_ENTRY, 2, "not YAML (but found another document)"),
        (GOOD_ENTRY + "- text\n", 2, "AttributeError"),
        (GOOD_ENTRY + "- id: 2\n  question: q\n  lang: ko\n  answerable: yes\n", 2, "answerable is 'yes'"),
        (GOOD_ENTRY + "- id: 2\n  question: ~\n  lang: ko\n", 2, "KeyError: 'question'"),
        (GOOD_ENTRY + GOOD_ENTRY, 2, "the id '1' occurs twice"),
        (BOMB, 2, "an alias, *a; expected: the text itself"),
        (GOOD_ENTRY + "- " + "[" * 50_000, 2, "over 8 levels deep"),
        (GOOD_ENTRY + "- {id: \x07}\n", None, "not YAML ("),
    ],
)
def test_a_yaml_entry_that_cannot_be_used_is_named(tmp_path: Path, text: str, line: int | None, problem: str) -> None:
    path = saved(tmp_path, "gold.yaml", text)
    with pytest.raises(GoldError) as caught:
        read_gold(path)
    assert str(caught.value).startswith(f"{path}, line {line or ''}")
    assert problem in str(caught.value)


def test_yaml_has_a_size(tmp_path: Path) -> None:
    path = saved(tmp_path, "gold.yaml", "#" * (8 * 2**20 + 1))
    with pytest.raises(GoldError, match=r"line 1: 8,388,609 characters of YAML; expected: at most 8,388,608"):
        read_gold(path)


def test_json_nested_without_end_is_an_error_of_its_line(tmp_path: Path) -> None:
    with pytest.raises(GoldError, match=r"line 2: not JSON"):
        read_gold(saved(tmp_path, "gold.jsonl", "\n" + "[" * 200_000))


@pytest.mark.parametrize("name", ["empty.yaml", "empty.jsonl"])
def test_a_file_without_questions_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(GoldError, match="holds no question"):
        read_gold(saved(tmp_path, name, "\n \n"))


@pytest.mark.parametrize(
    ("items", "name", "problem"),
    [
        (ITEMS, "gold.xlsx", r"gold\.xlsx ends in \.xlsx; expected: one of \.jsonl, "),
        (ITEMS, "gold", "ends in no suffix"),
        ([], "gold.csv", "no question to write"),
        ([KOREAN, KOREAN], "gold.csv", "the id 'f00-ko' occurs twice"),
        ([GoldItem("1", "\ud800", "ko", False, (), ())], "gold.jsonl", r"gold\.jsonl cannot be written .*surrogates"),
        (ITEMS, "nowhere/gold.csv", r"gold\.csv cannot be written"),
    ],
)
def test_what_cannot_be_written_is_said_and_leaves_the_file_that_was(
    tmp_path: Path, items: list[GoldItem], name: str, problem: str
) -> None:
    before: Any = saved(tmp_path, name, "as it was") if "/" not in name else None
    with pytest.raises(GoldError, match=problem):
        write_gold(items, tmp_path / name)
    assert before is None or before.read_text() == "as it was"
    assert not list(tmp_path.glob("*.tmp"))


def test_what_cannot_be_put_in_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "gold.csv").mkdir()
    with pytest.raises(GoldError, match=r"gold\.csv cannot be written"):
        write_gold(ITEMS, tmp_path / "gold.csv")
    assert [entry.name for entry in tmp_path.iterdir()] == ["gold.csv"]
