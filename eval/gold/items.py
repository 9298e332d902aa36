"""Gold questions, anchored to documents by verbatim text, so that they survive re-chunking."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import regex

from eval.errors import GoldError
from index.documents import Span


class Need(StrEnum):
    """How many of the expected answers a right answer holds."""

    ANY = "any"  # they are alternatives
    ALL = "all"  # they are parts: of a list, or of a comparison


@dataclass(frozen=True, slots=True)
class Evidence:
    """A stretch of a document that answers the question.

    `doc` matches the end of a source path. An empty `text` stands for the whole document. `grade` is how relevant it
    is, 1 or more.
    """

    doc: str
    text: str = ""
    grade: int = 1


@dataclass(frozen=True, slots=True)
class GoldItem:
    """One question with its expected answers and evidence; both are empty where the documents hold no answer.

    An answerable one has evidence, or answers, or both: without evidence its passages are not measured, without
    answers its text is not. `tags` are groups of the report.
    """

    id: str
    question: str
    lang: str
    answerable: bool
    answers: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    tags: tuple[str, ...] = ()
    need: Need = Need.ANY


FIELDS = ("id", "question", "lang", "answerable", "answers", "evidence", "tags", "need")


def as_item(values: Any, where: str) -> GoldItem:
    """The gold question in `values`, as read from JSON; `where` begins the message of an error.

    Raises:
        GoldError: A field is missing or of another type, or the fields contradict each other.
    """
    for problem in problems_of(values):
        raise GoldError(f"{where}: {problem}")
    return GoldItem(
        id=str(values["id"]),
        question=values["question"],
        lang=values["lang"],
        answerable=values["answerable"],
        answers=tuple(map(str, values.get("answers", ()))),
        evidence=tuple(
            Evidence(one["doc"], one.get("text", ""), int(one.get("grade", 1))) for one in values.get("evidence", ())
        ),
        tags=tuple(map(str, values.get("tags", ()))),
        need=Need(values.get("need", Need.ANY)),
    )


def problems_of(values: Any) -> Iterator[str]:
    """What keeps `values` from being a gold question, as `found; expected: ...`."""
    if not isinstance(values, dict):
        yield f"{type(values).__name__}; expected: an object with {', '.join(FIELDS)}"
        return
    for name in ("id", "question", "lang"):
        value = values.get(name)
        if not (isinstance(value, str) and value.strip()) and not (name == "id" and type(value) is int):
            yield f"{name} is {'missing' if value is None else repr(value)}; expected: text"
    if not isinstance(values.get("answerable"), bool):
        yield f"answerable is {values.get('answerable')!r}; expected: true or false"
    for name in ("answers", "tags"):
        value = values.get(name, [])
        if not isinstance(value, list) or not all(type(one) in (str, int, float) for one in value):
            yield f"{name} is {value!r}; expected: a list of texts"
    evidence = values.get("evidence", [])
    for one in evidence if isinstance(evidence, list) else [evidence]:
        if not isinstance(evidence, list) or not _is_evidence(one):
            yield f"evidence is {one!r}; expected: a list of doc, and perhaps text (not blank) and grade (1 or more)"
    if values.get("need", Need.ANY) not in tuple(Need):
        yield f"need is {values['need']!r}; expected: any or all"
    if values.get("answerable") is True and not evidence and not values.get("answers"):
        yield "answerable, but without evidence and answers; expected: one of them"
    if values.get("need") == Need.ALL and not values.get("answers"):
        yield "need is all, but there are no answers; expected: answers, or no need"


def as_values(item: GoldItem) -> dict[str, Any]:
    """`item` as one JSON object of a gold file, without fields that have their default."""
    values: dict[str, Any] = {name: getattr(item, name) for name in ("id", "question", "lang", "answerable")}
    values["answers"] = list(item.answers)
    values["evidence"] = [
        {"doc": e.doc} | ({"text": e.text} if e.text else {}) | ({"grade": e.grade} if e.grade != 1 else {})
        for e in item.evidence
    ]
    tags = {"tags": list(item.tags)} if item.tags else {}
    return values | tags | ({"need": str(item.need)} if item.need is not Need.ANY else {})


def find_evidence(text: str, wanted: str) -> list[Span]:
    """Every place where `wanted` stands in `text` (NFC, as stored), whatever the white space in either."""
    needle = "".join(unicodedata.normalize("NFC", wanted).split())
    if not needle or needle not in "".join(text.split()):
        return []
    places = [i for i, char in enumerate(text) if not char.isspace()]
    dense = "".join(text[i] for i in places)
    starts = (match.start() for match in regex.finditer(regex.escape(needle), dense))
    return [Span(places[start], places[start + len(needle) - 1] + 1) for start in starts]


def _is_evidence(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(doc := value.get("doc"), str) or not doc.strip():
        return False
    text = value.get("text", "")
    is_text = isinstance(text, str) and (not text or bool(text.strip()))
    return is_text and bool(regex.fullmatch(r"[1-9]\d{0,8}", str(value.get("grade", 1))))
