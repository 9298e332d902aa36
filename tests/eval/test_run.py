from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eval.gold import Evidence, GoldItem, read_gold
from eval.report import as_table
from eval.run import evaluate
from index.backends.embedded import EmbeddedBackend
from index.build import ingest
from index.encoders.base import Encoder
from rag.answer import AnswerSentence
from rag.answerers.base import Draft, Task, close_sentence, finish, say
from rag.chain import Chain, ChainSettings
from rag.events import Event
from rag.testing import HashEncoder
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
            yield say(draft, "No.")
            yield from finish(task, draft, abstained=True, answer_language="en")
            return
        said, quote = line
        passage = next(item.passage for item in task.found.passages if quote in item.passage.text)
        start = passage.start + passage.text.index(quote)
        number = draft.cite(passage, start, start + len(quote))
        yield say(draft, f"{said} [{number}]")
        yield close_sentence(draft, AnswerSentence(said, Verdict.SUPPORTED, (number,)))
        yield from finish(task, draft, abstained=False, answer_language=task.language)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("eval")
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text, "utf-8")
    ingest(folder / "index", [str(folder / name) for name in DOCUMENTS], HashEncoder(dim=2048), n_workers=1)
    return Chain(EmbeddedBackend(folder / "index"), HashEncoder(dim=2048), Scripted(), ALWAYS)


def item(id: str, question: str, lang: str, answers: tuple[str, ...] = (), *evidence: tuple[str, str]) -> GoldItem:
    return GoldItem(id, question, lang, bool(evidence), answers, tuple(Evidence(*pair) for pair in evidence))


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


def test_the_ranks_that_the_sums_below_rest_on(chain: Chain) -> None:
    assert ranking(chain, CRANES)[0] == "harbour.txt"
    assert ranking(chain, BELL)[:2] == ["harbour.txt", "tower.txt"]


def test_every_number_of_a_run_is_the_one_by_hand(chain: Chain) -> None:
    result = evaluate(chain, GOLD)
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
    assert result["by_language"] == {
        # cranes, bell, cup, long; three of them answerable: 1/3, 2/3, 2/3, 1.5/3, 1.63093/3
        "en": {
            "n": 4,
            "n_answerable": 3,
            "recall@1": 0.3333,
            "recall@5": 0.6667,
            "recall@10": 0.6667,
            "mrr@10": 0.5,
            "ndcg@10": 0.5436,
        },
        "ko": {"n": 2, "n_answerable": 1, **dict.fromkeys(means, 0.0)},
    }
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
    assert result["citation"] == {"precision": 0.25, "recall": 0.25}
    # Unanswerable: cup, abstained on, and arrived, answered.
    assert result["abstention"] == {"precision": 1.0, "recall": 0.5, "f1": 0.6667}
    assert result["failures"] == [
        {"id": "station", "why": "evidence not found in nowhere.txt: 강가에 있다"},
        {
            "id": "long",
            "why": "ValueError: the question has 2001 characters; expected: at most 2000; to mend: shorten it",
        },
    ]
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p95"]


def test_the_keys_are_those_of_the_fixed_shape(chain: Chain) -> None:
    result = evaluate(chain, GOLD)
    assert {
        "n", "recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10", "answer", "citation", "abstention",
        "by_language", "by_language_pair", "latency_ms", "failed",
    } <= set(result)  # fmt: skip
    assert set(result["answer"]) == {"f1", "em", "contains"}
    assert set(result["citation"]) == {"precision", "recall"}
    assert set(result["abstention"]) == {"precision", "recall", "f1"}
    assert set(result["latency_ms"]) == {"p50", "p95"}
    assert json.loads(json.dumps(result)) == result


