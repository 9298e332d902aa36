"""Where the computing of an answer is done: in this process, one question at a time, or in several others.

Python runs one thread at a time. Threads that search an index folder at once on several cores wake each other at every
call into numpy or SQLite, and find their data gone from the core's cache: ten at once took twice the processor time of
one after the other (docs/decisions/0017). So a process searches for one question at a time, and other cores are for
other processes. What is waited for, or uses all cores by itself, waits for nobody's turn: a database, a model.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from index.encoders.base import Encoder
from index.encoders.static import StaticEncoder
from index.names.known import NO_NAMES, KnownNames
from index.rerank import Reranker
from index.search import SearchResult, search
from index.settings import SearchSettings
from index.store.base import Backend, Filter
from rag.answerers.sentences import Candidate, ranked
from rag.errors import AnswerProblem

if TYPE_CHECKING:
    from index.processes import OtherProcess

_LIMIT_S = 120.0  # of a search in another process: the first one of a large index that is damaged takes some 20
_turn = threading.Lock()


class ProcessLost(AnswerProblem):
    """The processes that were to compute this died, or did not come to an end."""


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

    def check_index(self) -> None:
        """Raise what keeps the index from being searched."""
        ...

    def check_encoder(self) -> None:
        """Raise what keeps questions from being encoded."""
        ...

    def close(self) -> None:
        """End what was begun for this alone."""
        ...


class Here:
    """Computes in this process."""

    def __init__(
        self, backend: Backend, encoder: Encoder, *, reranker: Reranker | None = None, names: KnownNames = NO_NAMES
    ) -> None:
        """Over an open index, with the encoder that it was made with."""
        self._backend, self._encoder, self._reranker, self._names = backend, encoder, reranker, names
        # Others may be waited for over a network; a reranker has all cores, and a limit of its own.
        computes = isinstance(encoder, StaticEncoder)
        self._rank_turn: AbstractContextManager[Any] = _turn if computes else nullcontext()
        alone = computes and backend.is_local and reranker is None
        self._search_turn: AbstractContextManager[Any] = _turn if alone else nullcontext()

    def search(self, wanted: Wanted) -> SearchResult:
        """As of `Computing`."""
        with self._search_turn, self._backend.snapshot() as snapshot:
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
        with self._rank_turn:
            return ranked(found, self._encoder)

    def check_index(self) -> None:
        """As of `Computing`."""
        with self._backend.snapshot() as snapshot:
            snapshot.n_passages()

    def check_encoder(self) -> None:
        """As of `Computing`."""
        self._encoder.encode_queries(["ready?"])

    def close(self) -> None:
        """As of `Computing`: there is nothing."""


class Elsewhere:
    """Computes in other processes, each for one question at a time; who comes when all compute waits.

    One that dies is replaced, and what it did is done once more.
    """

    def __init__(self, make: Callable[[], Computing], n: int, limit_s: float = _LIMIT_S) -> None:
        """Start `n` processes; in each, `make` gives what computes there. It crosses over to them."""
        self._work = partial(_work, make, max(1, (os.cpu_count() or 1) // n))
        self._limit_s = limit_s
        self._closed = False
        # None is the place of a process that is to be begun.
        self._idle: queue.Queue[OtherProcess | None] = queue.Queue()
        for _ in range(n):
            self._idle.put(self._begun())

    def search(self, wanted: Wanted) -> SearchResult:
        """As of `Computing`.

        Raises:
            ProcessLost: Two processes died of it, or it did not come to an end.
        """
        found: SearchResult = self._ask("search", wanted)
        return found

    def rank(self, found: SearchResult) -> list[Candidate]:
        """As of `Computing`; raises as `search` does."""
        candidates: list[Candidate] = self._ask("rank", found)
        return candidates

    def check_index(self) -> None:
        """As of `Computing`, in one of the processes."""
        self._ask("check_index")

    def check_encoder(self) -> None:
        """As of `Computing`, in one of the processes."""
        self._ask("check_encoder")

    def close(self) -> None:
        """As of `Computing`: the processes; those that compute are ended when they have done it."""
        self._closed = True
        n = self._idle.qsize()
        for _ in range(n):
            try:
                process = self._idle.get_nowait()
            except queue.Empty:
                return
            if process is not None:
                process.close()
            self._idle.put(None)  # for who waits, and is told

    def _ask(self, *message: Any) -> Any:
        from index.processes import ProcessDied

        process = self._idle.get()
        try:
            for is_last in (False, True):
                if self._closed:
                    raise ProcessLost("the processes that search have been ended", "a chain that is open")
                if process is None or process.has_ended:
                    process = self._begun()
                started = time.monotonic()
                try:
                    return process.ask(message, self._limit_s)
                except ProcessDied as error:
                    process = None
                    took_too_long = time.monotonic() - started >= self._limit_s
                    if is_last or took_too_long:
                        raise _lost(self._limit_s if took_too_long else 0) from error
        finally:
            if process is not None and (self._closed or process.has_ended):
                process.close()
                process = None
            self._idle.put(process)
        raise AssertionError("unreachable")  # pragma: no cover

    def _begun(self) -> OtherProcess:
        from index.processes import OtherProcess

        return OtherProcess(self._work)


def _lost(limit_s: float) -> ProcessLost:
    if limit_s:
        return ProcessLost(f"the search did not end within {limit_s:.0f} s", remedy="ask again")
    return ProcessLost(
        "two processes died of this question, one after the other",
        "processes that live",
        "see the system's log: memory may have run out; fewer processes take less",
    )


def _work(make: Callable[[], Computing], n_threads: int) -> Callable[[tuple[Any, ...]], Any]:
    """What a process does with its messages: the name of what is wanted, and what it is given."""
    os.environ.setdefault("OMP_NUM_THREADS", str(n_threads))  # a model's; the others have their cores too
    computing = make()
    return lambda message: getattr(computing, message[0])(*message[1:])
