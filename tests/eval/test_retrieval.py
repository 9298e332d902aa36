"""The benchmark of the whole search: sets as documents, rankings by hand, the tables on a small world."""

from __future__ import annotations

import json
import lzma
import math
from pathlib import Path

import pytest

from eval.errors import SetMissing
from eval.retrieval import collections as sets
from eval.retrieval.__main__ import main
from eval.retrieval.collections import Question
from eval.retrieval.measure import by_search, by_words, found, indexed
from index.settings import SearchSettings
from rag.testing import HashEncoder


def test_recall_and_ndcg_of_rankings_by_hand() -> None:
    ranked = [["a", "b"], ["b", "a"], ["x"] * 6 + ["a"], ["x", "y"]]
    result = found(ranked, [frozenset({"a"})] * 4)
    # Ranks 1, 2, 7 and none: gains 1, 1 / log2(3), 1 / log2(8), 0.
    assert (result.recall_1, result.recall_5, result.recall_10, result.n) == (0.25, 0.5, 0.75, 4)
    assert result.ndcg_10 == pytest.approx((1 + 1 / math.log2(3) + 1 / 3) / 4)


def squad_file(path: Path, rows: list[tuple[str, list[str]]]) -> None:
    paragraphs = [{"context": text, "qas": [{"question": q, "answers": []} for q in asked]} for text, asked in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), "utf-8")


def test_a_squad_file_becomes_one_document_a_context(tmp_path: Path) -> None:
    squad_file(tmp_path / "x.json", [("題 [SEP] 一。", ["甲？", "乙？"]), ("二。", []), ("一。", ["丙？"])])
    collection = sets.squad(tmp_path / "x.json", "zh", "p/")
    assert collection.documents == {"p/0": ("zh", "一。"), "p/1": ("zh", "二。")}
    assert collection.questions == [Question(q, "zh", frozenset({"p/0"})) for q in ("甲？", "乙？", "丙？")]
    with pytest.raises(SetMissing, match="there is no"):
        sets.squad(tmp_path / "y.json", "zh")


def test_nomiracl_keeps_languages_that_have_both_kinds(tmp_path: Path) -> None:
    for kind, names in (("relevant", ["ko", "de"]), ("non_relevant", ["ko", "yo"])):
        (tmp_path / kind).mkdir()
        for name in names:
            row = json.dumps({"query": f"{kind}?", "passages": ["가", "나"]})
            (tmp_path / kind / f"{name}.jsonl.xz").write_bytes(lzma.compress(row.encode()))
    rows = sets.nomiracl(tmp_path)
    assert list(rows) == ["ko"]
    assert [(row.text, row.answerable, row.passages) for row in rows["ko"]] == [
        ("relevant?", True, ("가", "나")),
        ("non_relevant?", False, ("가", "나")),
    ]


def test_each_document_is_ranked_once() -> None:
    encoder = HashEncoder()
    documents = {"a": ("en", "Bread rises. " * 400 + "The oven is hot."), "b": ("en", "The river is cold and wide.")}
    asked = [Question("Where does bread rise in the oven?", "en", frozenset({"a"}))]
    with indexed(documents, encoder) as snapshot:
        assert sum(snapshot.languages().values()) > 2
        for ranked in (by_search(snapshot, encoder, asked, SearchSettings()), by_words(snapshot, asked)):
            assert ranked[0][0] == "a"
            assert len(ranked[0]) == len(set(ranked[0]))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """All the sets of the benchmark, with a few texts each."""
    for language, word in (("en", "river"), ("ko", "강")):
        rows = [(f"{word} {i} {word * 2} {chr(97 + i) * 5}.", [f"{word} {chr(97 + i) * 5}?"]) for i in range(6)]
        squad_file(tmp_path / "xquad" / f"xquad.{language}.json", rows)
    for _, file, _ in sets.OWN_LANGUAGE:
        squad_file(tmp_path / file, [(f"文 {chr(97 + i) * 5}。", [f"{chr(97 + i) * 5}？"]) for i in range(6)])
    (tmp_path / "belebele-ko").mkdir()
    (tmp_path / "belebele-ko" / "kor_Hang.jsonl").write_text(json.dumps({"flores_passage": "산 이야기."}), "utf-8")
    for kind in ("relevant", "non_relevant"):
        (tmp_path / "nomiracl" / kind).mkdir(parents=True)
        row = json.dumps({"query": "강은 어디?" if kind == "relevant" else "zzz?", "passages": ["강은 여기.", "산."]})
        (tmp_path / "nomiracl" / kind / "ko.jsonl.xz").write_bytes(lzma.compress(row.encode()))
    return tmp_path


def test_every_table_is_printed_and_written(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "figures.json"
    assert main(["--data", str(small), "--every", "1", "--json", str(target)]) == 0
    shown = capsys.readouterr().out
    for title in ("Own language", "Across languages, 2 pairs", "All languages in one index", "added to an", "Refusal"):
        assert title in shown
    figures = json.loads(target.read_text("utf-8"))
    # Each question holds a word that one document alone holds.
    assert figures["own"]["DRCD"]["words"]["recall_1"] == 1.0
    assert figures["own"]["XQuAD ko"]["both"]["recall_1"] == 1.0
    assert set(figures["cross"]) == {"en->ko", "ko->en"}
    assert set(figures["mixed"]["en->ko"]) == {"fair", "unfair"}
    assert list(figures["added"]) == ["English alone", "and ko", "and zh", "and ja"]
    assert figures["refusal"]["ko"]["n"] == 2


def test_a_missing_set_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path), "--parts", "cross"]) == 1
    assert "no xquad.*.json" in capsys.readouterr().err
