"""Benchmarks: what the converters make of small sets by hand, the suites as a whole, and one run end to end."""

from __future__ import annotations

import gzip
import json
import lzma
import random
from pathlib import Path
from typing import Any

import pytest

from eval.benchmarks import __main__ as command
from eval.benchmarks import quality, speed
from eval.benchmarks.claims import name_swapped, negated, number_changed, run_changed_sentences, run_memerag
from eval.benchmarks.sets import Part, parts
from eval.benchmarks.suites import Suite, choose, read_suites, read_thresholds
from eval.benchmarks.table import as_table, missed
from eval.errors import SetMissing
from eval.gold import Evidence, GoldItem
from eval.runs.rows import Outcome, Row
from index.encoders.base import Encoder
from index.store import open_backend

SHARED = Path(__file__).parents[3] / "shared"


def suite(folder: Path, kind: str, **values: Any) -> Suite:
    return Suite("small", "quality", kind, {"kind": kind, "data": ".", **values}, folder)


def write_squad(path: Path, *paragraphs: tuple[str, dict[str, tuple[str, str]]]) -> None:
    """A file in the shape of SQuAD; of each paragraph its text, and (question, answer) by id."""
    made = [
        {
            "context": context,
            "qas": [
                {"id": name, "question": question, "answers": [{"text": text, "answer_start": context.index(text)}]}
                for name, (question, text) in asked.items()
            ],
        }
        for context, asked in paragraphs
    ]
    path.write_text(json.dumps({"data": [{"title": "T", "paragraphs": made}]}), "utf-8")


def write_xquad(folder: Path) -> None:
    en = {"q1": ("Who built it?", "Ann"), "q2": ("When?", "1901")}
    de = {"q1": ("Wer baute es?", "Anna"), "q2": ("Wann?", "1901")}
    zh = {"q1": ("誰建的?", "安"), "q2": ("何時?", "1901")}
    write_squad(folder / "xquad.en.json", ("Ann built it in 1901.", en))
    write_squad(folder / "xquad.de.json", ("Anna baute es 1901.", de))
    write_squad(folder / "xquad.zh.json", ("安在1901年建了它。", zh))


def asked(part: Part) -> list[tuple[str, str, tuple[Evidence, ...]]]:
    return [(item.lang, item.question, item.evidence) for item in part.items]


def test_squad_gives_every_nth_question_and_passages_of_other_sets_beside(tmp_path: Path) -> None:
    questions = {f"q{i}": (f"Question {i}?", "light") for i in range(5)}
    write_squad(tmp_path / "own.json", ("It gives light.", questions))
    write_squad(tmp_path / "more.json", ("빛을 준다.", {"k": ("무엇을?", "빛")}))
    also = [["more.json", "ko"]]
    (part,) = parts(suite(tmp_path, "squad", data="own.json", lang="en", every=2, also=also))
    assert asked(part) == [("en", f"Question {i}?", (Evidence("own.jsonl#p00001", "light"),)) for i in (0, 2, 4)]
    texts = {name: [(one.text, one.lang) for one in own] for name, own in part.documents.items()}
    assert texts == {"own.jsonl": [("It gives light.", "en")], "also-more.jsonl": [("빛을 준다.", "ko")]}


def test_xquad_asks_each_index_in_its_own_language_or_in_all_others(tmp_path: Path) -> None:
    write_xquad(tmp_path)
    own = list(parts(suite(tmp_path, "xquad", asked="own")))
    assert [(part.items[0].lang, list(part.documents)) for part in own] == [
        ("de", ["xquad.de.jsonl"]), ("en", ["xquad.en.jsonl"]), ("zh-Hans", ["xquad.zh.jsonl"]),
    ]  # fmt: skip
    assert asked(own[0])[0] == ("de", "Wer baute es?", (Evidence("xquad.de.jsonl#p00001", "Anna"),))
    german, english, _ = parts(suite(tmp_path, "xquad", asked="others"))
    assert asked(german)[0] == ("en", "Who built it?", (Evidence("xquad.de.jsonl#p00001", "Anna"),))
    assert [item.lang for item in english.items] == ["de", "de", "zh-Hans", "zh-Hans"]
    assert german.items[0].answers == ("Anna",)
    assert len({item.id for part in (german, english) for item in part.items}) == 8


