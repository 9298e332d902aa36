"""Gold questions, anchored to documents by verbatim text, so that they survive re-chunking."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
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
    try:
        item = _item(values)
    except (ValueError, TypeError) as error:
        raise GoldError(f"{where}: {error}") from None
    if item.answerable and not item.evidence and not item.answers:
        raise GoldError(f"{where}: answerable, but without evidence and answers; expected: one of them")
    if item.need is Need.ALL and not item.answers:
        raise GoldError(f"{where}: need is all, but there are no answers; expected: answers, or no need")
    return item


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


def _item(values: Any) -> GoldItem:
    if not isinstance(values, Mapping):
        raise TypeError(f"{type(values).__name__}; expected: an object with {', '.join(FIELDS)}")
    answerable = values.get("answerable")
    if not isinstance(answerable, bool):
        raise TypeError(f"answerable is {answerable!r}; expected: true or false")
    need = values.get("need", Need.ANY)
    if need not in tuple(Need):
        raise ValueError(f"need is {need!r}; expected: any or all")
    return GoldItem(
        id=_text(values, "id"),
        question=_text(values, "question"),
        lang=_text(values, "lang"),
        answerable=answerable,
        answers=_texts(values, "answers"),
        evidence=tuple(map(_evidence, _list(values, "evidence"))),
        tags=_texts(values, "tags"),
        need=Need(need),
    )


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and name == "id":
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"{name} is {'missing' if value is None else repr(value)}; expected: text")
    return value


def _list(values: Mapping[str, Any], name: str) -> list[Any]:
    value = values.get(name, [])
    if not isinstance(value, list):
        raise TypeError(f"{name} is {value!r}; expected: a list")
    return value


def _texts(values: Mapping[str, Any], name: str) -> tuple[str, ...]:
    for value in _list(values, name):
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise TypeError(f"{name} holds {value!r}; expected: texts")
    return tuple(map(str, _list(values, name)))


def _evidence(value: Any) -> Evidence:
    if not isinstance(value, Mapping) or not isinstance(value.get("doc"), str) or not value["doc"].strip():
        raise TypeError(f"evidence {value!r} names no document; expected: an object with doc and text")
    text, grade = value.get("text", ""), str(value.get("grade", 1))
    if not isinstance(text, str) or (text and not text.strip()):
        raise TypeError(f"the text of evidence is {text!r}; expected: a span of the document, or none for all of it")
    if not regex.fullmatch(r"[1-9]\d{0,8}", grade):
        raise ValueError(f"the grade of evidence is {grade}; expected: 1 or more")
    return Evidence(value["doc"], text, int(grade))
