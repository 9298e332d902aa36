"""What an answerer is: found passages in, a draft out, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from index.encoders.base import Encoder
from index.names.known import NO_NAMES, KnownNames
from index.search import SearchResult
from index.store.base import StoredPassage
from rag.answer import Abstention, Answer, AnswerSentence, Citation, Usage
from rag.events import CitationsResolved, Delta, Done, Event, SentenceDone, Warned


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question of the conversation and its answer, markers stripped."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Task:
    """All that an answerer is given. `found` is never empty and bears on the question.

    `found.question` is what was searched for: of a follow-up, with what it points back to.
    """

    question: str
    language: str
    found: SearchResult
    encoder: Encoder
    history: Sequence[Turn] = ()
    names: KnownNames = NO_NAMES
    lock: AbstractContextManager[Any] = field(default_factory=nullcontext)  # held while this process computes


@dataclass(slots=True)
class Draft:
    """An answer as it grows."""

    pieces: list[str] = field(default_factory=list)
    sentences: list[AnswerSentence] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)

    def count(self, usage: Usage) -> None:
        """Add what a model was used for this answer."""
        self.usage += usage

    def clear(self) -> None:
        """Forget the text, its sentences and its citations; warnings and usage stay."""
        self.pieces.clear()
        self.sentences.clear()
        self.citations.clear()

    def cite(self, passage: StoredPassage, start: int, end: int) -> int:
        """Number of the citation of this span, a new one where it is not cited yet."""
        for known in self.citations:
            if (known.doc_id, known.start, known.end) == (passage.doc_id, start, end):
                return known.n
        quote = passage.text[start - passage.start : end - passage.start]
        self.citations.append(
            Citation(
                n=len(self.citations) + 1,
                doc_id=passage.doc_id,
                source=passage.source,
                title=passage.title,
                language=passage.language,
                start=start,
                end=end,
                quote=quote,
                url=passage.url,
                date=passage.date,
            )
        )
        return len(self.citations)


class Answerer(Protocol):
    """Turns found passages into an answer with citations."""

    def answer(self, task: Task) -> Iterator[Event]:
        """Events from the first piece of text to `Done`."""
        ...


def finish(
    task: Task, draft: Draft, *, answer_language: str, abstained: bool = False, reason: Abstention = Abstention.NONE
) -> Iterator[Event]:
    """The closing events of every answerer."""
    yield CitationsResolved(tuple(draft.citations))
    yield Done(
        Answer(
            question=task.question,
            language=task.language,
            abstained=abstained,
            text="".join(draft.pieces),
            answer_language=answer_language,
            sentences=tuple(draft.sentences),
            citations=tuple(draft.citations),
            retrieved=task.found.passages,
            relevance=task.found.relevance,
            reason=reason,
            warnings=tuple(draft.warnings),
            usage=draft.usage,
        )
    )


def say(draft: Draft, text: str) -> Delta:
    """Add text to the draft and give the event that says so."""
    draft.pieces.append(text)
    return Delta(text)


def close_sentence(draft: Draft, sentence: AnswerSentence) -> SentenceDone:
    """Add a finished sentence to the draft and give the event that says so."""
    draft.sentences.append(sentence)
    return SentenceDone(sentence)


def warn(draft: Draft, message: str) -> Warned:
    """Add a warning to the draft and give the event that says so."""
    draft.warnings.append(message)
    return Warned(message)
