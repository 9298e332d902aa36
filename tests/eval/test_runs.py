from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.gold import Corpus, Evidence, GoldItem, Need, read_gold
from eval.runs.ask import ask_all, ask_each
from eval.runs.rows import Outcome, Row, read_row, row_json
from eval.runs.summary import flat, summarise
from index.encoders.base import Encoder
from index.ingest import ingest
from index.store.sqlite import EmbeddedBackend
from rag.answer import Abstention, AnswerSentence
from rag.answerers.base import Draft, Task, finish
from rag.chain import Chain, ChainSettings
from rag.events import Event
from rag.testing import HashEncoder, WordReader
from rag.verify import Verdict

ROOT = Path(__file__).parent.parent.parent
ALWAYS = ChainSettings(min_relevance=0.0)
DOCUMENTS = {
    "harbour.txt": "The harbour has seven cranes.",
    "tower.txt": "The tower has one golden bell.",
    "역.txt": "기차역은 강가에 있다.",
}
CRANES = "How many cranes has the harbour?"
BELL = "What has the harbour of seven cranes and of the tower?"
STATION = "기차역은 어디에 있나요?"
CUP = "Who won the cup?"
ARRIVED = "누가 왔나요?"
TOO_LONG = "x" * 2001

# By question: what is said, the quotation cited, or None for an abstention.
SCRIPT: dict[str, tuple[str, str] | None] = {
    CRANES: ("It has seven cranes", "seven cranes"),
    BELL: ("harbour", "The harbour"),
    STATION: ("강가에", "강가에"),
    CUP: None,
    ARRIVED: ("아무도", "기차역"),
}


class Scripted:
    """An answerer that says what the table says, citing the passage that holds the quotation."""

    def answer(self, task: Task) -> Iterator[Event]:
        draft, line = Draft(), SCRIPT[task.question]
        if line is None:
            yield draft.say("No.")
            yield from finish(task, draft, answer_language="en", reason=Abstention.NOT_FOUND)
            return
        said, quote = line
        passage = next(item.passage for item in task.found.passages if quote in item.passage.text)
        start = passage.start + passage.text.index(quote)
        number = draft.cite(passage, start, start + len(quote))
        yield draft.say(f"{said} [{number}]")
        yield draft.close(AnswerSentence(said, Verdict.SUPPORTED, (number,)))
        yield from finish(task, draft, answer_language=task.language)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("eval")
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text, "utf-8")
    ingest(folder / "index", [str(folder / name) for name in DOCUMENTS], HashEncoder(dim=2048), n_workers=1)
    return Chain(EmbeddedBackend(folder / "index"), HashEncoder(dim=2048), Scripted(), ALWAYS, reader=WordReader())


def item(id: str, question: str, lang: str, answers: tuple[str, ...] = (), *evidence: tuple[str, str]) -> GoldItem:
    return GoldItem(id, question, lang, bool(evidence), answers, tuple(Evidence(*pair) for pair in evidence))


def measured(chain: Chain, items: list[GoldItem], *, retrieval_only: bool = False) -> dict[str, Any]:
    return summarise(ask_all(chain, items, retrieval_only=retrieval_only))


GOLD = [
    item("cranes", CRANES, "en", ("seven cranes", "7"), ("harbour.txt", "seven\ncranes")),
    item("bell", BELL, "en", ("golden bell",), ("tower.txt", "golden bell")),
    item("station", STATION, "ko", ("강가",), ("nowhere.txt", "강가에 있다")),
    item("cup", CUP, "en"),
    item("arrived", ARRIVED, "ko"),
    item("long", TOO_LONG, "en", ("seven",), ("harbour.txt", "seven")),
]


def ranking(chain: Chain, question: str) -> list[str]:
    return [Path(found.passage.source).name for found in chain.retrieve(question).passages]


