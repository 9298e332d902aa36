"""What is counted, for Prometheus, and a chain that counts: every interface asks it. Each worker counts for itself."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from index.search import SearchResult
from index.store.base import EVERYTHING, Filter
from rag.answerers.base import Turn
from rag.chain import Chain
from rag.events import Delta, Done, Event, Failed, PassagesFound, QuestionRead
from ui.server.errors import refusal_of
from ui.server.logs import note

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_log = logging.getLogger("dragoman.questions")


class Metrics:
    """The series of one application, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._counter("requests", "HTTP requests.", "route", "status")
        self.questions = self._counter("questions", "Questions asked, by language.", "language")
        self.abstentions = self._counter("abstentions", "Questions left unanswered, by reason.", "reason")
        self.errors = self._counter("errors", "Questions that failed, by what failed.", "code")
        self.in_flight = Gauge("dragoman_questions_in_flight", "Questions being answered.", registry=self._registry)
        self.retrieval = self._seconds("retrieval", "From the question to its passages.")
        self.first_event = self._seconds("first_event", "From the question to the first piece of the answer.")
        self.total = self._seconds("total", "From the question to the whole answer.")

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"dragoman_{name}", what, labels, registry=self._registry)

    def _seconds(self, name: str, what: str) -> Histogram:
        return Histogram(f"dragoman_{name}_seconds", what, buckets=_BUCKETS_S, registry=self._registry)

    def text(self) -> bytes:
        """All series in Prometheus' text format."""
        return generate_latest(self._registry)


class CountedChain(Chain):
    """A chain that counts its questions, and logs them where the settings ask for it."""

    _metrics: Metrics
    _log_questions: bool

    @classmethod
    def of(cls, chain: Chain, metrics: Metrics, *, log_questions: bool) -> CountedChain:
        """`chain`, counted."""
        counted = cls.__new__(cls)
        vars(counted).update(vars(chain), _metrics=metrics, _log_questions=log_questions)
        return counted

    def stream(
        self, question: str, history: Sequence[Turn] = (), where: Filter = EVERYTHING, interface: str = ""
    ) -> Iterator[Event]:
        """The events of `Chain.stream`."""
        started, has_begun = time.perf_counter(), False
        if self._log_questions:
            _log.info("question: %r", question)
        with self._metrics.in_flight.track_inprogress():
            for event in super().stream(question, history, where, interface):
                if not (isinstance(event, Delta) and has_begun):
                    self._count(event, time.perf_counter() - started)
                has_begun = has_begun or isinstance(event, Delta)
                yield event

    def retrieve(self, question: str, k: int | None = None, where: Filter = EVERYTHING) -> SearchResult:
        """The passages of `Chain.retrieve`."""
        with self._metrics.retrieval.time():
            return super().retrieve(question, k, where)

    def _count(self, event: Event, seconds: float) -> None:
        match event:
            case QuestionRead(language=language):
                self._metrics.questions.labels(language or "und").inc()  # one of those that are detected: few
                note(language=language)
            case PassagesFound():
                self._metrics.retrieval.observe(seconds)
            case Delta():
                self._metrics.first_event.observe(seconds)
            case Failed(error=error):
                code = refusal_of(error).code
                self._metrics.errors.labels(code).inc()
                note(failed=code)
            case Done(answer=answer):
                self._metrics.total.observe(seconds)
                note(abstained=answer.abstained)
                if answer.abstained:
                    self._metrics.abstentions.labels(str(answer.reason)).inc()
