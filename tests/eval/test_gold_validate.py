from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.errors import GoldError
from eval.gold import find_evidence, read_gold
from eval.gold.fields import Severity
from eval.gold.nearest import fold, nearest
from eval.gold.validate import validate

ERROR, WARNING = Severity.ERROR, Severity.WARNING
PORT = "개항 이후 부산항은 ‘동양의 관문’으로 불렸고, 1906년에는 잔교가 놓였다. 다음 해에 세관이 섰다. 세관이 낡았다."
DOCUMENTS = {
    "news/부산항.md": PORT,
    "news/หอ.txt": "หอระฆังสร้างเมื่อปี 2450 มีระฆังทองหนึ่งใบ",
    "a/鐘.md": "森の塔には鐘が七つある。",
    "b/鐘.md": "塔は高さ三十メートル。",
    "sets/x.jsonl#p1": "فُتحت القناة عام 1869 بعد عشر سنوات من الحفر.",
}
GOOD: dict[str, Any] = {
    "id": "1",
    "question": "잔교는 언제 놓였나요?",
    "lang": "ko",
    "answerable": True,
    "answers": ["1906년"],
    "evidence": [{"doc": "부산항.md", "text": "1906년에는 잔교가"}],
}


def saved(tmp_path: Path, *values: Any, name: str = "gold.jsonl") -> Path:
    path = tmp_path / name
    text = "\n".join(one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in values)
    path.write_text(text, "utf-8")
    return path


def evidence(doc: str, text: str, **more: Any) -> dict[str, Any]:
    """A good question but for its evidence, and without answers, so that only the evidence can be wrong."""
    return {**GOOD, "answers": [], "evidence": [{"doc": doc, "text": text, **more}]}


def test_a_file_without_fault_has_no_problem(tmp_path: Path) -> None:
    others = [
        {**evidence("x.jsonl#p1", "القناة عام"), "id": "2", "lang": "ar", "question": "متى فُتحت القناة؟"},
        {**evidence("p1", "القناة عام"), "id": "3", "lang": "ar", "question": "متى؟"},
        {**evidence("news/หอ.txt", "", grade=2), "id": "4", "lang": "th", "question": "หอสร้างเมื่อใด"},
        {**evidence("a/鐘.md", "鐘が 七つ"), "id": 5, "lang": "zh-Hant-TW", "question": "幾個鐘？"},
        {"id": "6", "question": "Wer?", "lang": "de", "answerable": False},
    ]
    path = saved(tmp_path, GOOD, "", *others)
    assert validate(path, DOCUMENTS) == []
    assert validate(path) == []
    assert len(read_gold(path)) == 6


def only(tmp_path: Path, value: Any, documents: dict[str, str] | None = None) -> tuple[Severity, str, str]:
    """The one problem of a file whose third line is `value`."""
    (problem,) = validate(saved(tmp_path, {**GOOD, "id": "0", "question": "딴 것?"}, "", value), documents)
    assert problem.line == 3
    return problem.severity, problem.what, problem.remedy