def test_xquad_mixed_wants_the_passages_of_the_other_languages(tmp_path: Path) -> None:
    write_xquad(tmp_path)
    (part,) = parts(suite(tmp_path, "xquad-mixed", every=2))
    assert len(part.documents) == 3
    first = part.items[0]
    assert (first.lang, first.question) == ("de", "Wer baute es?")
    assert [one.doc for one in first.evidence] == ["xquad.en.jsonl#p00001", "xquad.zh.jsonl#p00001"]


def test_belebele_wants_whole_passages_once_each(tmp_path: Path) -> None:
    rows = [
        {"link": link, "question_number": number, "flores_passage": text, "question": f"{link}{number}?"}
        for link, number, text in (("a", 1, "하나"), ("b", 1, "둘"), ("a", 2, "하나"))
    ]
    (tmp_path / "k.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (part,) = parts(suite(tmp_path, "belebele", data="k.jsonl", lang="ko"))
    assert [one.text for one in part.documents["belebele.jsonl"]] == ["하나", "둘"]
    assert [(item.question, item.evidence[0].doc) for item in part.items] == [
        ("a1?", "belebele.jsonl#0"), ("b1?", "belebele.jsonl#1"), ("a2?", "belebele.jsonl#0"),
    ]  # fmt: skip


def write_flores(folder: Path) -> None:
    sentences = {
        "ko": [("It has 12 cars.", "차가 12대 있다."), ("He saw Anna Miller.", "그는 안나를 봤다.")],
        "ja": [
            ("Only here.", "ここだけ。"),
            ("It has 12 cars.", "車が12台ある。"),
            ("He saw Anna Miller.", "彼はアンナを見た。"),
        ],
    }
    for lang, pairs in sentences.items():
        with gzip.open(folder / f"{lang}.tsv.gz", "wt", encoding="utf-8") as file:
            file.writelines(f"{english}\t{other}\n" for english, other in pairs)


def test_flores_pairs_sentences_that_both_languages_have(tmp_path: Path) -> None:
    write_flores(tmp_path)
    to_ja, to_en = parts(suite(tmp_path, "flores", pairs=[["ko", "ja"], ["ja", "en"]]))
    assert [one.text for one in to_ja.documents["flores-ja.jsonl"]] == ["車が12台ある。", "彼はアンナを見た。"]
    assert asked(to_ja)[1] == ("ko", "그는 안나를 봤다.", (Evidence("flores-ja.jsonl#1"),))
    assert [item.question for item in to_en.items] == ["ここだけ。", "車が12台ある。", "彼はアンナを見た。"]


def test_nomiracl_has_an_index_of_its_passages_for_each_question(tmp_path: Path) -> None:
    for kind, languages in (("relevant", ("ko", "zh")), ("non_relevant", ("ko",))):
        (tmp_path / kind).mkdir()
        for lang in languages:
            rows = [{"query_id": str(i), "query": f"{kind} {i}?", "passages": [f"{i}", "x", "x"]} for i in range(3)]
            text = "\n".join(map(json.dumps, rows))
            (tmp_path / kind / f"{lang}.jsonl.xz").write_bytes(lzma.compress(text.encode()))
    found = list(parts(suite(tmp_path, "nomiracl", every=2)))
    assert [(part.items[0].question, part.items[0].answerable) for part in found] == [
        ("relevant 0?", True), ("non_relevant 0?", False), ("relevant 2?", True), ("non_relevant 2?", False),
    ]  # fmt: skip
    assert [one.text for one in found[2].documents["nomiracl.jsonl"]] == ["2", "x"]


def test_a_set_that_is_not_there_says_how_to_name_its_folder(tmp_path: Path) -> None:
    with pytest.raises(SetMissing, match="--shared"):
        next(parts(suite(tmp_path, "squad", data="none.json", lang="en")))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data of ../shared is not here")
@pytest.mark.parametrize("name", list(read_suites(SHARED)))
def test_every_suite_of_the_file_finds_its_data(name: str) -> None:
    one = read_suites(SHARED)[name]
    assert one.kind in command.RUNS
    names = [one.values.get("data"), one.values.get("articles"), *(path for path, _ in one.values.get("also", ()))]
    assert all(one.path(path).exists() for path in names if path)


def test_suites_are_chosen_by_name_or_group_and_thresholds_name_suites() -> None:
    suites = read_suites(SHARED)
    assert [one.name for one in choose(suites, ["samples", "speed"])][:3] == ["samples", "start", "ingest"]
    assert choose(suites, []) == list(suites.values())
    with pytest.raises(ValueError, match="no suite is called nonsense"):
        choose(suites, ["nonsense"])
    assert set(read_thresholds()) <= set(suites)


def test_sentences_are_made_wrong_in_one_way() -> None:
    generator = random.Random(0)
    changed = number_changed("It has 12 cars.", generator)
    assert changed != "It has 12 cars." and changed.replace("1", "#").endswith(" cars.") and len(changed) == 15
    assert number_changed("It has cars.", generator) == ""
    assert name_swapped("He saw Anna there.", ["Anna", "Bertha"], generator) == "He saw Bertha there."
    assert name_swapped("They saw it.", ["Bertha"], generator) == ""
    assert negated("It is red.") == "It is not red." and negated("It is not red.") == "It is red."
    assert negated("Red cars.") == ""


def test_changed_sentences_are_caught_and_right_ones_accepted(tmp_path: Path, encoder: Encoder) -> None:
    write_flores(tmp_path)
    found = run_changed_sentences(suite(tmp_path, "changed-sentences", languages=["ko"]), encoder, tmp_path)
    # English with itself, English with Korean, Korean with English: two sentences each.
    assert found["number caught"] == 1.0 and found["right accepted"] >= 5 / 6 and found["n"] >= 6 + 3 + 6


def test_memerag_by_hand(tmp_path: Path, encoder: Encoder) -> None:
    context = [{"text": "The bridge was opened in 1932."}, {"text": "Bread is made of flour and water."}]
    answer = [
        {"sentence": "The bridge opened in 1932.", "factuality": "Supported"},
        {"sentence": "The tower was sold in 1877 for 5 dollars.", "factuality": "Not Supported"},
        {"sentence": "Skipped.", "factuality": "Challenging to determine"},
    ]
    with gzip.open(tmp_path / "en.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"context": context, "answer": answer}) + "\n")
    found = run_memerag(suite(tmp_path, "memerag"), encoder, tmp_path)
    assert found == {"n": 2, "precision": 1.0, "recall": 1.0, "roc_auc": 1.0}


def row(lang: str, *, answerable: bool, abstained: bool, relevance: float, recall: float | None = None) -> Row:
    return Row(
        item=GoldItem("x", "?", lang, answerable, (), ()),
        outcome=Outcome.UNJUDGED,
        document_language="ko" if answerable else "",
        answer={"abstained": abstained},
        relevance=relevance,
        values={} if recall is None else {"recall@5": recall},
        timings_ms={"total": 10.0 * relevance},
    )


def test_measures_by_hand() -> None:
    rows = [
        *(row("ko", answerable=True, abstained=False, relevance=0.9, recall=1.0) for _ in range(10)),
        *(row("de", answerable=True, abstained=i < 5, relevance=0.5, recall=float(i >= 5)) for i in range(10)),
        row("de", answerable=False, abstained=True, relevance=0.1),
        row("de", answerable=False, abstained=False, relevance=0.7),
    ]
    assert quality.measures_of(rows) == pytest.approx(
        {
            "n": 22, "failed": 0, "recall@5": 0.75, "recall@5, own language": 1.0, "recall@5, other language": 0.5,
            "recall@5, worst language": 0.5, "abstention.precision": 1 / 6, "abstention.recall": 0.5,
            "abstention.f1": 0.25, "wrongly answered": 0.5, "wrongly refused": 0.25, "abstention.roc_auc": 0.75,
            "p50_ms": 6.0,
        }
    )  # fmt: skip


def test_a_table_shows_before_and_after_and_thresholds_are_held() -> None:
    after, before = {"a": {"recall@5": 0.5, "n": 20}}, {"a": {"recall@5": 0.75}, "b": {"n": 1_234}}
    cells = [list(column.cells) for column in as_table(after, before).columns]
    assert cells == [
        ["a", "", "b"], ["recall@5", "n", "n"], ["0.750", "", "1,234"], ["0.500", "20", ""], ["-0.250", "", ""]
    ]  # fmt: skip
    assert missed(after, {"a": {"recall@5": 0.5}, "b": {"n": 1}}) == []
    assert missed(after, {"a": {"recall@5": 0.6, "ndcg@10": 0.1}}) == [
        "a.recall@5 is 0.500; expected: at least 0.6", "a.ndcg@10 is missing; expected: at least 0.1"
    ]  # fmt: skip


def test_the_command_runs_suites_keeps_them_and_holds_thresholds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "seeds").mkdir()
    (tmp_path / "gold").mkdir()
    (tmp_path / "seeds" / "light.txt").write_text("The lighthouse of Port Ellery was built in 1901.", "utf-8")
    item = {
        "id": "1", "question": "When was the lighthouse of Port Ellery built?", "lang": "en", "answerable": True,
        "answers": ["1901"], "evidence": [{"doc": "light.txt", "text": "built in 1901"}],
    }  # fmt: skip
    (tmp_path / "gold" / "seeds-dev.jsonl").write_text(json.dumps(item), "utf-8")
    out = tmp_path / "out.json"
    given = ["seeds-dev", "drcd", "--shared", str(tmp_path), "--out", str(out)]
    monkeypatch.setattr(command, "read_thresholds", lambda: {"seeds-dev": {"recall@1": 1.0}})
    assert command.main(given) == 0
    kept = json.loads(out.read_text("utf-8"))
    assert {name: kept["suites"]["seeds-dev"][name] for name in ("n", "recall@1", "answer.contains")} == {
        "n": 1, "recall@1": 1.0, "answer.contains": 1.0
    }  # fmt: skip
    assert set(kept["made"]["seeds-dev"]) == {"commit", "machine", "on"} and "drcd" not in kept["suites"]
    monkeypatch.setattr(command, "read_thresholds", lambda: {"seeds-dev": {"recall@1": 1.1}})
    assert command.main([*given, "--against", str(out)]) == 1
    said = capsys.readouterr()
    assert "skipped: drcd" in said.err and "missed: seeds-dev.recall@1 is 1.000" in said.err
    assert "+0.000" in said.out
    assert command.main(["nonsense"]) == 2


def n_stored(index: Path) -> int:
    backend = open_backend(index)
    try:
        return backend.stats().n_passages
    finally:
        backend.close()


@pytest.mark.slow
def test_speed_suites_on_the_samples(tmp_path: Path, encoder: Encoder) -> None:
    small = {"passages": 60, "questions": 12, "answers": 4, "users": [2]}
    one = Suite("small", "speed", "ingest", small, tmp_path)
    for name in ("ingest", "search", "load"):
        (tmp_path / name).mkdir()
    found = speed.run_ingest(one, encoder, tmp_path / "ingest")
    assert found["n"] == n_stored(tmp_path / "ingest" / "index") >= 59
    text = found["characters a passage"] * found["n"]
    assert speed.disk_bytes(tmp_path / "ingest" / "index") / found["disk bytes per text byte"] >= text
    sizes = Suite("small", "speed", "search", {**small, "passages": [30, 60]}, tmp_path)
    found = speed.run_search(sizes, encoder, tmp_path / "search")
    assert found["60: passages"] == n_stored(tmp_path / "search" / "index") > found["30: passages"]
    assert 0 < found["60: p50 ms"] <= found["60: p95 ms"]
    found = speed.run_load(one, encoder, tmp_path / "load")
    assert found["2 users: not answered"] == 0 and found["2 users: answers/s"] > 0
