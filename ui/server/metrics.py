"""What is counted, for Prometheus, and a chain that counts: every face asks it, so every face is counted."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from index.search import SearchResult
from index.store.base import EVERYTHING, Filter
from rag.answerers.base import Turn
from rag.chain import Chain
from rag.events import Delta, Done, Event, Failed, PassagesFound, QuestionRead
from ui.server.logs import QUESTIONS, note
from ui.server.sse import close, code_of
from ui.server.stopping import Running, ServerStopping

CONTENT_TYPE = CONTENT_TYPE_LATEST
# A label's values are bounded: each makes series of its own, for ever.
_LANGUAGES = frozenset(
    "ar bg bn ca cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv ms nl no pl pt ro ru sk sl sr sv sw ta th"
    " tl tr uk ur vi zh".split()
)
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_log = logging.getLogger(QUESTIONS)


class Metrics:
    """The series of one application, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("dragoman_requests", "HTTP requests.", ("route", "status"), registry=self.registry)
        self.questions = Counter(
            "dragoman_questions", "Questions asked, by language.", ("language",), registry=self.registry
        )
        self.abstentions = Counter(
            "dragoman_abstentions", "Questions left unanswered, by reason.", ("reason",), registry=self.registry
        )
        self.errors = Counter(
            "dragoman_errors", "Questions that failed, by what failed.", ("code",), registry=self.registry
        )
        self.in_flight = Gauge("dragoman_questions_in_flight", "Questions being answered.", registry=self.registry)
        self.retrieval = self._seconds("retrieval", "From the question to its passages.")
        self.first_event = self._seconds("first_event", "From the question to the first piece of the answer.")
        self.total = self._seconds("total", "From the question to the whole answer.")

    def _seconds(self, name: str, what: str) -> Histogram:
        return Histogram(f"dragoman_{name}_seconds", what, buckets=_BUCKETS_S, registry=self.registry)

    def text(self) -> bytes:
        """All series in Prometheus' text format."""
        return generate_latest(self.registry)


class CountedChain(Chain):
    """A chain that tells `metrics` of every question, and fails it when the server's time is over.

    Otherwise it is the one that it is made of.
    """

    _metrics: Metrics
    _running: Running
    _log_questions: bool

    @classmethod
    def of(cls, chain: Chain, metrics: Metrics, running: Running, *, log_questions: bool = False) -> CountedChain:
        """`chain`, counted."""
        counted = cls.__new__(cls)
        vars(counted).update(vars(copy.copy(chain)))
        counted._metrics, counted._running, counted._log_questions = metrics, running, log_questions
        return counted

    def stream(self, question: str, history: Sequence[Turn] = (), where: Filter = EVERYTHING) -> Iterator[Event]:
        """As of `Chain`."""
        metrics, started, n_deltas, language = self._metrics, time.perf_counter(), 0, ""
        with metrics.in_flight.track_inprogress(), self._running.one():
            for event in super().stream(question, history, where):
                if self._running.is_over:
                    yield self._failed(ServerStopping())
                    return
                seconds = time.perf_counter() - started
                if isinstance(event, QuestionRead):
                    language = event.language
                    metrics.questions.labels(bounded(language)).inc()
                    note(language=language)
                elif isinstance(event, PassagesFound):
                    metrics.retrieval.observe(seconds)
                elif isinstance(event, Delta):
                    if not n_deltas:
                        metrics.first_event.observe(seconds)
                    n_deltas += 1
                elif isinstance(event, Failed):
                    self._failed(event.error)
                elif isinstance(event, Done):
                    metrics.total.observe(seconds)
                    note(abstained=event.answer.abstained)
                    if event.answer.abstained:
                        metrics.abstentions.labels(str(event.answer.reason)).inc()
                    self._tell(question, language, seconds, event)
                yield event

    async def astream(
        self, question: str, history: Sequence[Turn] = (), where: Filter = EVERYTHING
    ) -> AsyncIterator[Event]:
        """As of `Chain`; a model that is waited for is waited for until the server's time is over."""
        events = super().astream(question, history, where)
        try:
            while (event := await self._running.before_the_end(_next(events))) is not None:
                yield event
        except ServerStopping as error:
            yield self._failed(error)
        finally:
            await close(events)

    def retrieve(self, question: str, k: int | None = None, where: Filter = EVERYTHING) -> SearchResult:
        """As of `Chain`."""
        with self._metrics.retrieval.time():
            return super().retrieve(question, k, where)

    def _failed(self, error: Exception) -> Failed:
        """The event of a failure, counted and noted."""
        self._metrics.errors.labels(code_of(error)).inc()
        note(failed=code_of(error))
        return Failed(error)

    def _tell(self, question: str, language: str, seconds: float, event: Done) -> None:
        """A line in the log; with the question's text only where that was asked for."""
        asked = repr(question) if self._log_questions else f"{len(question)} characters"
        outcome = str(event.answer.reason) or "answered"
        _log.info("question in %s, %s: %s in %.3f s", language or "?", asked, outcome, seconds)


async def _next(events: AsyncIterator[Event]) -> Event | None:
    return await anext(events, None)


def bounded(language: str) -> str:
    """A language as a label: its primary tag where it is one of the known, else `other`."""
    primary = language.split("-")[0]
    return primary if primary in _LANGUAGES else "other"
