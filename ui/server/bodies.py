"""Parts of requests, checked before anything is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from index.search import MAX_QUESTION_CHARS
from index.store.base import Filter
from rag.answerers.base import Turn
from rag.citations import without_markers
from ui.server.errors import Refusal
from ui.server.feedback import MAX_CHARS, Feedback, FeedbackFile, FeedbackFull, Opinion
from ui.server.sources import stored_sources

_MAX_TURNS = 4  # of a conversation that are read
_MAX_CHOICES = 50  # of one field of a filter
_Name = Annotated[str, StringConstraints(min_length=1, max_length=500)]
_Date = Annotated[str, StringConstraints(max_length=10)]
Question = Annotated[str, Body(min_length=1, max_length=MAX_QUESTION_CHARS)]


class TurnBody(BaseModel):
    """An earlier question of the conversation, and its answer."""

    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, Field(max_length=MAX_QUESTION_CHARS)]
    answer: Annotated[str, Field(max_length=MAX_CHARS)] = ""


class FilterBody(BaseModel):
    """Which passages may be used: the fields of `index.store.base.Filter`, sources as they are shown."""

    model_config = ConfigDict(extra="forbid")

    languages: Annotated[list[_Name], Field(max_length=_MAX_CHOICES)] = []
    since: _Date = ""
    until: _Date = ""
    sources: Annotated[list[_Name], Field(max_length=_MAX_CHOICES)] = []
    tags: Annotated[list[_Name], Field(max_length=_MAX_CHOICES)] = []

    def as_filter(self) -> Filter:
        """The filter.

        Raises:
            Refusal: A date is none.
        """
        try:
            return Filter(
                languages=tuple(self.languages),
                since=self.since,
                until=self.until,
                sources=tuple(form for name in self.sources for form in stored_sources(name)),
                tags=tuple(self.tags),
            )
        except ValueError as error:
            raise Refusal(422, str(error)) from error


class SpanBody(BaseModel):
    """A span that an answer cites."""

    model_config = ConfigDict(extra="forbid")

    doc_id: _Name
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]


class FeedbackBody(BaseModel):
    """What a reader thinks of an answer, and the spans that it cites."""

    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, Field(min_length=1, max_length=MAX_QUESTION_CHARS)]
    answer: Annotated[str, Field(max_length=MAX_CHARS)]
    kind: Opinion
    comment: Annotated[str | None, Field(max_length=2_000)] = None
    citations: Annotated[list[SpanBody], Field(max_length=50)] = []

    def store(self, file: FeedbackFile) -> None:
        """Store it.

        Raises:
            Refusal: There is no room.
        """
        spans = tuple(span.model_dump() for span in self.citations)
        said = Feedback(
            opinion=self.kind, question=self.question, answer=self.answer, comment=self.comment or "", spans=spans
        )
        try:
            file.add(said)
        except FeedbackFull:
            raise Refusal(507, "there is no room for more feedback") from None


NO_FILTER = FilterBody()
NO_HISTORY: list[TurnBody] = []
Where = Annotated[FilterBody, Body(alias="filter")]
History = Annotated[list[TurnBody], Body(max_length=50)]


def turns_of(history: Sequence[TurnBody]) -> list[Turn]:
    """The last turns of a conversation, without markers."""
    return [Turn(turn.question, without_markers(turn.answer)) for turn in history[-_MAX_TURNS:]]


def checked(question: str) -> str:
    """The question.

    Raises:
        Refusal: It is only white space.
    """
    if not question.strip():
        raise Refusal(422, "the question is empty")
    return question
