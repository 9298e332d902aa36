from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.errors import GoldError
from eval.gold import Evidence, GoldItem, find_evidence, read_gold, write_gold
from eval.gold.anchor import unique_span
from eval.gold.importers import (
    CorpusDocument,
    Imported,
    NoteKind,
    Ranked,
    read_beir,
    read_mkqa,
    read_qrels,
    read_run,
    read_squad,
    write_corpus,
    write_qrels,
    write_run,
)
from eval.runs.ask import ask_all
from index.ingest import ingest
from index.store.sqlite import EmbeddedBackend
from rag.answerers.extractive import ExtractiveAnswerer
from rag.chain import Chain
from rag.testing import HashEncoder


def saved(tmp_path: Path, name: str, values: Any) -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(values if isinstance(values, str) else json.dumps(values, ensure_ascii=False), "utf-8")
    return path


def lines(*values: Any) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def asked(name: str, question: str, *answers: tuple[str, int], **more: Any) -> dict[str, Any]:
    answers_json = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": name, "question": question, "answers": answers_json, **more}


def squad(*contexts: tuple[str, list[Any]], title: str = "", **more: Any) -> dict[str, Any]:
    paragraphs = [{"context": context, "qas": qas, **more} for context, qas in contexts]
    return {"version": "1.1", "data": [{"title": title, "paragraphs": paragraphs}]}


# --- a span of its own --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted", "nth", "expected"),
    [
        ("The bell rang.", "bell", 0, "bell"),
        # By whole words, behind first, then before.
        ("Old bell, new bell, red bell.", "bell", 0, "Old bell,"),
        ("Old bell, new bell, red bell.", "bell", 1, "new bell,"),
        ("Old bell, new bell, red bell.", "bell", 2, "bell."),
        ("He saw 7 of 17 ships.", "7", 0, "7 of"),
        ("He saw 7 of 17 ships.", "7", 1, "7 ships"),
        # A part of a word grows to the whole word first.
        ("7일 부산, 17일 인천", "7일", 0, "7일 부산"),
        ("7일 부산, 17일 인천", "7일", 1, "7일 인천"),
        # Scripts without spaces grow by characters; Thai with its marks.
        ("東の橋と西の橋", "橋", 0, "橋と"),
        ("東の橋と西の橋", "橋", 1, "西の橋"),
        ("สีน้ำเงินและสีน้ำตาล", "สีน้ำ", 0, "สีน้ำเ"),
        ("สีน้ำเงินและสีน้ำตาล", "สีน้ำ", 1, "สีน้ำต"),
        ("البيت الكبير والبيت الصغير", "بيت", 0, "بيت الكبير"),
        # White space is nothing to `find_evidence`, so it parts nothing.
        ("ab c, a b d", "ab", 0, "ab c"),
        # It overlaps itself.
        ("ああああ", "ああ", 1, "ああああ"),
        ("あああ", "ああ", 1, "あああ"),
    ],
)
def test_a_span_grows_until_it_stands_in_one_place(text: str, wanted: str, nth: int, expected: str) -> None:
    start = -1
    for _ in range(nth + 1):
        start = text.index(wanted, start + 1)
    span = unique_span(text, start, start + len(wanted))
    assert text[slice(*span)] == expected


@settings(deadline=None)
@given(st.text(alphabet="ab ร้。", min_size=1, max_size=30).map(str.strip).filter(bool), st.data())
def test_whatever_the_text_the_grown_span_is_found_once_and_holds_the_first(text: str, data: st.DataObject) -> None:
    places = [i for i, char in enumerate(text) if not char.isspace()]
    start = data.draw(st.sampled_from(places))
    end = data.draw(st.sampled_from([place for place in places if place >= start])) + 1
    found = unique_span(text, start, end)
    assert found.start <= start < end <= found.end
    assert find_evidence(text, text[slice(*found)]) == [found]


# --- SQuAD --------------------------------------------------------------------------------------------------

HANGANG = "나루호는 2019년 4월에 진수되었다. 길이는 38미터이고, 2019년 겨울부터 강을 오갔다."
MORI = "森の塔は高さ三十メートルで、鐘は七つある。鐘は朝に鳴る。"


