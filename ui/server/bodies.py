"""Bodies of requests, checked before anything is asked. An unknown field is refused: it was meant to do something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from index.read import is_url
from index.search import MAX_QUESTION_CHARS
from index.store.base import Filter
from rag.answerers.base import Turn
from rag.citations import without_markers
from rag.phrases import accepted, best_language
from ui.server.errors import Refusal

MAX_CHARS = 20_000  # of an answer that is sent back, in a conversation or with feedback
_MAX_TURNS = 4  # of a conversation that are read
_Name = Annotated[str, StringConstraints(min_length=1, max_length=500)]
_Names = Annotated[list[_Name], Field(max_length=50)]
_Date = Annotated[str, StringConstraints(max_length=10)]


class Body(BaseModel):
    """A JSON object with these fields and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TurnBody(Body):
    """An earlier question of the conversation, and its answer."""

    question: Annotated[str, Field(max_length=MAX_QUESTION_CHARS)]
    answer: Annotated[str, Field(max_length=MAX_CHARS)] = ""


class FilterBody(Body):
    """Which passages may be used: the fields of `index.store.base.Filter`, sources as they are shown."""

    languages: _Names = []
    since: _Date = ""
    until: _Date = ""
    sources: _Names = []
    tags: _Names = []

    def as_filter(self) -> Filter:
        """The filter.

        Raises:
            Refusal: A date is none.
        """
        sources = tuple(form for name in self.sources for form in _stored_sources(name))
        names = {"languages": tuple(self.languages), "sources": sources, "tags": tuple(self.tags)}
        try:
            return Filter(**names, since=self.since, until=self.until)
        except ValueError as error:
            raise Refusal(422, str(error), param="filter") from error


def _not_blank(question: str) -> str:
    if not question.strip():
        raise ValueError("the question is empty")
    return question


class QuestionBody(Body):
    """A question."""

    question: Annotated[str, Field(min_length=1, max_length=MAX_QUESTION_CHARS), AfterValidator(_not_blank)]


class ConversationBody(QuestionBody):
    """A question and the conversation before it, oldest first."""

    history: Annotated[list[TurnBody], Field(max_length=50)] = []

    def turns(self) -> list[Turn]:
        """The last turns of the conversation, as the chain takes them."""
        return turns_of([(turn.question, turn.answer) for turn in self.history])


class AskBody(ConversationBody):
    """A question to answer."""

    filter: FilterBody = FilterBody()
    stream: Annotated[bool, Field(description="Events as they come; so does `Accept: text/event-stream`.")] = False


class SearchBody(QuestionBody):
    """A question to find passages for."""

    k: Annotated[int, Field(ge=1, le=100)] = 10
    filter: FilterBody = FilterBody()
    explain: Annotated[bool, Field(description="Show which signals brought each passage to its place.")] = False


class SiteBody(ConversationBody):
    """A question of a visitor of a site."""

    site: Annotated[str, Field(max_length=200)]


def interface_of(request: Request) -> str:
    """The language that the client wants by its Accept-Language header, empty without one."""
    return best_language(accepted(request.headers.get("accept-language", "")), fallback="")


Interface = Annotated[str, Depends(interface_of)]


def turns_of(history: Sequence[tuple[str, str]]) -> list[Turn]:
    """The last turns of a conversation, of questions and answers, without markers."""
    return [Turn(question, without_markers(answer)) for question, answer in history[-_MAX_TURNS:]]


def _stored_sources(shown: str) -> tuple[str, ...]:
    """The patterns of a filter for a source, or a pattern of sources, as it was shown."""
    return (shown,) if is_url(shown) or shown.startswith(("/", "*")) else (shown, f"*/{shown}")