def test_every_number_of_a_run_is_the_one_by_hand(chain: Chain) -> None:
    result = measured(chain, GOLD)
    assert (result["n"], result["n_answerable"], result["failed"]) == (6, 4, 2)
    # Ranks of the evidence: cranes 1, bell 2, station not found, long failed; four are answerable.
    means = {
        "recall@1": 0.25,  # (1 + 0 + 0 + 0) / 4
        "recall@5": 0.5,  # (1 + 1 + 0 + 0) / 4
        "recall@10": 0.5,
        "mrr@10": 0.375,  # (1 + 1/2 + 0 + 0) / 4
        "ndcg@10": 0.4077,  # (1 + 1/log2(3) + 0 + 0) / 4 = 1.63093 / 4
    }
    assert {name: result[name] for name in means} == means
    # cranes, bell, cup, long; three of them answerable: 1/3, 2/3, 2/3, 1.5/3, 1.63093/3
    english = {"recall@1": 0.3333, "recall@5": 0.6667, "recall@10": 0.6667, "mrr@10": 0.5, "ndcg@10": 0.5436}
    expected = {
        "en": {"n": 4, "n_answerable": 3, **english},
        "ko": {"n": 2, "n_answerable": 1, **dict.fromkeys(means, 0.0)},
    }
    assert {
        tag: {name: group[name] for name in expected[tag]} for tag, group in result["by_language"].items()
    } == expected
    assert {pair: values["n"] for pair, values in result["by_language_pair"].items()} == {"en->en": 3, "ko->?": 1}
    assert result["by_language_pair"]["en->en"]["mrr@10"] == 0.5
    assert result["answer"] == {
        # it has seven cranes | seven cranes: 2 * 1/2 * 1 / (3/2) = 2/3; 강 가 에 | 강 가: 2 * 2/3 * 1 / (5/3) = 0.8;
        # the others 0; (2/3 + 0.8) / 4
        "f1": 0.3667,
        "em": 0.0,
        "contains": 0.5,
    }
    # cranes cites its evidence; bell another document; station's evidence is nowhere; long failed.
    assert result["citation"] == {"precision": 0.25, "recall": 0.25, "f1": 0.25}
    # Unanswerable: cup, abstained on, and arrived, answered.
    found = {name: result["abstention"][name] for name in ("precision", "recall", "f1", "right")}
    assert found == {"precision": 1.0, "recall": 0.5, "f1": 0.6667, "right": 0.8}  # of five that did not fail
    assert result["failures"] == [
        {"id": "station", "why": "no document of the index is called nowhere.txt; fix: index it, or correct the name"},
        {"id": "long", "why": "ValueError: the question has 2001 characters; expected: at most 2000; fix: shorten it"},
    ]
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p95"]
    assert json.loads(json.dumps(result)) == result


def test_a_run_of_retrieval_only_asks_no_answerer_and_measures_no_answers(chain: Chain) -> None:
    class Refuses:
        def answer(self, task: Task) -> Iterator[Event]:
            raise AssertionError("not to be asked")

    bare = Chain(chain.backend, chain.encoder, Refuses(), ALWAYS, reader=WordReader())
    result = measured(bare, GOLD, retrieval_only=True)
    assert not {"answer", "citation", "abstention"} & set(result)
    whole = measured(chain, GOLD)
    for name in ("n", "recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10", "failed", "failures"):
        assert result[name] == whole[name], name


def test_an_answerer_that_breaks_is_a_failed_row_and_not_the_end_of_the_run(chain: Chain) -> None:
    class Breaks:
        def answer(self, task: Task) -> Iterator[Event]:
            raise RuntimeError("out of memory")

    result = measured(Chain(chain.backend, chain.encoder, Breaks(), ALWAYS, reader=WordReader()), GOLD[:2])
    assert result["failed"] == 2
    assert result["failures"][0] == {"id": "cranes", "why": "RuntimeError: out of memory"}
    assert (result["recall@10"], result["answer"]["f1"], result["latency_ms"]["p95"]) == (0.0, 0.0, 0.0)