def test_a_question_comes_with_the_answers_and_a_span_of_one_place(tmp_path: Path) -> None:
    first = asked("q1", "언제 진수되었나요?", ("2019년 4월", 5), ("2019년", 5), ("2019년 4월", 5))
    second = asked("q2", "언제부터 오갔나요?", ("2019년", HANGANG.rindex("2019년")))
    path = saved(tmp_path, "boats.ko.json", squad((HANGANG, [first]), (HANGANG, [second]), title="나루호_(배)"))
    found = read_squad(path, "ko")
    assert found == Imported(
        "boats.ko.jsonl",
        (
            GoldItem(
                "q1-ko",
                "언제 진수되었나요?",
                "ko",
                True,
                ("2019년 4월", "2019년"),
                (Evidence("boats.ko.jsonl#p00001", "2019년 4월"),),
            ),
            # 2019년 stands there twice; one word behind it is enough.
            GoldItem(
                "q2-ko",
                "언제부터 오갔나요?",
                "ko",
                True,
                ("2019년",),
                (Evidence("boats.ko.jsonl#p00001", "2019년 겨울부터"),),
            ),
        ),
        (CorpusDocument("p00001", HANGANG, "나루호 (배)", "ko"),),
        (),
    )


@pytest.mark.parametrize(
    ("start", "expected", "note"),
    [
        (14, "鐘は七", ""),  # it stands at 14 and 21
        (21, "鐘は朝", ""),
        (20, "鐘は朝", "'鐘は' stands at 21; its answer_start is 20"),
        (11, "鐘は七", "'鐘は' stands at 14; its answer_start is 11"),
        (900, "鐘は朝", "'鐘は' stands at 21; its answer_start is 900"),
        (-3, "鐘は七", "'鐘は' stands at 14; its answer_start is -3"),
        (None, "鐘は七", "'鐘は' stands at 14; its answer_start is None"),
        ("14", "鐘は七", "'鐘は' stands at 14; its answer_start is 14"),
    ],
)
def test_a_wrong_offset_is_mended_to_the_nearest_place(tmp_path: Path, start: Any, expected: str, note: str) -> None:
    found = read_squad(saved(tmp_path, "m.json", squad((MORI, [asked("1", "何?", ("鐘は", start))]))), "ja")
    assert [one.evidence[0].text for one in found.items] == [expected]
    where = "data[0].paragraphs[0].qas[0]"
    assert [(one.kind, one.where, one.what) for one in found.notes] == ([(NoteKind.REPAIRED, where, note)] * bool(note))


def test_of_several_answers_the_one_that_stands_where_it_should_is_the_evidence(tmp_path: Path) -> None:
    answers = [("鐘", 0), ("四つ", 16), ("七つ", 16)]
    found = read_squad(saved(tmp_path, "m.json", squad((MORI, [asked("1", "いくつ?", *answers)]))), "ja")
    (item,) = found.items
    assert item.evidence[0].text == "七つ"
    assert item.answers == ("鐘", "四つ", "七つ")
    assert found.notes == ()


@pytest.mark.parametrize(
    ("context", "answer", "start", "expected"),
    [
        # Offsets are of the file's text; what is stored is NFC, without what an index drops.
        ("  e\u0301te\u0301 \u00ad1999\r\n hiver 2000", "2000", 22, "2000"),
        ("\ufeff가나 \u1100\u1161 다라", "다라", 7, "다라"),
        ("一  \n\n  二\u2028三", "三", 9, "三"),
        ("一二三", " 二", 0, "二"),  # a space before it, counted
        ("鐘の話 [SEP] 塔に鐘がある", "鐘の話", 0, "鐘の"),
        ("鐘の話 [SEP] 塔に鐘がある", "鐘", 12, "鐘が"),
    ],
)
def test_the_place_is_that_of_the_stored_text(
    tmp_path: Path, context: str, answer: str, start: int, expected: str
) -> None:
    found = read_squad(saved(tmp_path, "a.json", squad((context, [asked("1", "q", (answer, start))]))), "fr")
    (item,), (document,) = found.items, found.documents
    assert found.notes == ()
    assert item.evidence[0].text.startswith(expected)
    assert len(find_evidence(document.text, item.evidence[0].text)) == 1


def test_a_heading_of_jsquad_stands_on_a_line_of_its_own(tmp_path: Path) -> None:
    path = saved(tmp_path, "j.json", squad(("鐘の話 [SEP] 塔に鐘がある", [asked("1", "何?", ("塔", 10))])))
    assert read_squad(path, "ja").documents[0].text == "鐘の話\n\n塔に鐘がある"


