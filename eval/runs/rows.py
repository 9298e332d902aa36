"""What one question of a run came to, and its JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from eval.gold import GoldItem, as_item, as_values
from eval.measures.citation import SpanIn

# Measures by name; those of answers and citations are told apart by what stands before the dot.
RANKING = ("recall@1", "recall@5", "recall@10", "precision@5", "mrr@10", "map@10", "ndcg@10")
ANSWER = ("answer.f1", "answer.em", "answer.contains", "answer.char3")
CITATION = ("citation.precision", "citation.recall", "citation.f1")


class Outcome(StrEnum):
    """Where a question went right or wrong: the first of these that holds."""

    FAILED = "failed"  # an error, or evidence that is not in the index
    NOT_RETRIEVED = "not retrieved"  # no passage among those retrieved holds evidence
    REFUSED = "refused"  # one does, but the answer is that there is none
    NOT_USED = "not used"  # answered, but no citation holds evidence
    WRONG = "used, but wrong"  # cites evidence, but holds no expected answer
    RIGHT = "right"
    RETRIEVED = "retrieved"  # of a run that only retrieves: a passage holds evidence
    ANSWERED = "answered without an answer"  # of a question that has none
    ABSTAINED = "rightly refused"
    UNJUDGED = "not judged"  # has neither evidence nor expected answers to judge by, in this kind of run


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question of a run.

    `passages` are those retrieved, best first, in the shape of `search --json`, each with the numbers of the
    evidence spans that it `holds` and its `relevance`. `places` are where each evidence span stands.
    `answer` is that of `ask --json` without what was retrieved; empty where only passages were asked for.
    `values` are the measures that apply, by name; `problem` says why the question counts as failed.
    """

    item: GoldItem
    outcome: Outcome
    document: str = ""  # source of the first evidence
    document_language: str = ""
    places: tuple[tuple[SpanIn, ...], ...] = ()
    passages: tuple[Mapping[str, Any], ...] = ()
    answer: Mapping[str, Any] = field(default_factory=dict)
    relevance: float = 0.0
    values: Mapping[str, float] = field(default_factory=dict)
    timings_ms: Mapping[str, float] = field(default_factory=dict)  # first_event, first_text, retrieval, total
    problem: str = ""

    @property
    def pair(self) -> str:
        """The question's language and its document's, as in `ko->zh-Hant`."""
        return f"{self.item.lang}->{self.document_language or '?'}"

    @property
    def abstained(self) -> bool:
        return bool(self.answer.get("abstained"))


def row_json(row: Row) -> dict[str, Any]:
    """The row as one JSON object."""
    return {
        "item": as_values(row.item),
        "outcome": str(row.outcome),
        "document": row.document,
        "document_language": row.document_language,
        "places": row.places,
        "passages": row.passages,
        "answer": row.answer,
        "relevance": row.relevance,
        "values": row.values,
        "timings_ms": row.timings_ms,
        "problem": row.problem,
    }


def read_row(values: Mapping[str, Any], where: str) -> Row:
    """The row that `row_json` wrote; `where` begins the message of an error.

    Raises:
        GoldError: Its question is none.
        KeyError, ValueError: It was written by another version.
    """
    return Row(
        item=as_item(values["item"], where),
        outcome=Outcome(values["outcome"]),
        document=values["document"],
        document_language=values["document_language"],
        places=tuple(tuple((doc, start, end) for doc, start, end in places) for places in values["places"]),
        passages=tuple(values["passages"]),
        answer=values["answer"],
        relevance=values["relevance"],
        values=values["values"],
        timings_ms=values["timings_ms"],
        problem=values["problem"],
    )
