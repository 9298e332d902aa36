"""The result of one question of a run, and its JSON form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from eval.gold import GoldItem, as_values
from eval.measures.citation import SpanIn

# Measures by name; what stands before the dot is the object that holds them in `eval --json`.
ANSWER = ("answer.f1", "answer.em", "answer.contains")
CITATION = ("citation.precision", "citation.recall", "citation.f1")


class Outcome(StrEnum):
    """Where a question went right or wrong: the first of these that holds."""

    FAILED = "failed"  # an error, or evidence that is not in the index
    NOT_RETRIEVED = "not retrieved"  # no passage among those retrieved holds evidence
    REFUSED = "refused"  # one does, but the answer is that there is none
    NOT_USED = "not used"  # answered, but no citation holds evidence
    WRONG = "used, but wrong"  # cites evidence, but does not hold the expected answer
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
    document_language: str = ""  # of the first evidence
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
    return {one.name: getattr(row, one.name) for one in fields(row)} | {"item": as_values(row.item)}


_ROW = TypeAdapter(Row)


def read_row(line: bytes) -> Row:
    """The row that `row_json` wrote.

    Raises:
        ValueError: It was cut off, or written by another version.
    """
    return _ROW.validate_python(json.loads(line))