def test_a_question_that_cannot_be_answered_and_a_document_in_another_language(tmp_path: Path) -> None:
    qas = [asked("1", "ใครสร้าง", is_impossible=True, plausible_answers=[{"text": "塔", "answer_start": 2}])]
    qas.append(asked("2", "หอสูงเท่าไร", ("三十メートル", 6), is_impossible=False))
    path = saved(tmp_path, "mlqa.json", squad((MORI, qas)))
    found = read_squad(path, "th", document_lang="ja", corpus="森.jsonl")
    assert found.items == (
        GoldItem("1-th", "ใครสร้าง", "th", False, (), ()),
        GoldItem("2-th", "หอสูงเท่าไร", "th", True, ("三十メートル",), (Evidence("森.jsonl#p00001", "三十メートル"),)),
    )
    assert [(one.id, one.lang) for one in found.documents] == [("p00001", "ja")]


def test_what_cannot_be_taken_is_noted_and_stops_nothing(tmp_path: Path) -> None:
    qas = [
        asked("1", "없는 답?", ("부산", 3)),
        asked("2", "답이 없음"),
        asked("3", " ", ("나루호는", 0)),
        "text",
        asked("4", "무엇?", ("나루호", 0)),
        asked("4", "또?", ("38미터", HANGANG.index("38미터"))),
    ]
    found = read_squad(saved(tmp_path, "a.json", squad((HANGANG, qas), (" ", [qas[4]]), (HANGANG, []))), "ko")
    assert [(item.id, item.evidence[0].text) for item in found.items] == [("4-ko", "나루호"), ("4-ko.2", "38미터")]
    assert [(one.kind, one.where, one.what) for one in found.notes] == [
        (NoteKind.DROPPED, "data[0].paragraphs[0].qas[0]", "no answer stands in its context (answers: '부산')"),
        (NoteKind.DROPPED, "data[0].paragraphs[0].qas[1]", "no answer stands in its context (answers: none)"),
        (NoteKind.DROPPED, "data[0].paragraphs[0].qas[2]", "it has no question"),
        (NoteKind.DROPPED, "data[0].paragraphs[0].qas[3]", "it has no question"),
        (NoteKind.RENAMED, "data[0].paragraphs[0].qas[5]", "the id 4-ko occurs twice; this one is now 4-ko.2"),
        (NoteKind.DROPPED, "data[0].paragraphs[1]", "its context is empty"),
    ]
    assert len(found.documents) == 1


def test_documents_keep_the_ids_of_the_file_where_they_tell_them_apart(tmp_path: Path) -> None:
    question = asked("1", "q", ("一", 0))
    data = squad(("一二", [question]), ("一三", [{**question, "id": "2"}]), id="1147-5")
    found = read_squad(saved(tmp_path, "a.json", data), "zh-Hant")
    assert [one.id for one in found.documents] == ["1147-5", "p00002"]
    assert [item.evidence[0].doc for item in found.items] == ["a.jsonl#1147-5", "a.jsonl#p00002"]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ("{", "cannot be read (Expecting property name"),
        ("[" * 200_000, "cannot be read"),
        ([], "has no list data; expected: the shape of SQuAD"),
        ({"data": [{"title": "x"}]}, "data[0] has no list paragraphs"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, "data[0].paragraphs[0] has no context"),
        ({"data": [{"paragraphs": [{"context": "一"}]}]}, "data[0].paragraphs[0] has no list qas"),
        ({"data": []}, "gives no question; expected"),
        (squad(("一二", [asked("1", "q", ("三", 0))])), "gives no question (data[0].paragraphs[0].qas[0]: no answer"),
    ],
)
def test_a_file_of_another_shape_is_refused_by_name(tmp_path: Path, values: Any, problem: str) -> None:
    path = saved(tmp_path, "a.json", values)
    with pytest.raises(GoldError) as caught:
        read_squad(path, "ko")
    assert str(caught.value).startswith(str(path))
    assert problem in str(caught.value)


# --- the index finds it -------------------------------------------------------------------------------------


def indexed(found: Imported, folder: Path) -> Chain:
    """A chain over an index of the documents, made as `dragoman index` makes it."""
    path = write_corpus(found, folder)
    report = ingest(folder / "index", [str(path)], HashEncoder(dim=64), n_workers=1)
    assert (report.added, report.failed) == (len(found.documents), [])
    return Chain(EmbeddedBackend(folder / "index"), HashEncoder(dim=64), ExtractiveAnswerer())


