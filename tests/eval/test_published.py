"""Published sets as gold questions whose evidence an index of their documents holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eval.errors import GoldError
from eval.gold import Evidence, GoldItem, Published, find_evidence, read_beir, read_published, read_squad, write_corpus
from eval.gold.published import CorpusDocument, unique_span
from eval.runs.ask import ask_all
from index.ingest import ingest
from index.store.sqlite import EmbeddedBackend
from rag.chain import Chain
from rag.testing import HashEncoder, WordReader

HANGANG = "나루호는 2019년 4월에 진수되었다. 길이는 38미터이고, 2019년 겨울부터 강을 오갔다."
MORI = "森の塔は高さ三十メートルで、鐘は七つある。鐘は朝に鳴る。"


def asked(id: str, question: str, *answers: tuple[str, Any], **more: Any) -> dict[str, Any]:
    own = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": id, "question": question, "answers": own, **more}


def squad(*paragraphs: tuple[str, list[Any]], title: str = "") -> dict[str, Any]:
    own = [{"context": context, "qas": qas} for context, qas in paragraphs]
    return {"data": [{"title": title, "paragraphs": own}]}


def saved(tmp_path: Path, name: str, values: Any) -> Path:
    path = tmp_path / name
    path.write_text(values if isinstance(values, str) else json.dumps(values, ensure_ascii=False), "utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "wanted", "nth", "expected"),
    [
        ("a bell and a bell rang", "bell", 1, "bell rang"),
        ("the bell, the bell", "bell", 1, ", the bell"),
        ("鐘が鳴る。鐘が割れる。", "鐘が", 1, "鐘が割"),
    ],
)
def test_a_span_grows_until_it_stands_in_one_place(text: str, wanted: str, nth: int, expected: str) -> None:
    start = [i for i in range(len(text)) if text.startswith(wanted, i)][nth]
    found = unique_span(text, start, start + len(wanted))
    assert text[found.start : found.end] == expected


def test_a_question_comes_with_the_answers_and_a_span_of_one_place(tmp_path: Path) -> None:
    first = asked("q1", "언제 진수되었나요?", ("2019년 4월", 5), ("2019년", 5), ("2019년 4월", 5))
    second = asked("q2", "언제부터 오갔나요?", ("2019년", HANGANG.rindex("2019년")))
    path = saved(tmp_path, "boats.ko.json", squad((HANGANG, [first]), (HANGANG, [second]), title="나루호_(배)"))
    span = (Evidence("boats.ko.jsonl#p00001", "2019년 4월"),)
    wider = (Evidence("boats.ko.jsonl#p00001", "2019년 겨울부터"),)  # 2019년 stands there twice
    assert read_squad(path, "ko") == Published(
        "boats.ko.jsonl",
        [
            GoldItem("q1-ko", "언제 진수되었나요?", "ko", True, ("2019년 4월", "2019년"), span),
            GoldItem("q2-ko", "언제부터 오갔나요?", "ko", True, ("2019년",), wider),
        ],
        [CorpusDocument("p00001", HANGANG, "나루호 (배)", "ko")],
    )
    assert [item.lang for item in read_squad(path).items] == ["ko", "ko"]  # detected


@pytest.mark.parametrize(
    ("start", "expected"),
    [(14, "鐘は七"), (20, "鐘は朝"), (900, "鐘は朝"), (-3, "鐘は七"), (None, "鐘は七")],
)
def test_a_wrong_offset_means_the_nearest_place(tmp_path: Path, start: Any, expected: str) -> None:
    found = read_squad(saved(tmp_path, "m.json", squad((MORI, [asked("1", "何?", ("鐘は", start))]))), "ja")
    assert [one.evidence[0].text for one in found.items] == [expected]


@pytest.mark.parametrize(
    ("context", "answer", "start", "expected"),
    [
        # Offsets are of the file's text; what is stored is NFC, without what an index drops.
        ("  e\u0301te\u0301 \u00ad1999\r\n hiver 2000", "2000", 22, "2000"),
        ("\ufeff가나 \u1100\u1161 다라", "다라", 7, "다라"),
        ("一二三", " 二", 0, "二"),  # a space before it, counted
        ("鐘の話 [SEP] 塔に鐘がある", "鐘", 12, "鐘が"),
    ],
)
def test_the_place_is_that_of_the_stored_text(
    tmp_path: Path, context: str, answer: str, start: int, expected: str
) -> None:
    found = read_squad(saved(tmp_path, "a.json", squad((context, [asked("1", "q", (answer, start))]))), "fr")
    (item,), (document,) = found.items, found.documents
    assert item.evidence[0].text.startswith(expected)
    assert len(find_evidence(document.text, item.evidence[0].text)) == 1


def test_unanswerable_questions_are_taken_and_unusable_ones_left_out(tmp_path: Path) -> None:
    qas = [
        asked("1", "ใครสร้าง", is_impossible=True, plausible_answers=[{"text": "塔", "answer_start": 2}]),
        asked("2", "없는 답?", ("부산", 3)),
        asked("3", " ", ("나루호는", 0)),
        asked("4", "무엇?", ("나루호", 0)),
        asked("4", "또?", ("38미터", HANGANG.index("38미터"))),
    ]
    found = read_squad(saved(tmp_path, "a.json", squad((HANGANG, qas))), "ko", document_lang="")
    assert [(one.id, one.answerable) for one in found.items] == [("1-ko", False), ("4-ko", True), ("4-ko.2", True)]
    assert found.left_out == ["2-ko: no answer stands in its context", "3-ko: no answer stands in its context"]
    assert [document.lang for document in found.documents] == [""]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ("{", "JSONDecodeError"),
        ("[" * 200_000, "RecursionError"),
        ({"data": [{"title": "x"}]}, "KeyError: 'paragraphs'"),
        ({"data": []}, "gives no question; expected"),
        (squad(("一二", [asked("1", "q", ("三", 0))])), "gives no question (1-ja: no answer stands in its context)"),
    ],
)
def test_a_file_of_another_shape_is_refused_by_name(tmp_path: Path, values: Any, problem: str) -> None:
    path = saved(tmp_path, "a.json", values)
    with pytest.raises(GoldError) as caught:
        read_published(path, "ja")
    assert str(caught.value).startswith(str(path))
    assert problem in str(caught.value)


def ran(found: Published, folder: Path) -> list[Any]:
    """The rows of a run over an index of the documents, made as `dragoman index` makes it."""
    ingest(folder / "index", [str(write_corpus(found, folder))], HashEncoder(dim=64), n_workers=1)
    return ask_all(
        Chain(EmbeddedBackend(folder / "index"), HashEncoder(dim=64), reader=WordReader()),
        found.items,
        retrieval_only=True,
    )


@pytest.mark.parametrize(
    ("name", "lang", "n_items", "n_documents", "n_left_out"),
    [
        ("cmrc2018/cmrc2018_trial.json", "zh-Hans", 1000, 256, 2),  # two questions are empty
        ("xquad/xquad.th.json", "th", 612, 120, 0),
    ],
)
def test_published_sets_are_read_whole_and_every_evidence_stands_in_its_document(
    shared: Path, name: str, lang: str, n_items: int, n_documents: int, n_left_out: int
) -> None:
    path = shared / "data" / "dev" / name
    if not path.is_file():
        pytest.skip(f"there is no {path}")
    found = read_squad(path, lang)
    texts = {f"{found.corpus}#{document.id}": document.text for document in found.documents}
    assert (len(found.items), len(texts), len(found.left_out)) == (n_items, n_documents, n_left_out)
    for item in found.items:
        assert len(find_evidence(texts[item.evidence[0].doc], item.evidence[0].text)) == 1, item.id


CORPUS = [
    {"_id": "d1", "title": "塔", "text": "森の塔には鐘がある。"},
    {"_id": "d2", "title": "Only a title", "text": " "},
    {"_id": "d3", "text": "The harbour has seven cranes."},
]
QUERIES = [{"_id": "q1", "text": "How many cranes?"}, {"_id": "q2", "text": "鐘は?"}, {"_id": "q3", "text": "Who?"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td3\t2\nq1\td2\t1\nq2\td1\t1\nq2\td3\t0\nq3\td9\t1\n"


def beir(folder: Path, **files: str) -> Path:
    texts = {
        "corpus.jsonl": "\n".join(json.dumps(one) for one in CORPUS),
        "queries.jsonl": "\n".join(json.dumps(one) for one in QUERIES),
        "qrels/test.tsv": QRELS,
    } | {name.replace("__", "/").replace("_", ".", 1): text for name, text in files.items()}
    (folder / "qrels").mkdir(parents=True)
    for name, text in texts.items():
        if text:
            (folder / name).write_text(text, "utf-8")
    return folder


def test_a_beir_folder_gives_whole_documents_with_grades(tmp_path: Path) -> None:
    found = read_published(beir(tmp_path / "set"))
    assert found.items == [
        GoldItem(
            "q1", "How many cranes?", "en", True, (), (Evidence("corpus.jsonl#d3", "", 2), Evidence("corpus.jsonl#d2"))
        ),
        GoldItem("q2", "鐘は?", "ja", True, (), (Evidence("corpus.jsonl#d1"),)),
    ]
    assert found.left_out == ["query q3: no relevant document"]
    assert [(one.id, one.title, one.text) for one in found.documents][1] == ("d2", "Only a title", "Only a title")
    rows = ran(found, tmp_path)
    assert [(row.problem, row.values["recall@10"]) for row in rows] == [("", 1.0), ("", 1.0)]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"corpus_jsonl": "{}"}, "corpus.jsonl, line 1: no _id"),
        ({"queries_jsonl": "\n{"}, "queries.jsonl, line 2: not JSON"),
        ({"qrels__test_tsv": ""}, "has no judgements; expected: qrels/test.tsv or qrels/dev.tsv"),
        ({"qrels__test_tsv": "q\td\tscore\nq1\td3\thigh"}, "test.tsv, line 2: 'q1\\td3\\thigh'; expected: query"),
    ],
)
def test_a_beir_folder_that_cannot_be_used_says_where(tmp_path: Path, files: dict[str, str], problem: str) -> None:
    with pytest.raises(GoldError) as caught:
        read_beir(beir(tmp_path / "set", **files))
    assert problem in str(caught.value)