@pytest.mark.parametrize(
    ("value", "severity", "what", "remedy"),
    [
        ('{"id": ', ERROR, "not JSON (Expecting value", "expected: an object with id, question"),
        ([1], ERROR, "list, not an object", "write an object"),
        ({**GOOD, "id": None}, ERROR, "id is missing", 'give it: "q01"'),
        ({**GOOD, "id": True}, ERROR, "id is True", "write it as text"),
        ({k: v for k, v in GOOD.items() if k != "question"}, ERROR, "question is missing", "give it"),
        ({**GOOD, "question": " "}, ERROR, "question is empty", "give it"),
        ({**GOOD, "question": {"ko": "?"}}, ERROR, "question is {'ko': '?'}", "write it as text"),
        ({**GOOD, "lang": ""}, ERROR, "lang is missing", 'give it: a BCP 47 tag, "ko"'),
        ({k: v for k, v in GOOD.items() if k != "answerable"}, ERROR, "answerable is missing", "say true, or false"),
        ({**GOOD, "answerable": "true"}, ERROR, "answerable is 'true'", "say true or false, without quotes"),
        ({**GOOD, "answers": "1906"}, ERROR, "answers is '1906'", 'write a list: "answers": ["..."]'),
        ({**GOOD, "answers": [["1906"]]}, ERROR, "answers holds ['1906']", "write texts only"),
        ({**GOOD, "answers": ["1906년", ""]}, WARNING, "answers holds an empty text", "leave it out"),
        ({**GOOD, "tags": [None]}, ERROR, "tags holds None", "write texts only"),
        ({**GOOD, "evidence": {"doc": "a"}}, ERROR, "evidence is {'doc': 'a'}", "write a list"),
        ({**GOOD, "evidence": [{"text": "a"}]}, ERROR, "evidence {'text': 'a'} names no document", "write {"),
        ({**GOOD, "evidence": [{"doc": " "}]}, ERROR, "evidence {'doc': ' '} names no document", "write {"),
        (evidence("a", 7), ERROR, "the text of evidence is 7", "copy it"),  # type: ignore[arg-type]
        (evidence("a", " \n"), ERROR, "the text of evidence is white space", "leave it out to mean the whole"),
        (evidence("a", "b", grade=0), ERROR, "grade is 0", "write 1, 2, 3"),
        (evidence("a", "b", grade=2.5), ERROR, "grade is 2.5", "write 1, 2, 3"),
        (evidence("a", "b", grade=True), ERROR, "grade is True", "write 1, 2, 3"),
        ({**GOOD, "answers": [], "evidence": []}, ERROR, "answerable, but without evidence and answers", "mend it"),
        ({**GOOD, "answerable": False}, WARNING, "not answerable, but with answers or evidence", "say answerable"),
        ({**GOOD, "anwsers": ["1906"]}, WARNING, "anwsers is not read", "the fields are id, question, lang"),
        ({**GOOD, "id": "0"}, ERROR, "the id is that of line 1", "use each id once"),
        ({**GOOD, "question": " 딴  것？"}, WARNING, "the question is that of 0, line 1", "ask it once"),
        ({**GOOD, "answers": ["1907년"]}, WARNING, "no answer stands in the evidence: '1907년'", "add the answer as"),
        (
            {**GOOD, "answers": ["in autumn"]},
            WARNING,
            "no answer stands in the evidence",
            "nothing, where it is a tran",
        ),
    ],
)
def test_a_fault_is_said_with_its_place_and_what_mends_it(
    tmp_path: Path, value: Any, severity: Severity, what: str, remedy: str
) -> None:
    found = only(tmp_path, value)
    assert found[0] is severity
    assert found[1].startswith(what)
    assert found[2].startswith(remedy)


@pytest.mark.parametrize(
    ("lang", "severity", "remedy"),
    [
        ("zh_cn", ERROR, "write zh-Hans"),
        ("ko_KR", ERROR, "write ko-KR"),
        ("ZH_hant_hk", ERROR, "write zh-Hant-HK"),
        ("korean", ERROR, "write a tag like"),
        ("zh-", ERROR, "write a tag like"),
        ("한국어", ERROR, "write a tag like"),
        ("jp", WARNING, "write ja"),
        ("kr", WARNING, "write ko"),
        ("KO", WARNING, "write ko"),
        ("xx", WARNING, "write a tag like"),
    ],
)
def test_a_tag_that_is_none_or_not_known_is_said(tmp_path: Path, lang: str, severity: Severity, remedy: str) -> None:
    found = only(tmp_path, {**GOOD, "lang": lang})
    assert (found[0], repr(lang) in found[1]) == (severity, True)
    assert found[2].startswith(remedy)


@pytest.mark.parametrize("lang", ["ko", "zh-Hant", "zh-Hant-HK", "pt-BR", "es-419", "sl-rozaj", "de-1996", "ar-x-mine"])
def test_a_tag_of_bcp_47_is_taken(tmp_path: Path, lang: str) -> None:
    assert validate(saved(tmp_path, {**GOOD, "lang": lang})) == []


