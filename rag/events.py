"""The event stream of a question: the one thing that command line, page, API and eval consume.

A stream is `question`, `passages`, then `delta`, `sentence` and `warnings` as they come, `citations` and
`done`; or it ends early with `error`. The `name` of an event is what it is called outside of Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from index.search import ScoredPassage
from rag.answer import Answer, AnswerSentence, Citation


@dataclass(frozen=True, slots=True)
class QuestionRead:
    """The question as understood: its language, and what is sent to the retriever."""

    name: ClassVar[str] = "question"
    question: str
    language: str
    query: str


@dataclass(frozen=True, slots=True)
class PassagesFound:
    """The passages that the search found, best first; the reader may put them in another order."""

    name: ClassVar[str] = "passages"
    passages: tuple[ScoredPassage, ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the answer's text, markers already numbered."""

    name: ClassVar[str] = "delta"
    text: str


@dataclass(frozen=True, slots=True)
class SentenceDone:
    """A finished sentence of the answer with its verdict."""

    name: ClassVar[str] = "sentence"
    sentence: AnswerSentence


@dataclass(frozen=True, slots=True)
class CitationsResolved:
    """All citations of the answer."""

    name: ClassVar[str] = "citations"
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the asker should know; the answer goes on."""

    name: ClassVar[str] = "warnings"
    message: str


@dataclass(frozen=True, slots=True)
class Done:
    """The end: the answer as a whole."""

    name: ClassVar[str] = "done"
    answer: Answer


@dataclass(frozen=True, slots=True)
class Failed:
    """The end where there is no answer: what went wrong."""

    name: ClassVar[str] = "error"
    error: Exception


Event = QuestionRead | PassagesFound | Delta | SentenceDone | CitationsResolved | Warned | Done | Failed