def test_evidence_in_two_documents_is_measured_span_by_span(chain: Chain) -> None:
    both = item("both", BELL, "en", ("x",), ("harbour.txt", "seven cranes"), ("tower.txt", "golden bell"))
    (row,) = ask_all(chain, [both])
    result = summarise([row])
    # One of two spans in the first passage, both in the first two, in the best possible order.
    assert (result["recall@1"], result["recall@5"], result["mrr@10"], result["ndcg@10"]) == (0.5, 1.0, 1.0, 1.0)
    # "The harbour" of harbour.txt is cited, which overlaps neither span.
    assert result["citation"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert [passage["holds"] for passage in row.passages] == [[0], [1]] + [[]] * (len(row.passages) - 2)
    (first,), (second,) = row.places
    assert DOCUMENTS["harbour.txt"][first[1] : first[2]] == "seven cranes"
    assert DOCUMENTS["tower.txt"][second[1] : second[2]] == "golden bell"
    assert (row.document_language, row.pair) == ("en", "en->en")


def test_a_document_is_named_by_the_end_of_its_path(chain: Chain) -> None:
    source = next(document.source for document in chain.backend.documents())
    names = [source, source.removeprefix("/"), "/".join(source.split("/")[-2:]), "harbour.txt"]
    for doc in names:
        result = measured(chain, [item("x", CRANES, "en", ("x",), (doc, "cranes"))])
        assert (result["failed"], result["recall@1"]) == (0, 1.0), doc
    # Not by any end: a whole name must match.
    result = measured(chain, [item("x", CRANES, "en", ("x",), ("arbour.txt", "cranes"))])
    assert (result["failed"], result["recall@10"]) == (1, 0.0)


def test_many_workers_give_the_rows_of_one_in_the_same_order(chain: Chain) -> None:
    one, many = ask_all(chain, GOLD), ask_each(chain, GOLD, n_workers=4)
    assert [untimed(row) for row in many] == [untimed(row) for row in one]
    assert [row.item for row in one] == GOLD


def untimed(row: Row) -> Row:
    return replace(row, timings_ms={})


# --- rows -----------------------------------------------------------------------------------------------------


def test_a_row_tells_where_its_question_went_right_or_wrong(chain: Chain) -> None:
    rows = {row.item.id: row for row in ask_all(chain, GOLD)}
    assert [row.outcome for row in rows.values()] == [
        Outcome.RIGHT,
        Outcome.NOT_USED,  # it cites another document
        Outcome.FAILED,
        Outcome.ABSTAINED,
        Outcome.ANSWERED,
        Outcome.FAILED,
    ]
    others = [
        item("wrong", CRANES, "en", ("eight cranes",), ("harbour.txt", "seven cranes")),
        item("unheld", STATION, "ko", ("강",), ("tower.txt", "golden bell")),
        item("evidence", CRANES, "en", (), ("harbour.txt", "seven cranes")),
        GoldItem("answers", CRANES, "en", True, ("seven",), ()),
        GoldItem("elsewhere", CRANES, "en", True, ("eight",), ()),
    ]
    outcomes = [row.outcome for row in ask_all(chain, others)]
    assert outcomes == [Outcome.WRONG, Outcome.NOT_USED, Outcome.RIGHT, Outcome.RIGHT, Outcome.WRONG]
    silent = Chain(chain.backend, chain.encoder, settings=ChainSettings(min_relevance=1.0), reader=WordReader())
    assert [row.outcome for row in ask_all(silent, GOLD[:1])] == [Outcome.REFUSED]
    bare = {row.item.id: row.outcome for row in ask_all(chain, GOLD, retrieval_only=True)}
    assert (bare["cranes"], bare["cup"], bare["long"]) == (Outcome.RETRIEVED, Outcome.UNJUDGED, Outcome.FAILED)


def test_a_row_is_read_back_as_it_was_written(chain: Chain) -> None:
    for row in ask_all(chain, GOLD):
        written = json.dumps(row_json(row))
        read = read_row(written.encode())
        assert json.dumps(row_json(read)) == written
        assert (read.item, read.outcome, read.places) == (row.item, row.outcome, row.places)


def test_a_whole_document_is_evidence_wherever_it_is_cut_and_grades_count(chain: Chain) -> None:
    whole = GoldItem("w", CRANES, "en", True, (), (Evidence("harbour.txt", grade=1), Evidence("tower.txt", grade=3)))
    (row,) = ask_all(chain, [whole], retrieval_only=True)
    assert [passage["holds"] for passage in row.passages][:1] == [[0]]
    assert row.values["recall@10"] == 1.0
    # harbour (1) first, tower (3) at rank r: (1 + 3 / log2(r + 1)) / (3 + 1 / log2(3))
    place = ranking(chain, CRANES).index("tower.txt") + 1
    expected = (1 + 3 / math.log2(place + 1)) / (3 + 1 / math.log2(3))
    assert row.values["ndcg@10"] == pytest.approx(expected)


def test_documents_of_a_collection_are_named_by_their_part(tmp_path: Path) -> None:
    lines = [{"id": "7", "text": DOCUMENTS["harbour.txt"]}, {"id": "17", "text": DOCUMENTS["tower.txt"]}]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    ingest(tmp_path / "index", [str(tmp_path / "corpus.jsonl")], HashEncoder(), n_workers=1)
    corpus = Corpus(EmbeddedBackend(tmp_path / "index"))
    for name in ("7", "corpus.jsonl#7", str(tmp_path / "corpus.jsonl#7")):
        (document,) = corpus.named(name)
        assert document.source.endswith("corpus.jsonl#7")
    # The file is a name of every document in it; evidence is looked for in all of them.
    assert len(corpus.named("corpus.jsonl")) == 2
    ((document, start, end),) = corpus.places(Evidence("corpus.jsonl", "golden bell"))
    assert (document.source.rpartition("#")[2], corpus.text(document)[start:end]) == ("17", "golden bell")
    assert corpus.named("jsonl") == corpus.named("orpus.jsonl") == []


# --- summary --------------------------------------------------------------------------------------------------


def test_every_mean_has_its_n_and_an_interval_around_it(chain: Chain) -> None:
    summary = summarise(ask_all(chain, GOLD))
    means = flat(summary)
    assert set(summary["n_measured"]) <= set(means)
    for measure, n in summary["n_measured"].items():
        low, high = summary["intervals"][measure]
        assert 0 <= low <= means[measure] <= high <= 1, measure
        assert n >= 1
    assert summary["n_measured"]["recall@5"] == 4  # those that failed are counted
    assert summary["n_measured"]["answer.contains"] == 4
    assert summary == summarise(ask_all(chain, GOLD)) | {
        name: summary[name] for name in summary if name.endswith("_ms")
    }


def test_the_tokens_are_summed_up(chain: Chain) -> None:
    (row,) = ask_all(chain, GOLD[:1])
    used = {"input_tokens": 1_500, "output_tokens": 100, "n_calls": 1}
    rows = [replace(row, answer={**row.answer, "usage": used})] * 2
    assert summarise(rows)["usage"] == {"input_tokens": 3_000, "output_tokens": 200, "n_calls": 2}


def test_a_list_is_right_with_every_answer_only(chain: Chain) -> None:
    some = GoldItem("some", CRANES, "en", True, ("seven", "eight"), ())
    rows = ask_all(
        chain, [some, replace(some, need=Need.ALL), replace(some, answers=("seven", "cranes"), need=Need.ALL)]
    )
    assert [row.values["answer.contains"] for row in rows] == [1.0, 0.0, 1.0]
    assert [row.outcome for row in rows] == [Outcome.RIGHT, Outcome.WRONG, Outcome.RIGHT]


def test_the_sample_questions_can_all_be_measured_on_the_sample_articles(
    sample_backend: EmbeddedBackend, encoder: Encoder
) -> None:
    items = read_gold(ROOT / "ui/samples/questions.jsonl")
    result: dict[str, Any] = measured(Chain(sample_backend, encoder, reader=WordReader()), items)
    assert result["failures"] == []
    assert result["n"] == len(items)
    assert result["recall@10"] > 0.5
    assert set(result["by_language"]) == {item.lang for item in items}