@pytest.mark.parametrize(
    ("value", "severity", "what", "remedy"),
    [
        (evidence("항.md", "잔교"), ERROR, "there is no document 항.md", "give the end of a source"),
        (evidence("鐘.md", "鐘が七つ"), ERROR, "2 sources end in 鐘.md: a/鐘.md, b/鐘.md", "give more of the path"),
        (
            evidence("부산항.md", "세관이"),
            WARNING,
            "the evidence stands in 2 places of 부산항.md: '세관이'",
            "take in w",
        ),
        # Other quotes and no comma: the place by its letters.
        (
            evidence("부산항.md", "'동양의 관문'으로 불렸고 1906년에는"),
            ERROR,
            "the evidence is not in 부산항.md: \"'동양의 관문'으로",
            "copy what stands at 12, with other punctuation or case: '동양의 관문’으로 불렸고, 1906년에는'",
        ),
        # Another ending: the nearest, by 12 letters in common, twice, of 12 and 13: 24 / 25.
        (
            evidence("부산항.md", "1906년에 잔교가 놓였다"),
            ERROR,
            "the evidence is not in 부산항.md",
            "copy what stands at 27, nearest (96%): '1906년에는 잔교가 놓였다'",
        ),
        (
            evidence("หอ.txt", "สร้างเมื่อปี2451 มีระฆัง"),
            ERROR,
            "the evidence is not in หอ.txt",
            "copy what stands at 7, nearest (",
        ),
        (evidence("x.jsonl#p1", "بئر في الصحراء"), ERROR, "the evidence is not in x.jsonl#p1", "copy the span from"),
    ],
)
def test_evidence_that_is_not_as_the_documents_have_it_is_said(
    tmp_path: Path, value: Any, severity: Severity, what: str, remedy: str
) -> None:
    found = only(tmp_path, {**value, "question": "q"}, DOCUMENTS)
    assert found[0] is severity
    assert found[1].startswith(what)
    assert found[2].startswith(remedy)


def test_the_answer_may_stand_anywhere_in_a_whole_document(tmp_path: Path) -> None:
    whole = {**GOOD, "evidence": [{"doc": "부산항.md"}]}
    assert validate(saved(tmp_path, whole), DOCUMENTS) == []
    (problem,) = validate(saved(tmp_path, {**whole, "answers": ["1950년"]}), DOCUMENTS)
    assert problem.what == "no answer stands in the evidence: '1950년'"


def test_all_problems_come_in_the_order_of_the_lines_and_none_hides_another(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        "{",
        {"id": "1", "question": 3, "lang": "zh_tw", "answerable": "no", "evidence": [{"doc": "없다.md", "text": "x"}]},
        GOOD,
        {**GOOD, "answers": ["1907년"], "evidence": [{"doc": "부산항.md", "text": "세관이"}, {"doc": "c"}]},
    )
    assert [(one.line, one.id, one.what.partition(" (")[0], one.severity) for one in validate(path, DOCUMENTS)] == [
        (1, "", "not JSON", ERROR),
        (2, "1", "question is 3", ERROR),
        (2, "1", "answerable is 'no'", ERROR),
        (2, "1", "lang 'zh_tw' is no BCP 47 tag", ERROR),
        (2, "1", "there is no document 없다.md", ERROR),
        (3, "1", "the id is that of line 2", ERROR),
        (4, "1", "the id is that of line 2", ERROR),
        (4, "1", "the evidence stands in 2 places of 부산항.md: '세관이'", WARNING),
        (4, "1", "there is no document c", ERROR),
        (4, "1", "the question is that of 1, line 3", WARNING),
        (4, "1", "no answer stands in the evidence: '1907년'", WARNING),
    ]


def test_tables_and_yaml_are_checked_with_their_lines(tmp_path: Path) -> None:
    table = 'id,question,lang,answerable,answers\n1,"a\nb",ko,true,x\n2,q,jp,maybe,\n3,"q"r,ko,true,x\n'
    assert [(one.line, one.id, one.what) for one in validate(saved(tmp_path, table, name="gold.csv"))] == [
        (4, "2", "answerable is 'maybe'"),
        (4, "2", "lang 'jp' is no language known here"),
        (5, "", "not CSV (',' expected after '\"')"),
    ]
    (problem,) = validate(saved(tmp_path, "id,lang\n1,ko", name="gold.csv"))
    assert (problem.line, problem.what) == (1, "the header has no question, answerable")
    text = "- id: 1\n  question: 몇 시?\n  lang: ko\n  answerable: true\n  answers: [12:30]\n- id: 1\n  lang: no\n"
    assert [(one.line, one.what) for one in validate(saved(tmp_path, text, name="gold.yaml"))] == [
        (6, "question is missing"),
        (6, "answerable is missing"),
        (6, "the id is that of line 1"),
        (6, "lang 'no' is no language known here"),
    ]