def n_lost(found: Imported, folder: Path) -> int:
    """How many questions of an import have an evidence that an index of its documents lacks, or has twice."""
    backend = indexed(found, folder).backend
    texts = {document.source: backend.text(document.doc_id) or "" for document in backend.documents()}
    ends = {source.removeprefix(f"{folder}/"): source for source in texts}
    return sum(
        any(len(find_evidence(texts[ends[evidence.doc]], evidence.text)) != 1 for evidence in item.evidence)
        for item in found.items
    )


def test_an_index_of_the_documents_holds_the_evidence_and_a_run_finds_it(tmp_path: Path) -> None:
    qas = [asked("1", "나루호는 언제 진수되었나요?", ("2019년 4월", 5)), asked("2", "길이는?", ("38미터", 27))]
    data = squad((HANGANG, qas), (MORI, [asked("3", "鐘は何に鳴る?", ("鐘は", 21))]), title="배 / 鐘 # 1", id="a/b#1")
    found = read_squad(saved(tmp_path, "배 모음.json", data), "ko")
    assert n_lost(found, tmp_path) == 0
    chain = Chain(EmbeddedBackend(tmp_path / "index"), HashEncoder(dim=64), ExtractiveAnswerer())
    write_gold(found.items, tmp_path / "gold.csv")
    rows = ask_all(chain, read_gold(tmp_path / "gold.csv"), retrieval_only=True)
    assert [row.problem for row in rows] == ["", "", ""]
    assert [len(row.places[0]) for row in rows] == [1, 1, 1]
    assert [row.values["recall@10"] for row in rows] == [1.0, 1.0, 1.0]  # two passages in all
    titles = {document.title for document in chain.backend.documents()}
    assert titles == {"배 / 鐘 # 1"}


SETS = [
    pytest.param("drcd/DRCD_dev.json", "zh-Hant", 3524, 1000, {}, marks=pytest.mark.slow),
    # Of CMRC two questions are empty; five offsets are one too high, in a text with a character beyond the first plane.
    ("cmrc2018/cmrc2018_trial.json", "zh-Hans", 1000, 256, {NoteKind.REPAIRED: 5, NoteKind.DROPPED: 2}),
    pytest.param("jsquad/valid-v1.3.json", "ja", 4442, 1145, {}, marks=pytest.mark.slow),
    *(
        (f"xquad/xquad.{code}.json", lang, 612, 120, {})
        for code, lang in [("ar", "ar"), ("th", "th"), ("zh", "zh-Hans"), ("hi", "hi"), ("en", "en")]
    ),
]


@pytest.mark.parametrize(("name", "lang", "n_items", "n_documents", "notes"), SETS)
def test_published_sets_import_whole_and_every_evidence_is_found_in_an_index(
    shared: Path, tmp_path: Path, name: str, lang: str, n_items: int, n_documents: int, notes: dict[NoteKind, int]
) -> None:
    path = shared / "data" / "dev" / name
    if not path.is_file():
        pytest.skip(f"there is no {path}")
    found = read_squad(path, lang)
    assert (len(found.items), len(found.documents)) == (n_items, n_documents)
    assert Counter(note.kind for note in found.notes) == notes
    assert n_lost(found, tmp_path) == 0


def test_parallel_questions_of_xquad_have_one_stem(shared: Path) -> None:
    folder = shared / "data" / "dev" / "xquad"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    stems = [
        [item.id.removesuffix(f"-{lang}") for item in read_squad(folder / f"xquad.{lang}.json", lang).items]
        for lang in ("ar", "th")
    ]
    assert stems[0] == stems[1]


# --- MKQA ---------------------------------------------------------------------------------------------------

ORIGINAL = {
    "query": "who built the old bridge",
    "example_id": 77,
    "queries": {
        "en": "who built the old bridge",
        "ko": "옛 다리는 누가 지었나요",
        "zh_cn": "古桥是谁建的",
        "no": "hvem?",
    },
    "answers": {
        "en": [{"type": "entity", "entity": "Q1", "text": "Kim Bora", "aliases": ["Bora Kim", "Kim Bora"]}],
        "ko": [
            {"type": "entity", "entity": "Q1", "text": " 김보라 ", "aliases": []},
            {"type": "date", "text": "1950-01-01"},
        ],
        "zh_cn": [{"type": "unanswerable", "text": None}],
        "no": [{"type": "long_answer", "text": None, "aliases": None}],
    },
}