def test_a_run_of_retrieval_only_asks_no_answerer_and_measures_no_answers(chain: Chain) -> None:
    class Refuses:
        def answer(self, task: Task) -> Iterator[Event]:
            raise AssertionError("not to be asked")

    bare = Chain(chain.backend, chain.encoder, Refuses(), ALWAYS)
    result = evaluate(bare, GOLD, retrieval_only=True)
    assert not {"answer", "citation", "abstention"} & set(result)
    whole = evaluate(chain, GOLD)
    for name in ("n", "recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10", "by_language", "failed", "failures"):
        assert result[name] == whole[name], name


def test_an_answerer_that_breaks_is_a_failed_row_and_not_the_end_of_the_run(chain: Chain) -> None:
    class Breaks:
        def answer(self, task: Task) -> Iterator[Event]:
            raise RuntimeError("out of memory")

    result = evaluate(Chain(chain.backend, chain.encoder, Breaks(), ALWAYS), GOLD[:2])
    assert result["failed"] == 2
    assert result["failures"][0] == {"id": "cranes", "why": "RuntimeError: out of memory"}
    assert (result["recall@10"], result["answer"]["f1"], result["latency_ms"]) == (0.0, 0.0, {"p50": 0.0, "p95": 0.0})


def test_evidence_in_two_documents_is_measured_span_by_span(chain: Chain) -> None:
    both = item("both", BELL, "en", ("x",), ("harbour.txt", "seven cranes"), ("tower.txt", "golden bell"))
    result = evaluate(chain, [both])
    # One of two spans in the first passage, both in the first two, in the best possible order.
    assert (result["recall@1"], result["recall@5"], result["mrr@10"], result["ndcg@10"]) == (0.5, 1.0, 1.0, 1.0)
    # "The harbour" of harbour.txt is cited, which overlaps neither span.
    assert result["citation"] == {"precision": 0.0, "recall": 0.0}


def test_a_document_is_named_by_the_end_of_its_path(chain: Chain) -> None:
    source = next(document.source for document in chain.backend.documents())
    names = [source, source.removeprefix("/"), "/".join(source.split("/")[-2:]), "harbour.txt"]
    for doc in names:
        result = evaluate(chain, [item("x", CRANES, "en", ("x",), (doc, "cranes"))])
        assert (result["failed"], result["recall@1"]) == (0, 1.0), doc
    # Not by any end: a whole name must match.
    result = evaluate(chain, [item("x", CRANES, "en", ("x",), ("arbour.txt", "cranes"))])
    assert (result["failed"], result["recall@10"]) == (1, 0.0)


def test_progress_is_told_after_every_question(chain: Chain) -> None:
    n_told = 0

    def tell() -> None:
        nonlocal n_told
        n_told += 1

    evaluate(chain, GOLD, on_item=tell)
    assert n_told == 6


def test_the_table_shows_the_numbers_of_the_run(chain: Chain) -> None:
    lines = as_table(evaluate(chain, GOLD)).split("\n")

    def cells(start: str) -> list[str]:
        return next(line for line in lines if line.startswith(start)).split()

    assert lines[0].split() == ["n", "recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10"]
    assert cells("all") == ["all", "4", "0.250", "0.500", "0.500", "0.375", "0.408"]
    assert cells("ko->?") == ["ko->?", "1", "0.000", "0.000", "0.000", "0.000", "0.000"]
    assert cells("abstention") == ["abstention", "precision", "1.000", "recall", "0.500", "f1", "0.667"]
    assert cells("failed") == ["failed", "2", "of", "6"]
    assert "  station: evidence not found in nowhere.txt: 강가에 있다" in lines


def test_the_sample_questions_can_all_be_measured_on_the_sample_articles(
    sample_backend: EmbeddedBackend, encoder: Encoder
) -> None:
    items = read_gold(ROOT / "ui/samples/questions.jsonl")
    result: dict[str, Any] = evaluate(Chain(sample_backend, encoder), items)
    assert result["failures"] == []
    assert result["n"] == len(items)
    assert result["recall@10"] > 0.5
    assert set(result["by_language"]) == {item.lang for item in items}
