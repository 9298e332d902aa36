"""From a question to a cited answer: one page, one event stream."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from index.encoders.base import Encoder
from index.encoders.static import StaticEncoder
from index.names import NO_NAMES, KnownNames
from index.search import SearchResult, check_question, search
from index.settings import SearchSettings
from index.store.base import EVERYTHING, Filter
from index.store.reading import Backend
from index.text.language import question_language
from rag.answer import Abstention, Answer
from rag.answerers.base import Answerer, Task, Turn, abstain
from rag.answerers.extractive import ExtractiveAnswerer
from rag.conversation import reply
from rag.events import CitationsResolved, Delta, Done, Event, Failed, PassagesFound, QuestionRead, Warned
from rag.followups import Rewriter, carried_over
from rag.reader import Candidate, Reader, chosen, compared, embedded_reader
from rag.reader.cross_encoders import N_RERANKED, Reranker, reranked

if TYPE_CHECKING:
    from rag.runnable import ChainRunnable

# Threads that search at once in one process fight for Python's lock: ten at once take twice the processor time of one
# after the other (docs/decisions/0017). Several cores are for several server processes.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSettings:
    """How a question is answered.

    There is an answer from a relevance of `min_relevance` on; from that of `min_closest` on, the nearest sentence is
    shown without being called an answer. docs/decisions/0008
    """

    k: int = 10  # passages retrieved
    n_read: int = 10  # of them that the reader reads
    min_relevance: float = 0.55
    min_closest: float = 0.5
    search: SearchSettings = field(default_factory=SearchSettings)


class Chain:
    """Answers questions from an index; `stream` gives events, `invoke` the answer."""

    def __init__(
        self,
        backend: Backend,
        encoder: Encoder,
        answerer: Answerer | None = None,
        settings: ChainSettings | None = None,
        *,
        rewriter: Rewriter = carried_over,
        reader: Reader | None = None,
        reranker: Reranker | None = None,
        names: KnownNames = NO_NAMES,
    ) -> None:
        """A chain over an open index.

        Args:
            backend: The index.
            encoder: The encoder of the index.
            answerer: Writes the answers; the extractive one by default.
            settings: How a question is answered.
            rewriter: Makes a follow-up stand alone for the search.
            reader: Reads the first passages; the one in the package by default.
            reranker: Orders the first passages once more; none by default.
            names: User-defined aliases.
        """
        self.backend, self.encoder = backend, encoder
        self._rewriter, self._reranker, self._names = rewriter, reranker, names
        self._reader = reader
        # While a database or a model works, others may search.
        is_local = backend.is_local and isinstance(encoder, StaticEncoder) and reranker is None
        self._lock: AbstractContextManager[Any] = _one_at_a_time if is_local else nullcontext()
        self._answerer = answerer or ExtractiveAnswerer()
        self.settings = settings or ChainSettings()

    def close(self) -> None:
        """Close the index."""
        self.backend.close()

    def stream(
        self, question: str, history: Sequence[Turn] = (), where: Filter = EVERYTHING, interface: str = ""
    ) -> Iterator[Event]:
        """Events from the question to `Done`, or to `Failed`; only passages that `where` takes are used.

        The answer is in the language of the question. Where that shows too little of it (a name, two keywords), it is
        in the language `interface` (BCP 47), that of the conversation, or that of most of the corpus.

        Raises:
            ValueError: The question is empty or too long. Every other failure is the last event.
        """
        started = time.perf_counter()
        question = check_question(question)
        try:
            yield from self._events(started, question, history, where, interface)
        except Exception as error:  # noqa: BLE001 - a stream that has begun ends with an event
            yield Failed(error)

    def _events(
        self, started: float, question: str, history: Sequence[Turn], where: Filter, interface: str
    ) -> Iterator[Event]:
        spoken = next(filter(None, (question_language(turn.question) for turn in reversed(history))), "")
        language = question_language(question, interface=interface, conversation=spoken)
        query = self._rewriter(question, history) if history else question
        yield QuestionRead(question, language, query)
        if said := reply(question, language, self.backend, goes_on=bool(history)):
            yield from _replied(question, *said)
            return
        # Not the interface's: the same question finds the same passages everywhere.
        shown = question_language(question, conversation=spoken)
        found = self._search(query, shown, self.settings.k, where)
        language = language or found.language
        retrieved = time.perf_counter()
        yield PassagesFound(found.passages)
        for message in found.warnings:
            yield Warned(message)
        found, sentences = self._read(query, found)
        if found.relevance < min(self.settings.min_closest, self.settings.min_relevance):
            sentences = ()
        task = Task(question, language, found, self.encoder, sentences, history, self._names)
        for event in self._answered(task, where):
            if isinstance(event, Done):
                timings = {
                    "retrieval": round((retrieved - started) * 1000, 2),
                    "total": round((time.perf_counter() - started) * 1000, 2),
                }
                warnings = (*found.warnings, *event.answer.warnings)
                yield Done(replace(event.answer, warnings=warnings, timings_ms=timings))
            else:
                yield event

    def _answered(self, task: Task, where: Filter) -> Iterator[Event]:
        """The answerer's events, or those of an abstention."""
        found = task.found
        if not (found.passages or found.n_searched):
            filtered = where != EVERYTHING and self.backend.count("count(*) FROM documents")
            return abstain(task, Abstention.FILTERED if filtered else Abstention.EMPTY)
        if not found.passages or found.relevance < self.settings.min_relevance:
            return abstain(task, Abstention.NOT_FOUND)
        return self._answerer.answer(task)

    def invoke(
        self, question: str, history: Sequence[Turn] = (), where: Filter = EVERYTHING, interface: str = ""
    ) -> Answer:
        """The answer as a whole; arguments as of `stream`.

        Raises:
            ValueError: The question is empty or too long.
            Exception: The error of `Failed`.
        """
        for event in self.stream(question, history, where, interface):
            if isinstance(event, Done):
                return event.answer
            if isinstance(event, Failed):
                raise event.error
        raise AssertionError("a stream ends with Done or Failed")  # pragma: no cover

    async def astream(
        self, question: str, history: Sequence[Turn] = (), where: Filter = EVERYTHING, interface: str = ""
    ) -> AsyncGenerator[Event, None]:
        """`stream` for async code; the work is done in a thread."""
        import asyncio  # a tenth of the start-up of a command

        events = self.stream(question, history, where, interface)
        try:
            while (event := await asyncio.to_thread(next, events, None)) is not None:
                yield event
        finally:
            # Nobody reads on: stop the model too.
            asyncio.get_running_loop().run_in_executor(None, _close, events)

    async def ainvoke(
        self, question: str, history: Sequence[Turn] = (), where: Filter = EVERYTHING, interface: str = ""
    ) -> Answer:
        """`invoke` for async code."""
        import asyncio

        return await asyncio.to_thread(self.invoke, question, history, where, interface)

    def retrieve(self, question: str, k: int | None = None, where: Filter = EVERYTHING) -> SearchResult:
        """The passages alone."""
        return self._search(question, "", k or self.settings.k, where)

    def _search(self, query: str, language: str, k: int, where: Filter) -> SearchResult:
        """The passages for `query`; `language` is that of the question, detected in `query` where it is empty."""
        n, names = max(k, N_RERANKED if self._reranker else 0), self._names
        with self._lock, self.backend.snapshot() as snapshot:
            found = search(
                snapshot, self.encoder, query, n, self.settings.search, where, language=language, names=names
            )
        if self._reranker:
            found = reranked(self._reranker, found, k)
        note = self.backend.note
        return replace(found, warnings=(*found.warnings, note)) if note else found

    def _read(self, query: str, found: SearchResult) -> tuple[SearchResult, tuple[Candidate, ...]]:
        """`found` in the order of the reader, and the sentences that may answer, best first."""
        reader = self._reader or embedded_reader()
        passages = [item.passage for item in found.passages[: self.settings.n_read]]
        found, sentences = chosen(found, reader.read(query, passages) if passages else [])
        return compared(found, sentences, partial(reader.near, query))

    def as_runnable(self) -> ChainRunnable:
        """This chain as a LangChain Runnable; apart, because importing langchain-core takes as long as answering."""
        from rag.runnable import ChainRunnable

        return ChainRunnable(self)


def _replied(question: str, text: str, language: str) -> Iterator[Event]:
    """The events of a reply that is not from the articles."""
    yield PassagesFound(())
    yield Delta(text)
    yield CitationsResolved(())
    yield Done(Answer(question, language, True, text, language, (), (), (), 0.0, Abstention.CONVERSATION))


def _close(events: Iterator[Event]) -> None:
    """Close a stream that another thread may still be in."""
    while True:
        try:
            events.close()  # type: ignore[attr-defined]
            return
        except ValueError:  # it is running, until its next event or its model's time limit
            time.sleep(0.02)
