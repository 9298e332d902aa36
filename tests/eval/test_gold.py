from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.errors import GoldError
from eval.gold import Evidence, GoldItem, Need, as_values, find_evidence, read_gold, write_gold

GOOD: dict[str, Any] = {
    "id": "1",
    "question": "누구인가?",
    "lang": "ko",
    "answerable": True,
    "answers": ["アダム", "Adam"],
    "evidence": [{"doc": "03-openai-ja.md", "text": "ただ一人"}],
}
ITEM = GoldItem("1", "누구인가?", "ko", True, ("アダム", "Adam"), (Evidence("03-openai-ja.md", "ただ一人"),))


def written(tmp_path: Path, *lines: Any) -> Path:
    path = tmp_path / "gold.jsonl"
    text = "\n".join(line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text(text, "utf-8")
    return path


# --- reading ------------------------------------------------------------------------------------------------


def test_a_gold_file_is_read_line_by_line(tmp_path: Path) -> None:
    other = {"id": 2, "question": "¿Qué?", "lang": "es", "answerable": False}
    path = written(tmp_path, GOOD, "", "  ", {**other, "answers": [], "evidence": []}, {**other, "id": 3})
    assert read_gold(path) == [
        ITEM,
        GoldItem("2", "¿Qué?", "es", False, (), ()),
        GoldItem("3", "¿Qué?", "es", False, (), ()),
    ]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n" + json.dumps({**GOOD, "id": "2"}).encode())
    assert [item.id for item in read_gold(path)] == ["1", "2"]


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85"])
def test_a_sign_that_some_take_for_a_line_end_may_stand_in_a_string(tmp_path: Path, sign: str) -> None:
    (item,) = read_gold(written(tmp_path, {**GOOD, "question": f"one{sign}two"}))
    assert item.question == f"one{sign}two"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON (Expecting property name"),
        ("[" * 100_000, "not JSON"),
        ({key: GOOD[key] for key in GOOD if key != "lang"}, "lang is missing"),
        ({**GOOD, "answerable": "yes"}, "answerable is 'yes'; Input should be a valid boolean"),
        ({**GOOD, "evidence": [{"text": "a"}]}, "evidence.0.doc is missing"),
        ({**GOOD, "evidence": [{"doc": "a", "text": " \n"}]}, "evidence.0.text is ' \\n'; String should match"),
        ({**GOOD, "evidence": [{"doc": "a", "grade": 0}]}, "evidence.0.grade is 0; Input should be greater"),
        ({**GOOD, "evidence": [], "answers": []}, "answerable, but without evidence and answers"),
        ({**GOOD, "question": "  "}, "question is '  '; String should match"),
        ({**GOOD, "need": "some"}, "need is 'some'; Input should be 'any' or 'all'"),
        ({**GOOD, "answers": [], "need": "all"}, "need is all, but there are no answers"),
        (GOOD, "the id '1' occurs twice"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: Any, problem: str) -> None:
    path = written(tmp_path, GOOD, "", line)
    with pytest.raises(GoldError) as caught:
        read_gold(path)
    assert str(caught.value).startswith(f"{path}, line 3: ")
    assert problem in str(caught.value)


def test_a_file_without_questions_or_without_sense_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(GoldError, match="holds no question"):
        read_gold(written(tmp_path, "", " "))
    with pytest.raises(GoldError, match=r"nowhere\.jsonl cannot be read"):
        read_gold(tmp_path / "nowhere.jsonl")
    (tmp_path / "latin").write_bytes(b'{"id": "\xe9"}')
    with pytest.raises(GoldError, match=r"latin cannot be read .*expected: text in UTF-8"):
        read_gold(tmp_path / "latin")


ITEMS = [
    replace(ITEM, tags=("food", "new"), need=Need.ALL),
    GoldItem("f00-ar", "من فتح القناة؟", "ar", False, (), ()),
    GoldItem("2", '"運河"は、いつ\nできた?', "ja", True, (), (Evidence("a.md"), Evidence("b.md", "ในปี 2024 | คลอง"))),
    GoldItem("3", "运河在哪里？", "zh-Hans", True, ("a|b", "c", "|d"), ()),
]


def test_questions_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    write_gold(ITEMS, tmp_path / "gold.jsonl")
    assert read_gold(tmp_path / "gold.jsonl") == ITEMS
    assert [entry.name for entry in tmp_path.iterdir()] == ["gold.jsonl"]  # nothing is left beside it


def test_an_item_is_written_without_its_defaults(tmp_path: Path) -> None:
    assert as_values(ITEM) == GOOD
    assert as_values(ITEMS[0])["need"] == "all"
    item = replace(ITEM, evidence=(Evidence("a.txt", grade=3), Evidence("b.txt", "x")))
    assert as_values(item)["evidence"] == [{"doc": "a.txt", "grade": 3}, {"doc": "b.txt", "text": "x"}]
    assert read_gold(written(tmp_path, as_values(item))) == [item]


# --- tables -------------------------------------------------------------------------------------------------


def saved(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8"))
    return path


def test_a_table_holds_what_json_lines_hold(tmp_path: Path) -> None:
    text = (
        "\ufeffid,question,lang,answerable,answers,evidence_doc,evidence_text,tags,need\r\n"
        "1,누구인가?,ko,true,アダム | Adam,03-openai-ja.md,ただ一人,food | new,all\r\n"
        "f00-ar,من فتح القناة؟,ar,false,,,,,any\r\n"
        '2,"""運河""は、いつ\nできた?",ja,true,,a.md | b.md, | ในปี 2024 \\| คลอง,,\r\n'
        "3,运河在哪里？,zh-Hans,TRUE,a\\|b | c | \\|d,,,,\r\n"
    )
    assert read_gold(saved(tmp_path, "gold.CSV", text)) == ITEMS


def test_a_table_by_hand_may_lack_columns_and_have_others(tmp_path: Path) -> None:
    text = (
        "\ufeffLang,ID,note,Question,answerable,answers,evidence_doc,evidence_text\r\n"
        "ko,1,지어낸 것,어디인가요?,TRUE,부산|인천,a.md,부산항 | 인천항\r\n"
        ",,,,,,,\r\n"
        "th,2,,ที่ไหน,false\r\n"
        'ja,3,,"どこ,\nですか",true,C:\\temp,"b.md",\r\n'
    )
    first = (Evidence("a.md", "부산항"), Evidence("a.md", "인천항"))
    assert read_gold(saved(tmp_path, "gold.csv", text)) == [
        GoldItem("1", "어디인가요?", "ko", True, ("부산", "인천"), first),
        GoldItem("2", "ที่ไหน", "th", False, (), ()),
        GoldItem("3", "どこ,\nですか", "ja", True, ("C:\\temp",), (Evidence("b.md"),)),
    ]


@pytest.mark.parametrize(("name", "sign"), [("gold.csv", ";"), ("gold.tsv", "\t"), ("gold.csv", "\t")])
def test_cells_may_be_parted_by_other_signs(tmp_path: Path, name: str, sign: str) -> None:
    rows = [["id", "question", "lang", "answerable", "answers"], ["1", "Wo, bitte?", "de", "true", "hier"]]
    text = "\n".join(sign.join(row) for row in rows)
    assert read_gold(saved(tmp_path, name, text)) == [GoldItem("1", "Wo, bitte?", "de", True, ("hier",), ())]


@pytest.mark.parametrize(
    ("rows", "line", "problem"),
    [
        ("id,question\n1,x", 1, "the header has no lang, answerable; expected: id,question,lang"),
        ("id,question,lang,answerable\n1,x,en,false\n2,y,en,maybe", 3, "answerable is 'maybe'"),
        ("id,question,lang,answerable\n1,x,en,false,more", 2, "more cells than the header has; fix: put the cells"),
        ('id,question,lang,answerable\n1,"a\nb",en,', 2, "answerable is None; Input should be a valid boolean"),
        ('id,question,lang,answerable\n1,"a"b,en,true', 2, "not CSV"),
        (
            "id,question,lang,answerable,evidence_doc,evidence_text\n1,x,en,true,a | b,c",
            2,
            "2 documents, 1 texts; expected: as many; write | as \\|",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, rows: str, line: int, problem: str) -> None:
    with pytest.raises(GoldError) as caught:
        read_gold(saved(tmp_path, "gold.csv", rows))
    assert f"gold.csv, line {line}: " in str(caught.value)
    assert problem in str(caught.value)


# --- evidence -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ("The harbour has cranes.", "harbour has", ["harbour has"]),
        ("The harbour\n   has cranes.", "harbour has", ["harbour\n   has"]),
        # White space where the other has none: Chinese and Japanese lines are broken anywhere.
        ("再生可能\nエネルギー", "再生可能エネルギー", ["再生可能\nエネルギー"]),
        ("再生可能エネルギー", "再生可能 エネルギー", ["再生可能エネルギー"]),
        ("一\u3000二", "一 二", ["一\u3000二"]),
        # Every place, in order.
        ("tea, tea and t\nea", "tea", ["tea", "tea", "t\nea"]),
        # Signs of patterns are text.
        ("costs $10 (about)", "$10 (about)", ["$10 (about)"]),
        # Stored text is NFC; the gold file may not be.
        ("오픈AI 이사회", unicodedata.normalize("NFD", "오픈AI"), ["오픈AI"]),
        # Not there.
        ("The harbour has cranes.", "Harbour", []),
        ("text", " \n", []),
    ],
)
def test_evidence_is_found_whatever_the_white_space(text: str, wanted: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in find_evidence(text, wanted)] == expected
