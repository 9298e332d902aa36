"""The bodies of requests, checked before anything is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Body, HTTPException
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from index.search import MAX_QUESTION_CHARS
from index.store.base import Filter
from rag.answerers.base import Turn
from rag.citations import without_markers
from ui.server.feedback import Opinion
from ui.server.sources import stored_sources

_MAX_TURNS = 4  # of a conversation that are looked at
_MAX_CHOICES = 50  # of one field of a filter
_Name = Annotated[str, StringConstraints(min_length=1, max_length=500)]
_Date = Annotated[str, StringConstraints(max_length=10)]
Question = Annotated[str, Body(min_length=1, max_length=MAX_QUESTION_CHARS)]


class TurnBody(BaseModel):
    """An earlier question of the conversation, and its answer."""

    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, Field(max_length=MAX_QUESTION_CHARS)]
    answer: Annotated[str, Field(max_length=20_000)] = ""


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
            HTTPException: A date is none.
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
            raise HTTPException(422, str(error)) from error


class FeedbackBody(BaseModel):
    """What a reader holds of an answer."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"question": "Who led NASA?", "answer": "Nobody. [1]", "kind": "wrong", "comment": "See [2]."}]
        },
    )

    question: Annotated[str, Field(min_length=1, max_length=MAX_QUESTION_CHARS)]
    answer: Annotated[str, Field(max_length=20_000)]
    kind: Opinion
    comment: Annotated[str | None, Field(max_length=2_000)] = None


NO_FILTER = FilterBody()
Where = Annotated[FilterBody, Body(alias="filter")]
History = Annotated[list[TurnBody], Body(max_length=50)]
NO_HISTORY: list[TurnBody] = []


def turns_of(history: Sequence[TurnBody]) -> list[Turn]:
    """The last turns of a conversation, markers left out."""
    return [Turn(turn.question, without_markers(turn.answer)) for turn in history[-_MAX_TURNS:]]


def checked(question: str) -> str:
    if not question.strip():
        raise HTTPException(422, "the question is empty")
    return question