def test_mkqa_in_its_own_form_gives_every_language(tmp_path: Path) -> None:
    found = read_mkqa(saved(tmp_path, "mkqa.jsonl", lines(ORIGINAL)))
    assert found.items == (
        GoldItem("77-en", "who built the old bridge", "en", True, ("Kim Bora", "Bora Kim"), (), ("entity",)),
        GoldItem("77-ko", "옛 다리는 누가 지었나요", "ko", True, ("김보라", "1950-01-01"), (), ("entity", "date")),
        GoldItem("77-zh-Hans", "古桥是谁建的", "zh-Hans", False, (), (), ("unanswerable",)),
    )
    assert [(note.kind, note.what) for note in found.notes] == [(NoteKind.DROPPED, "77-nb has no answer in the file")]
    assert found.documents == ()
    with pytest.raises(GoldError, match="no document to write"):
        write_corpus(found, tmp_path)


def test_mkqa_by_language_gives_the_same_ids(tmp_path: Path) -> None:
    rows = [
        {"id": "77_ko", "lang": "ko", "question": "옛 다리는 누가 지었나요", "answers": [" 김보라 "]},
        {"id": "-5_zh_cn", "lang": "zh_cn", "question": "古桥是谁建的", "answers": ["金宝拉", "金宝拉"]},
        {"id": "77_ko", "lang": "ko", "question": "다시", "answers": ["x"]},
    ]
    path = saved(tmp_path, "mkqa.jsonl", lines(*rows))
    found = read_mkqa(path)
    assert found.items == (
        GoldItem("77-ko", "옛 다리는 누가 지었나요", "ko", True, ("김보라",), ()),
        GoldItem("-5-zh-Hans", "古桥是谁建的", "zh-Hans", True, ("金宝拉",), ()),
    )
    assert [(note.where, note.what) for note in found.notes] == [("line 3", "the id 77-ko occurs twice")]
    assert [item.id for item in read_mkqa(path, ["zh-Hans"]).items] == ["-5-zh-Hans"]
    with pytest.raises(GoldError, match=r"mkqa\.jsonl gives no question in th, vi; expected"):
        read_mkqa(path, ["vi", "th"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (lines(ORIGINAL) + "{", "line 2: not JSON"),
        (lines(ORIGINAL) + "\n[]", "line 3: list; expected: an object"),
        (lines({"id": "1_ko", "lang": "ko", "question": "q"}), "line 1: KeyError: 'answers'"),
        (lines({"id": "1_ko", "lang": "ko", "question": "q", "answers": "a"}), "line 1: TypeError: answers is no list"),
        (lines({**ORIGINAL, "answers": []}), "line 1: AttributeError"),
    ],
)
def test_a_line_of_mkqa_that_cannot_be_used_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = saved(tmp_path, "mkqa.jsonl", text)
    with pytest.raises(GoldError) as caught:
        read_mkqa(path)
    assert str(caught.value).startswith(str(path))
    assert problem in str(caught.value)


def test_the_shared_questions_of_mkqa_import_whole(shared: Path) -> None:
    folder = shared / "data" / "dev" / "mkqa"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    korean, chinese = (read_mkqa(folder / f"mkqa-{code}.jsonl") for code in ("ko", "zh_cn"))
    assert (len(korean.items), korean.notes) == (1758, ())
    assert (len(chinese.items), chinese.notes) == (1758, ())
    assert {item.lang for item in chinese.items} == {"zh-Hans"}
    assert [item.id.removesuffix("-ko") for item in korean.items] == [
        item.id.removesuffix("-zh-Hans") for item in chinese.items
    ]


# --- BEIR ---------------------------------------------------------------------------------------------------