def test_a_file_that_cannot_be_read_or_is_empty_is_one_problem(tmp_path: Path) -> None:
    (problem,) = validate(tmp_path / "nowhere.jsonl")
    assert (problem.severity, problem.line, problem.id) == (ERROR, 0, "")
    assert "nowhere.jsonl cannot be read" in problem.what
    (problem,) = validate(saved(tmp_path, "\n\n"))
    assert problem.what.endswith("holds no question")


def test_what_is_said_can_be_printed(tmp_path: Path) -> None:
    path = saved(tmp_path, '{"id": "\\ud800", "question": "q", "lang": "\\udfff", "answerable": false}')
    (problem,) = validate(path)
    assert (problem.id, problem.what) == ("\\ud800", "lang '\\udfff' is no BCP 47 tag")
    f"{problem}".encode()


VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-1, 3), st.floats(), st.sampled_from(["", " ", "ko", "鐘.md", "鐘"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["doc", "text", "grade"]), inner)
    ),
    max_leaves=4,
)
FIELDS = ("id", "question", "lang", "answerable", "answers", "evidence", "tags")


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_whatever_an_entry_holds_it_is_judged_and_without_an_error_it_is_read(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    path = saved(tmp_path_factory.getbasetemp(), {**GOOD, **values})
    problems = validate(path, {**DOCUMENTS, "鐘.md": "鐘"})
    if any(problem.severity is ERROR for problem in problems):
        return
    try:
        (item,) = read_gold(path)
    except GoldError as error:  # pragma: no cover
        pytest.fail(f"{error}, but only {problems}")
    assert all(evidence.doc for evidence in item.evidence)


# --- the nearest place --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ("The Harbour has seven cranes.", "the harbour, has", "The Harbour has"),
        ("ＡＢＣ株式会社は鐘を鋳る。", "ABC株式会社は、鐘", "ＡＢＣ株式会社は鐘"),
        ("새벽 종이 울렸다. 저녁 종이 크게 울렸다.", "저녁 종이 아주 크게 울렸다", "저녁 종이 크게 울렸다"),
        ("วัดเก่ามีหอระฆังสูงเด่น", "หอระฆังสูงมากเด่น", "หอระฆังสูงเด่น"),
        ("塔は高さ三十メートル。", "鐘楼の重さ", None),
        ("塔は高さ三十メートル。", "…!", None),
        ("", "塔", None),
        ("塔", "", None),
    ],
)
def test_the_place_that_nearly_reads_so_is_found(text: str, wanted: str, expected: str | None) -> None:
    near = nearest(fold(text), wanted)
    assert (near and text[slice(*near.span)]) == expected


def test_looking_for_it_in_a_long_text_takes_no_time_to_speak_of() -> None:
    text = fold("나는 종이 울렸다고 들었다. " * 20_000)
    started = time.process_time()
    near = nearest(text, "나는 종이 울렸다고 못 들었다. " * 40)
    assert time.process_time() - started < 2
    assert near is not None


@settings(deadline=None)
@given(st.text(alphabet="鐘塔a ’B1.", max_size=30), st.text(alphabet="鐘塔a 'b1", max_size=12))
def test_the_span_of_the_nearest_place_lies_in_the_text(text: str, wanted: str) -> None:
    near = nearest(fold(text), wanted)
    if near is None:
        return
    start, end = near.span
    assert 0 <= start < end <= len(text)
    assert 0.6 <= near.likeness <= 1
    if near.likeness == 1:
        assert fold(text[start:end]).letters.startswith(fold(wanted).letters)
    assert find_evidence(text, text[start:end]) or not text[start:end].strip()
