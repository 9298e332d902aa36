"""Gold questions, anchored to documents by verbatim text, so that they survive re-chunking."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

import regex

from eval.errors import GoldError
from index.documents import Span


@dataclass(frozen=True, slots=True)
class Evidence:
    """A stretch of a document that answers the question.

    `doc` matches the end of a source path. An empty `text` stands for the whole document, as judgements of
    documents have it. `grade` is how relevant it is, 1 or more.
    """

    doc: str
    text: str = ""
    grade: int = 1


@dataclass(frozen=True, slots=True)
class GoldItem:
    """One question with its expected answers and evidence; both empty where it has no answer.

    An answerable one has evidence, or answers, or both: without evidence its passages are not measured, without
    answers its text is not. `tags` group questions in the tables.
    """

    id: str
    question: str
    lang: str
    answerable: bool
    answers: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    tags: tuple[str, ...] = ()


_SHAPE = "an object with id, question, lang, answerable, answers, evidence"


def as_item(values: Any, where: str) -> GoldItem:
    """The gold question that `values`, as read from JSON, hold; `where` begins the message of an error.

    Raises:
        GoldError: They do not.
    """
    try:
        if not all(isinstance(values.get(name, []), list) for name in ("answers", "evidence", "tags")):
            raise TypeError("answers, evidence and tags are lists")
        item = GoldItem(
            id=str(values["id"]),
            question=str(values["question"]),
            lang=str(values["lang"]),
            answerable=values["answerable"],
            answers=tuple(map(str, values.get("answers", ()))),
            evidence=tuple(
                Evidence(str(e["doc"]), str(e.get("text", "")), int(e.get("grade", 1)))
                for e in values.get("evidence", ())
            ),
            tags=tuple(map(str, values.get("tags", ()))),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GoldError(f"{where}: {type(error).__name__}: {error}; expected: {_SHAPE}") from error
    if not isinstance(item.answerable, bool):
        raise GoldError(f"{where}: answerable is {item.answerable!r}; expected: true or false")
    if not item.question.strip():
        raise GoldError(f"{where}: the question is empty")
    if item.answerable and not item.evidence and not item.answers:
        raise GoldError(f"{where}: answerable, but without evidence and answers")
    if any(evidence.grade < 1 for evidence in item.evidence):
        raise GoldError(f"{where}: a grade is less than 1; expected: 1 or more, or leave the evidence out")
    return item


def as_values(item: GoldItem) -> dict[str, Any]:
    """`item` as one JSON object of a gold file; what is left out there by default is left out."""
    values: dict[str, Any] = {
        "id": item.id,
        "question": item.question,
        "lang": item.lang,
        "answerable": item.answerable,
        "answers": list(item.answers),
        "evidence": [
            {"doc": e.doc} | ({"text": e.text} if e.text else {}) | ({"grade": e.grade} if e.grade != 1 else {})
            for e in item.evidence
        ],
    }
    return values | ({"tags": list(item.tags)} if item.tags else {})


def find_evidence(text: str, wanted: str) -> list[Span]:
    """Every place where `wanted` stands in `text` (NFC, as stored), whatever the white space in either."""
    needle = "".join(unicodedata.normalize("NFC", wanted).split())
    if not needle or needle not in "".join(text.split()):
        return []
    places = [i for i, char in enumerate(text) if not char.isspace()]
    dense = "".join(text[i] for i in places)
    starts = (match.start() for match in regex.finditer(regex.escape(needle), dense))
    return [Span(places[start], places[start + len(needle) - 1] + 1) for start in starts]