def beir(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / "set"
    contents = {
        "corpus": lines(
            {"_id": "d/1", "title": "부두", "text": "부두에는 기중기가 일곱 대 있다."},
            {"_id": "2", "title": "", "text": "หอระฆังมีระฆังทองหนึ่งใบ"},
            {"_id": "3", "title": "鐘", "text": ""},
            {"_id": "4", "title": "", "text": " "},
            {"_id": "2", "title": "", "text": "again"},
        ),
        "queries": lines(
            {"_id": "q1", "text": "기중기는 몇 대인가?"},
            {"_id": "q2", "text": "ระฆังกี่ใบ"},
            {"_id": "q3", "text": "誰?"},
        ),
        "test": "query-id\tcorpus-id\tscore\nq1\td/1\t2\nq1\t3\t1\nq1\t2\t0\nq2\t2\t1\r\nq2\t9\t1\nq9\t2\t1\n",
        **files,
    }
    for name, text in contents.items():
        where = f"{name}.jsonl" if name in ("corpus", "queries") else f"qrels/{name}.tsv"
        saved(folder, where, text)
    return folder


def test_a_beir_folder_gives_whole_documents_with_grades(tmp_path: Path) -> None:
    found = read_beir(beir(tmp_path))
    assert found.items == (
        GoldItem(
            "q1",
            "기중기는 몇 대인가?",
            "ko",
            True,
            (),
            (Evidence("corpus.jsonl#d/1", grade=2), Evidence("corpus.jsonl#3")),
        ),
        GoldItem("q2", "ระฆังกี่ใบ", "th", True, (), (Evidence("corpus.jsonl#2"),)),
    )
    assert [(one.id, one.title, one.text) for one in found.documents] == [
        ("d/1", "부두", "부두에는 기중기가 일곱 대 있다."),
        ("2", "", "หอระฆังมีระฆังทองหนึ่งใบ"),
        ("3", "鐘", "鐘"),
    ]
    assert [(note.where, note.what) for note in found.notes] == [
        ("corpus.jsonl, line 4", "document 4 is empty"),
        ("corpus.jsonl, line 5", "document 2 occurs twice"),
        ("qrels/test.tsv, line 6", "document 9, relevant to q2, is not in corpus.jsonl"),
        ("queries.jsonl, line 3", "query q3 has no relevant document in test"),
        ("qrels/test.tsv", "query q9 is not there"),
    ]


@pytest.mark.parametrize("own", [False, True])
def test_a_run_finds_the_documents_of_beir_in_an_index(tmp_path: Path, own: bool) -> None:
    folder = beir(tmp_path, corpus=lines({"_id": "d/1", "text": MORI}, {"_id": "2", "text": HANGANG}))
    saved(folder, "qrels/test.tsv", "q1\t2\t3\nq2\td/1\t1\n")
    found = read_beir(folder, "ko")
    path = folder / "corpus.jsonl" if own else write_corpus(found, tmp_path)
    ingest(tmp_path / "index", [str(path)], HashEncoder(dim=64), n_workers=1)
    chain = Chain(EmbeddedBackend(tmp_path / "index"), HashEncoder(dim=64), ExtractiveAnswerer())
    rows = ask_all(chain, found.items, retrieval_only=True)
    assert [(row.problem, row.places[0][0][1:]) for row in rows] == [("", (0, len(HANGANG))), ("", (0, len(MORI)))]
    assert [row.values["recall@10"] for row in rows] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"corpus": ""}, "corpus.jsonl has no document"),
        ({"corpus": lines({"_id": "1"})}, "corpus.jsonl, line 1: no text; expected: an object with _id and text"),
        ({"queries": lines({"text": "q"})}, "queries.jsonl, line 1: no _id"),
        ({"test": "q1\td1\n"}, "test.tsv, line 1: 'q1\\td1'; expected: query, document and a whole grade"),
        ({"test": "q1\t2\tgood\n"}, "test.tsv, line 1"),
        ({"test": "q1\t2\t0\n"}, "has no query with a relevant document in test"),
    ],
)
def test_a_beir_folder_that_cannot_be_used_says_where(tmp_path: Path, files: dict[str, str], problem: str) -> None:
    with pytest.raises(GoldError) as caught:
        read_beir(beir(tmp_path, **files))
    assert problem in str(caught.value)


def test_a_split_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    folder = beir(tmp_path, dev="")
    with pytest.raises(GoldError, match=r"there is no .*train\.tsv; .*there is: dev, test"):
        read_beir(folder, split="train")
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(GoldError, match=r"corpus\.jsonl cannot be read"):
        read_beir(folder)


# --- TREC ---------------------------------------------------------------------------------------------------


