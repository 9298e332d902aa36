from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.errors import GoldError
from eval.gold import Evidence, GoldItem, as_values, find_evidence, read_gold

SAMPLES = Path(__file__).parent.parent.parent / "ui" / "samples"
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
        ("[]", "AttributeError"),
        ('"text"', "AttributeError"),
        ({key: GOOD[key] for key in GOOD if key != "lang"}, "KeyError: 'lang'"),
        ({key: GOOD[key] for key in GOOD if key != "answerable"}, "KeyError: 'answerable'"),
        ({**GOOD, "answerable": "yes"}, "answerable is 'yes'; expected: true or false"),
        ({**GOOD, "answerable": 1}, "answerable is 1; expected: true or false"),
        ({**GOOD, "answers": "Adam"}, "TypeError: answers, evidence and tags are lists"),
        ({**GOOD, "answers": None}, "TypeError: answers, evidence and tags are lists"),
        ({**GOOD, "evidence": {"doc": "a", "text": "b"}}, "TypeError: answers, evidence and tags are lists"),
        ({**GOOD, "evidence": ["text"]}, "TypeError"),
        ({**GOOD, "evidence": [{"text": "a"}]}, "KeyError: 'doc'"),
        ({**GOOD, "evidence": [{"doc": "a", "grade": "high"}]}, "ValueError: invalid literal for int()"),
        ({**GOOD, "evidence": [{"doc": "a", "grade": 0}]}, "a grade is less than 1"),
        ({**GOOD, "evidence": [], "answers": []}, "answerable, but without evidence and answers"),
        ({**GOOD, "tags": "food"}, "TypeError: answers, evidence and tags are lists"),
        ({**GOOD, "question": "  "}, "the question is empty"),
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
    with pytest.raises(GoldError, match=r"latin cannot be read .*expected: JSON lines in UTF-8"):
        read_gold(tmp_path / "latin")


def test_an_item_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    whole = Evidence("a.txt", grade=3)
    items = [
        ITEM,
        GoldItem("2", "¿Qué?", "es", False, (), (), ("food", "new")),
        GoldItem("3", "¿Quién?", "es", True, (), (whole, Evidence("b.txt", "x"))),
        GoldItem("4", "¿Dónde?", "es", True, ("aquí",), ()),
    ]
    assert read_gold(written(tmp_path, *map(as_values, items))) == items
    assert as_values(ITEM) == GOOD
    assert as_values(items[2])["evidence"] == [{"doc": "a.txt", "grade": 3}, {"doc": "b.txt", "text": "x"}]


# --- evidence -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ("The harbour has cranes.", "harbour has", ["harbour has"]),
        ("The harbour\n   has cranes.", "harbour has", ["harbour\n   has"]),
        ("The harbour has cranes.", "  harbour\nhas ", ["harbour has"]),
        # White space where the other has none: Chinese and Japanese lines are broken anywhere.
        ("再生可能\nエネルギー", "再生可能エネルギー", ["再生可能\nエネルギー"]),
        ("再生可能エネルギー", "再生可能 エネルギー", ["再生可能エネルギー"]),
        ("一\u3000二", "一 二", ["一\u3000二"]),
        # Every place, in order.
        ("tea, tea and t\nea", "tea", ["tea", "tea", "t\nea"]),
        # Signs of patterns are text.
        ("costs $10 (about)", "$10 (about)", ["$10 (about)"]),
        ("a.c abc", "a.c", ["a.c"]),
        # Stored text is NFC; the gold file may not be.
        ("오픈AI 이사회", unicodedata.normalize("NFD", "오픈AI"), ["오픈AI"]),
        # Not there.
        ("The harbour has cranes.", "Harbour", []),
        ("text", "", []),
        ("text", " \n", []),
        ("", "text", []),
    ],
)
def test_evidence_is_found_whatever_the_white_space(text: str, wanted: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in find_evidence(text, wanted)] == expected


@settings(deadline=None)
@given(st.text(alphabet="ab \n\u3000", max_size=40), st.text(alphabet="ab \n", min_size=1, max_size=5))
def test_the_spans_found_are_all_places_and_hold_just_the_wanted_signs(text: str, wanted: str) -> None:
    needle = "".join(wanted.split())
    spans = find_evidence(text, wanted)
    for start, end in spans:
        assert "".join(text[start:end].split()) == needle
        assert not text[start].isspace()
        assert not text[end - 1].isspace()
    assert len(spans) == ("".join(text.split()).count(needle) if needle else 0)
    assert spans == sorted(spans)


def test_the_evidence_of_the_sample_questions_stands_in_the_sample_articles() -> None:
    items = read_gold(SAMPLES / "questions.jsonl")
    assert len(items) > 20
    for item in items:
        for evidence in item.evidence:
            article = (SAMPLES / "articles" / evidence.doc).read_text("utf-8")
            assert find_evidence(article, evidence.text), item.id
