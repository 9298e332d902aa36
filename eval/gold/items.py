"""Gold questions, anchored to documents by verbatim text, so that they survive re-chunking."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import regex
from pydantic import BeforeValidator, Field, StrictBool, StringConstraints, TypeAdapter, ValidationError

from eval.errors import GoldError
from index.documents import Span

Text = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) in (int, float) else value)]
FilledText = Annotated[Text, StringConstraints(pattern=r"\S")]


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

    doc: FilledText
    text: Annotated[str, StringConstraints(pattern=r"^$|\S")] = ""
    grade: Annotated[int, Field(ge=1)] = 1


@dataclass(frozen=True, slots=True)
class GoldItem:
    """One question with its expected answers and evidence; both are empty where the documents hold no answer.

    An answerable one has evidence, or answers, or both: without evidence its passages are not measured, without
    answers its text is not. `tags` are groups of the report.
    """

    id: FilledText
    question: FilledText
    lang: FilledText
    answerable: StrictBool
    answers: tuple[Text, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    tags: tuple[Text, ...] = ()
    need: Need = Need.ANY


_ITEM = TypeAdapter(GoldItem)


def as_item(values: Any, where: str) -> GoldItem:
    """The gold question in `values`, as read from JSON; `where` begins the message of an error.

    Raises:
        GoldError: A field is missing or of another type, or the fields contradict each other.
    """
    try:
        item = _ITEM.validate_python(values)
        problems = list(_contradictions(item))
    except ValidationError as error:
        problems = list(map(_problem, error.errors()))
    if problems:
        raise GoldError(f"{where}: {'; '.join(problems)}")
    return item


def _problem(error: Mapping[str, Any]) -> str:
    place = ".".join(map(str, error["loc"])) or "the question"
    return f"{place} is missing" if error["type"] == "missing" else f"{place} is {error['input']!r}; {error['msg']}"


def _contradictions(item: GoldItem) -> Iterator[str]:
    if item.answerable and not item.evidence and not item.answers:
        yield "answerable, but without evidence and answers; expected: one of them"
    if item.need is Need.ALL and not item.answers:
        yield "need is all, but there are no answers; expected: answers, or no need"


def as_values(item: GoldItem) -> dict[str, Any]:
    """`item` as one JSON object of a gold file, without fields that have their default."""
    values: dict[str, Any] = _ITEM.dump_python(item, mode="json", exclude_defaults=True)
    return values


def find_evidence(text: str, wanted: str) -> list[Span]:
    """Every place where `wanted` stands in `text` (NFC, as stored), whatever the white space in either."""
    needle = "".join(unicodedata.normalize("NFC", wanted).split())
    if not needle or needle not in "".join(text.split()):
        return []
    places = [i for i, char in enumerate(text) if not char.isspace()]
    dense = "".join(text[i] for i in places)
    starts = (match.start() for match in regex.finditer(regex.escape(needle), dense))
    return [Span(places[start], places[start + len(needle) - 1] + 1) for start in starts]
