"""The contract of an answerer (found passages in, events out), and the draft that every answerer fills."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from index.encoders.base import Encoder
from index.names import NO_NAMES, KnownNames
from index.search import SearchResult
from index.store.base import StoredPassage
from rag.answer import Abstention, Answer, AnswerSentence, Citation, Usage
from rag.events import CitationsResolved, Delta, Done, Event, SentenceDone, Warned
from rag.phrases import phrase, phrase_language
from rag.reader.choice import Candidate


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question of the conversation and its answer, without markers."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Task:
    """The input of an answerer. `found` is never empty and is relevant to the question.

    `found.question` is the query of the search: for a follow-up, with the words that it points back to.
    """

    question: str
    language: str
    found: SearchResult
    encoder: Encoder
    sentences: tuple[Candidate, ...] = ()  # of `found`, the most probable answer first; none where none is near
    history: Sequence[Turn] = ()
    names: KnownNames = NO_NAMES


class Answerer(Protocol):
    """Turns found passages into an answer with citations."""

    def answer(self, task: Task) -> Iterator[Event]:
        """Events from the first piece of text to `Done`."""
        ...


@dataclass(slots=True)
class Draft:
    """An answer as it grows; what is added comes back as the event that reports it."""

    pieces: list[str] = field(default_factory=list)
    sentences: list[AnswerSentence] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)

    @property
    def text(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences)

    def say(self, text: str) -> Delta:
        """Add text."""
        self.pieces.append(text)
        return Delta(text)

    def close(self, sentence: AnswerSentence) -> SentenceDone:
        """Add a finished sentence."""
        self.sentences.append(sentence)
        return SentenceDone(sentence)

    def warn(self, message: str) -> Warned:
        """Add a warning."""
        self.warnings.append(message)
        return Warned(message)

    def count(self, usage: Usage) -> None:
        """Add the usage of a model."""
        self.usage += usage

    def clear(self) -> None:
        """Remove the text, its sentences and its citations; warnings and usage stay."""
        self.pieces.clear()
        self.sentences.clear()
        self.citations.clear()

    def cite(self, passage: StoredPassage, start: int, end: int, answer: tuple[int, int] = (0, 0)) -> int:
        """The number of the citation of this span, a new one where it is not cited yet; `answer` is the part of it."""
        for known in self.citations:
            if (known.doc_id, known.start, known.end) == (passage.doc_id, start, end):
                return known.n
        self.citations.append(_citation(len(self.citations) + 1, passage, start, end, answer))
        return len(self.citations)


def _citation(n: int, passage: StoredPassage, start: int, end: int, answer: tuple[int, int]) -> Citation:
    return Citation(
        n=n,
        doc_id=passage.doc_id,
        source=passage.source,
        title=passage.title,
        language=passage.language,
        start=start,
        end=end,
        quote=passage.text[start - passage.start : end - passage.start],
        url=passage.url,
        date=passage.date,
        answer_start=answer[0],
        answer_end=answer[1],
    )


def finish(task: Task, draft: Draft, *, answer_language: str, reason: Abstention = Abstention.NONE) -> Iterator[Event]:
    """The last events of every answer; it abstains where there is a `reason`, and then shows the nearest sentence."""
    near = next(iter(task.sentences), None) if reason is not Abstention.NONE else None
    words = (near.answer_start, near.answer_end) if near else (0, 0)
    yield CitationsResolved(tuple(draft.citations))
    yield Done(
        Answer(
            question=task.question,
            language=task.language,
            abstained=reason is not Abstention.NONE,
            text="".join(draft.pieces),
            answer_language=answer_language,
            sentences=tuple(draft.sentences),
            citations=tuple(draft.citations),
            retrieved=task.found.passages,
            relevance=task.found.relevance,
            reason=reason,
            warnings=tuple(draft.warnings),
            usage=draft.usage,
            closest=_citation(0, near.passage, near.start, near.end, words) if near else None,
        )
    )


def abstain(task: Task, reason: Abstention, draft: Draft | None = None) -> Iterator[Event]:
    """The events of an answer that says that there is none, in the question's language."""
    draft = draft or Draft()
    language = phrase_language(task.language)
    own = reason in (Abstention.EMPTY, Abstention.FILTERED)  # the others have one sentence in common
    yield draft.say(phrase(str(reason) if own else "abstain", language))
    yield from finish(task, draft, answer_language=language, reason=reason)
