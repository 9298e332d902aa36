from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from index.encoders.base import Encoder, FloatArray
from index.encoders.static import EMBEDDED, StaticEncoder
from index.ingest import ingest
from index.store.sqlite import EmbeddedBackend
from rag.answerers.base import Task
from rag.answerers.extractive import ExtractiveAnswerer
from rag.chain import Chain, ChainSettings
from rag.events import Event
from rag.reader.cross_encoders import Reranker
from rag.testing import HashEncoder, WordReader

WAIT_S = 60.0  # reached by a hang only


class Watched(StaticEncoder):
    """Counts how many threads are in it at once; each stays until another has come, at most `wait_s`."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(EMBEDDED, "embedded")
        self._wait_s = wait_s
        self.n = self.most = 0
        self._two = threading.Event()

    def encode_queries(self, texts: Any) -> FloatArray:
        self.n += 1
        self.most = max(self.most, self.n)
        if self.n > 1:
            self._two.set()
        self._two.wait(self._wait_s)
        self.n -= 1
        return super().encode_queries(texts)


class Distant(EmbeddedBackend):
    """An index that a database searches."""

    @property
    def is_local(self) -> bool:
        return False


@pytest.fixture
def small(tmp_path: Path, encoder: Encoder) -> Path:
    (tmp_path / "a.txt").write_text("The harbour of Kelp is grey. A boat lies in it.", "utf-8")
    ingest(tmp_path / "index", [str(tmp_path / "a.txt")], encoder, n_workers=1)
    return tmp_path / "index"


class Unmoved:
    """A reranker that leaves the order as it is."""

    name = "unmoved"

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        return [1.0 - 0.01 * i for i in range(len(texts))]


@pytest.mark.parametrize(
    ("kind", "reranker", "most"), [(EmbeddedBackend, None, 1), (Distant, None, 2), (EmbeddedBackend, Unmoved(), 2)]
)
def test_one_question_is_searched_at_a_time_unless_a_database_or_a_model_is_waited_for(
    small: Path, kind: type[EmbeddedBackend], reranker: Reranker | None, most: int
) -> None:
    encoder = Watched(0.3 if most == 1 else WAIT_S)
    with closing(kind(small)) as backend, ThreadPoolExecutor(2) as threads:
        chain = Chain(backend, encoder, reranker=reranker, reader=WordReader())
        found = list(threads.map(chain.retrieve, ["grey harbour", "a boat"]))
    assert all(one.passages for one in found)
    assert encoder.most == most


class Remote(HashEncoder):
    """An encoder that answers two requests at once."""

    def __init__(self) -> None:
        super().__init__()
        self._both = threading.Barrier(2)

    def encode_queries(self, texts: Any) -> FloatArray:
        self._both.wait(WAIT_S)
        return super().encode_queries(texts)


def test_a_remote_encoder_does_not_hold_up_other_questions(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The harbour of Kelp is grey. A boat lies in it.", "utf-8")
    ingest(tmp_path / "index", [str(tmp_path / "a.txt")], HashEncoder(), n_workers=1)
    with closing(EmbeddedBackend(tmp_path / "index")) as backend, ThreadPoolExecutor(2) as threads:
        found = list(threads.map(Chain(backend, Remote(), reader=WordReader()).retrieve, ["grey harbour", "a boat"]))
    assert all(one.passages for one in found)


def test_a_slow_model_does_not_hold_up_other_questions(small: Path, encoder: Encoder) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        def answer(self, task: Task) -> Iterator[Event]:
            begun.set()
            assert go_on.wait(WAIT_S)
            yield from ExtractiveAnswerer().answer(task)

    always = ChainSettings(min_relevance=0.0)
    with closing(EmbeddedBackend(small)) as backend, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(Chain(backend, encoder, Slow(), always, reader=WordReader()).invoke, "harbour")
        assert begun.wait(WAIT_S)
        assert Chain(backend, encoder, settings=always, reader=WordReader()).invoke("harbour").citations
        assert not waiting.done()
        go_on.set()
        assert waiting.result(WAIT_S).citations