def test_judgements_are_read_with_any_white_space(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.qrels", "\ufeffq1 0 부두.md 2\r\n\nq1\t0\tb#1 \t 0\nq2 Q0 หอ -1\n")
    assert read_qrels(path) == {"q1": {"부두.md": 2, "b#1": 0}, "q2": {"หอ": -1}}


def test_a_ranking_is_sorted_as_trec_eval_sorts(tmp_path: Path) -> None:
    text = "q1 Q0 a 1 0.5 s\nq1 Q0 c 2 2e0 s\nq1 Q0 b 3 0.5 s\nq2 Q0 鐘 9 -3 s\n"
    assert read_run(saved(tmp_path, "a.run", text)) == {
        # By score, whatever the rank; of one score the greater name first.
        "q1": [Ranked("c", 2.0), Ranked("b", 0.5), Ranked("a", 0.5)],
        "q2": [Ranked("鐘", -3.0)],
    }


NAMES = st.text(alphabet="ab가鐘#/.|-", min_size=1, max_size=4)
SCORES = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(
    st.dictionaries(NAMES, st.dictionaries(NAMES, st.integers(-2, 9), min_size=1, max_size=4), min_size=1, max_size=3),
    st.dictionaries(NAMES, st.dictionaries(NAMES, SCORES, min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_judgements_and_rankings_are_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, qrels: dict[str, dict[str, int]], scores: dict[str, dict[str, float]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "trec"
    write_qrels(qrels, path)
    assert read_qrels(path) == qrels
    run = {
        query: [Ranked(doc, score) for doc, score in sorted(docs.items(), key=lambda d: (d[1], d[0]), reverse=True)]
        for query, docs in scores.items()
    }
    write_run(run, path, "dragoman")
    assert read_run(path) == run


def test_files_of_trec_are_written_with_ranks(tmp_path: Path) -> None:
    write_run({"q": [Ranked("b", 1.5), Ranked("a", 1.0)]}, tmp_path / "run", "mine")
    assert (tmp_path / "run").read_text() == "q Q0 b 1 1.5 mine\nq Q0 a 2 1.0 mine\n"
    write_qrels({"q": {"b": 1}}, tmp_path / "qrels")
    assert (tmp_path / "qrels").read_text() == "q 0 b 1\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty; expected: lines of query 0 doc grade"),
        ("q 0 a 1\n\nq 0 b\n", "line 3: 3 columns; expected: 4, query 0 doc grade"),
        ("q 0 my file.md 1\n", "line 1: 5 columns"),
        ("q 0 a 1\nq 0 a 0\n", "line 2: a is judged twice for q"),
        ("q 0 a 1.0\n", "line 1: the grade is '1.0'; expected: a whole number"),
    ],
)
def test_a_line_of_judgements_that_cannot_be_used_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = saved(tmp_path, "a.qrels", text)
    with pytest.raises(GoldError) as caught:
        read_qrels(path)
    assert str(caught.value).startswith(str(path))
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\n \n", "is empty; expected: lines of query Q0 doc rank score tag"),
        ("q Q0 a 1 0.5\n", "line 1: 5 columns; expected: 6"),
        ("q Q0 a 1 0.5 s\nq Q0 a 2 0.4 s\n", "line 2: a is ranked twice for q"),
        ("q Q0 a 1 high s\n", "line 1: the score is 'high'; expected: a finite number"),
        ("q Q0 a 1 nan s\n", "line 1: the score is nan; expected: a finite number"),
        ("q Q0 a 1 1e999 s\n", "line 1: the score is 1e999; expected: a finite number"),
    ],
)
def test_a_line_of_a_ranking_that_cannot_be_used_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = saved(tmp_path, "a.run", text)
    with pytest.raises(GoldError) as caught:
        read_run(path)
    assert problem in str(caught.value)


def test_what_no_file_of_trec_can_hold_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with pytest.raises(GoldError, match=r"'my file\.md' cannot stand in out; expected: a name without white space"):
        write_qrels({"q": {"my file.md": 1}}, path)
    with pytest.raises(GoldError, match="'' cannot stand in out"):
        write_run({"q": [Ranked("a", 1.0)]}, path, "")
    with pytest.raises(GoldError, match="the ranking of q is not by score"):
        write_run({"q": [Ranked("a", 1.0), Ranked("b", 2.0)]}, path, "s")
    assert not path.exists()
    with pytest.raises(GoldError, match="cannot be written"):
        write_qrels({"q": {"a": 1}}, tmp_path / "nowhere" / "out")
