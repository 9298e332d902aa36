"""Every broken line of a gold file is named, with what is wrong and how to fix it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.errors import GoldError
from eval.gold import Corpus, read_gold
from eval.gold.validate import Severity, validate

ERROR, WARNING = Severity.ERROR, Severity.WARNING
PORT = "개항 이후 부산항은 ‘동양의 관문’으로 불렸고, 1906년에는 잔교가 놓였다. 다음 해에 세관이 섰다. 세관이 낡았다."
TEXTS = {
    "news/부산항.md": PORT,
    "a/鐘.md": "森の塔には鐘が七つある。",
    "b/鐘.md": "塔は高さ三十メートル。",
    "sets/x.jsonl#p1": "فُتحت القناة عام 1869 بعد عشر سنوات من الحفر.",
    "sets/x.jsonl#p2": "بئر في الصحراء",
}
GOOD: dict[str, Any] = {
    "id": "1",
    "question": "잔교는 언제 놓였나요?",
    "lang": "ko",
    "answerable": True,
    "answers": ["1906년"],
    "evidence": [{"doc": "부산항.md", "text": "1906년에는 잔교가"}],
}


class Documents:
    """Documents by source, as an index lists them."""

    def documents(self) -> Iterator[Any]:
        return (SimpleNamespace(doc_id=source, source=source, n_chars=len(text)) for source, text in TEXTS.items())

    def text(self, doc_id: str) -> str | None:
        return TEXTS.get(doc_id)


def saved(tmp_path: Path, *values: Any, name: str = "gold.jsonl") -> Path:
    path = tmp_path / name
    text = "\n".join(one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in values)
    path.write_text(text, "utf-8")
    return path


def evidence(doc: str, text: str = "") -> dict[str, Any]:
    """A good question but for its evidence, and without answers, so that only the evidence can be wrong."""
    return {**GOOD, "answers": [], "evidence": [{"doc": doc, "text": text}]}


def test_a_file_without_fault_has_no_problem(tmp_path: Path) -> None:
    unanswerable = {"id": "2", "question": "هل فازت؟", "lang": "ar-EG", "answerable": False}
    both = {**evidence("x.jsonl", "القناة"), "id": "3", "question": "المتى?"}
    whole = {**GOOD, "id": "4", "question": "?", "evidence": [{"doc": "news/부산항.md"}], "need": "all"}
    path = saved(tmp_path, GOOD, unanswerable, both, whole)
    assert validate(path) == validate(path, Corpus(Documents())) == []


@pytest.mark.parametrize(
    ("value", "severity", "what"),
    [
        ("{", ERROR, "not JSON (Expecting property name"),
        ([1], ERROR, "list; expected: an object with id, question"),
        ({**GOOD, "question": " "}, ERROR, "question is ' '; expected: text"),
        ({**GOOD, "answerable": "true"}, ERROR, "answerable is 'true'; expected: true or false"),
        ({**GOOD, "answers": "1906"}, ERROR, "answers is '1906'; expected: a list of texts"),
        ({**GOOD, "answers": [], "evidence": []}, ERROR, "answerable, but without evidence and answers"),
        ({**GOOD, "answerable": False}, WARNING, "not answerable, but with answers or evidence; fix: leave them out"),
        ({**GOOD, "anwsers": ["1906"]}, WARNING, "anwsers is not read; expected: id, question, lang"),
        ({**GOOD, "id": "0"}, ERROR, "the id is that of line 1; fix: use each id once"),
        ({**GOOD, "answers": ["1907년"]}, WARNING, "any of the answers must stand in the evidence"),
        (
            {**GOOD, "answers": ["1906년", "부산"], "need": "all"},
            WARNING,
            "all of the answers must stand in the evidence",
        ),
        ({**GOOD, "lang": "korean"}, WARNING, "lang 'korean' is no known language; expected: a tag such as ko"),
        (evidence("항.md", "잔교"), ERROR, "there is no document 항.md; fix: give the end of a source"),
        (evidence("鐘.md", "鐘が七つ"), ERROR, "2 sources end in 鐘.md: a/鐘.md, b/鐘.md; fix: give more of the path"),
        (
            evidence("부산항.md", "세관이"),
            WARNING,
            "the evidence stands in 2 places of 부산항.md: '세관이'; fix: add words",
        ),
        (evidence("부산항.md", "'동양의 관문'으로"), ERROR, "the evidence is not in 부산항.md: \"'동양의 관문'으로"),
        (evidence("x.jsonl#p1", "بئر في"), ERROR, "the evidence is not in x.jsonl#p1"),
    ],
)
def test_a_fault_is_said_with_its_place_and_how_to_fix_it(
    tmp_path: Path, value: Any, severity: Severity, what: str
) -> None:
    other = {"id": "0", "question": "딴 것?", "lang": "ko", "answerable": False}
    (problem,) = validate(saved(tmp_path, other, value), Corpus(Documents()))
    assert (problem.severity, problem.line) == (severity, 2)
    assert problem.what.startswith(what)


def test_a_table_is_checked_with_its_lines(tmp_path: Path) -> None:
    table = 'id,question,lang,answerable,answers\n1,"a\nb",ko,true,x\n2,q,jp,maybe,\n3,"q"r,ko,true,x\n'
    assert [(one.line, one.id, one.what) for one in validate(saved(tmp_path, table, name="gold.csv"))] == [
        (4, "2", "answerable is 'maybe'; expected: true or false"),
        (5, "", "not CSV (',' expected after '\"'); expected: quotes in a quoted cell doubled"),
    ]


def test_a_file_that_cannot_be_read_or_is_empty_is_one_problem(tmp_path: Path) -> None:
    (problem,) = validate(tmp_path / "nowhere.jsonl")
    assert (problem.severity, problem.line, problem.id) == (ERROR, 0, "")
    assert "nowhere.jsonl cannot be read" in problem.what
    (problem,) = validate(saved(tmp_path, "\n\n"))
    assert problem.what.endswith("holds no question")


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1, 3), st.sampled_from(["", " ", "ko", "鐘.md", "\ud800"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["doc", "text", "grade"]), inner)
    ),
    max_leaves=4,
)


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from(list(GOOD)), VALUES))
def test_whatever_an_entry_holds_it_is_judged_and_without_an_error_it_is_read(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_text(json.dumps({**GOOD, **values}), "utf-8")
    problems = validate(path)
    f"{problems}".encode()  # it can be printed
    if any(one.severity is ERROR for one in problems):
        return
    try:
        read_gold(path)
    except GoldError as error:
        pytest.fail(str(error))
