"""Where the computing of an answer is done: in this process, one question at a time, or in several others.

Python runs one thread at a time. Threads that search at once on several cores wake each other at every call into
numpy or SQLite, and find their data gone from the core's cache: ten at once took twice the processor time of one
after the other (docs/decisions/0007). So a process computes for one question at a time, and other cores are for
other processes. Waiting for a model or a database is not computing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from index.backends.base import Backend, Filter
from index.encoders.base import Encoder
from index.names.known import NO_NAMES, KnownNames
from index.processes import OtherProcess
from index.rerank import Reranker
from index.search import SearchResult, search
from index.settings import SearchSettings
from rag.answerers.sentences import Candidate, ranked
from rag.errors import AnswerProblem

_turn = threading.Lock()


class ProcessLost(AnswerProblem):
    """A process that was computing has died, and so did the one that was given the same."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A search: what for, how many passages, how they are ranked, which may be found, and the asker's language."""

    query: str
    k: int
    settings: SearchSettings
    where: Filter
    language: str


class Computing(Protocol):
    """Computes what an answer is made of."""

    def search(self, wanted: Wanted) -> SearchResult:
        """The passages, with what the asker should know of the index."""
        ...

    def rank(self, found: SearchResult) -> list[Candidate]:
        """The sentences of the found passages, best first."""
        ...

    def close(self) -> None:
        """End what was begun for this alone."""
        ...


class Here:
    """Computes in this process; what a database computes meanwhile is waited for beside other questions."""

    def __init__(
        self, backend: Backend, encoder: Encoder, *, reranker: Reranker | None = None, names: KnownNames = NO_NAMES
    ) -> None:
        """Over an open index, with the encoder that it was made with."""
        self._backend, self._encoder, self._reranker, self._names = backend, encoder, reranker, names
        self._turn: AbstractContextManager[Any] = _turn if backend.is_local else nullcontext()

    def search(self, wanted: Wanted) -> SearchResult:
        """As of `Computing`."""
        with self._turn, self._backend.snapshot() as snapshot:
            found = search(
                snapshot,
                self._encoder,
                wanted.query,
                wanted.k,
                wanted.settings,
                wanted.where,
                language=wanted.language,
                yours=self._names,
                reranker=self._reranker,
            )
        note = self._backend.note
        return replace(found, warnings=(*found.warnings, note)) if note else found

    def rank(self, found: SearchResult) -> list[Candidate]:
        """As of `Computing`."""
        with _turn:
            return ranked(found, self._encoder)

    def close(self) -> None:
        """As of `Computing`: there is nothing."""


class Elsewhere:
    """Computes in other processes, each for one question at a time; who comes when all compute waits.

    One that dies is replaced, and what it did is done again.
    """

    def __init__(self, make: Callable[[], Computing], n: int) -> None:
        """Start `n` processes; in each, `make` gives what computes there. It crosses over to them."""
        self._make = make
        self._idle: queue.Queue[OtherProcess] = queue.Queue()
        for _ in range(n):
            self._idle.put(self._begun())

    def search(self, wanted: Wanted) -> SearchResult:
        """As of `Computing`."""
        found: SearchResult = self._ask(wanted)
        return found

    def rank(self, found: SearchResult) -> list[Candidate]:
        """As of `Computing`."""
        candidates: list[Candidate] = self._ask(found)
        return candidates

    def _ask(self, message: Wanted | SearchResult) -> Any:
        process = self._idle.get()
        try:
            for is_last in (False, True):
                try:
                    return process.ask(message)
                except (EOFError, OSError) as error:
                    process.close()
                    process = self._begun()
                    if is_last:
                        raise ProcessLost(
                            "two processes died of this question, one after the other",
                            "processes that live",
                            "see the system's log: memory may have run out; fewer processes take less",
                        ) from error
        finally:
            self._idle.put(process)
        raise AssertionError("unreachable")  # pragma: no cover

    def _begun(self) -> OtherProcess:
        return OtherProcess(partial(_computing, self._make))

    def close(self) -> None:
        """As of `Computing`: the processes that compute nothing now."""
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return


def _computing(make: Callable[[], Computing]) -> Callable[[Wanted | SearchResult], Any]:
    """What a process does with its messages."""
    computing = make()

    def done_with(message: Wanted | SearchResult) -> Any:
        return computing.search(message) if isinstance(message, Wanted) else computing.rank(message)

    return done_with
