"""The event stream of a question: the one thing that command line, page, API and eval consume."""

from __future__ import annotations

from dataclasses import dataclass

from index.search import ScoredPassage
from rag.answer import Answer, AnswerSentence, Citation


@dataclass(frozen=True, slots=True)
class QuestionRead:
    """The question as understood: its language, and what is sent to the retriever."""

    question: str
    language: str
    query: str


@dataclass(frozen=True, slots=True)
class PassagesFound:
    """The passages that the answer may rest on, best first."""

    passages: tuple[ScoredPassage, ...]
    relevance: float


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the answer's text, markers already numbered."""

    text: str


@dataclass(frozen=True, slots=True)
class SentenceDone:
    """A finished sentence of the answer with its verdict."""

    sentence: AnswerSentence


@dataclass(frozen=True, slots=True)
class CitationsResolved:
    """All citations of the answer."""

    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the asker should know; the answer goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class Done:
    """The end: the answer as a whole."""

    answer: Answer


Event = QuestionRead | PassagesFound | Delta | SentenceDone | CitationsResolved | Warned | Done
