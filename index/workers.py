"""Cutting and encoding documents, in this process or in several.

A static encoder costs so little that cutting, terms and token look-ups are most of the
work, and those are Python: two processes do twice as much. Any other encoder stays in
this process, where its device is. A worker that dies costs a repeat of its batch here.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path
from types import TracebackType

import numpy as np

from index.backends.base import EncodedDocument
from index.chunk import chunk
from index.documents import Document
from index.encoders.base import Encoder
from index.encoders.static import StaticEncoder
from index.settings import IndexSettings
from index.terms import terms

Batch = list[tuple[Document, str]]
# Starting processes takes about a second: the first batches are done here meanwhile.
_HERE_FIRST = 2


@dataclass(frozen=True, slots=True)
class Pending:
    """A batch on its way: its documents, and the future of a worker or the result itself."""

    batch: Batch
    outcome: Future[list[EncodedDocument]] | list[EncodedDocument]

    def done(self) -> bool:
        return isinstance(self.outcome, list) or self.outcome.done()


class Workers:
    """Encodes batches; a context manager, because it may hold processes."""

    def __init__(self, encoder: Encoder, settings: IndexSettings, n_workers: int | None = None) -> None:
        self._encoder, self._settings = encoder, fitted(settings, encoder)
        self._n = (n_workers or os.cpu_count() or 1) if isinstance(encoder, StaticEncoder) else 1
        self._pool: ProcessPoolExecutor | None = None
        self._n_submitted = 0

    @property
    def n_in_flight(self) -> int:
        """Batches that may be on their way at once: bounds the memory they take."""
        return self._n + 1 if self._pool is not None else 0

    def submit(self, batch: Batch) -> Pending:
        """Start on a batch."""
        self._n_submitted += 1
        if self._n < 2 or self._n_submitted <= _HERE_FIRST or not isinstance(self._encoder, StaticEncoder):
            return Pending(batch, encode(batch, self._encoder, self._settings))
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._n, get_context("spawn"), _start, (self._encoder.path, self._encoder.name, self._settings)
            )
        try:
            with _interrupts_held():
                return Pending(batch, self._pool.submit(_work, batch))
        except BrokenProcessPool:
            return Pending(batch, self._again(batch))

    def result(self, pending: Pending) -> list[EncodedDocument]:
        """What came of a batch."""
        if isinstance(pending.outcome, list):
            return pending.outcome
        try:
            return pending.outcome.result()
        except BrokenProcessPool:
            return self._again(pending.batch)

    def _again(self, batch: Batch) -> list[EncodedDocument]:
        """A batch whose worker died, done here; the next one gets fresh workers."""
        self._stop()
        return encode(batch, self._encoder, self._settings)

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()


def encode(batch: Batch, encoder: Encoder, settings: IndexSettings) -> list[EncodedDocument]:
    """The documents of a batch with their passages, vectors and terms."""
    cut = [(document, file, chunk(document, encoder.count_tokens, settings)) for document, file in batch]
    sentences = [[doc.text[a:b] for a, b in passage.sentences] for doc, _, passages in cut for passage in passages]
    vectors = iter(encoder.encode_parts(sentences, settings.parts))
    return [
        EncodedDocument(
            document,
            tuple(passages),
            tuple(next(vectors).astype(np.float16) for _ in passages),
            tuple(" ".join(terms(passage.text)) for passage in passages),
            " ".join(terms(document.metadata.title)),
            file,
        )
        for document, file, passages in cut
    ]


def fitted(settings: IndexSettings, encoder: Encoder) -> IndexSettings:
    """The settings with sizes that the encoder does not truncate."""
    limit = encoder.max_tokens
    if limit is None or limit >= settings.max_tokens:
        return settings
    return IndexSettings(
        target_tokens=min(settings.target_tokens, limit),
        max_tokens=limit,
        overlap_sentences=settings.overlap_sentences,
        parts=settings.parts,
    )


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start no process that Ctrl+C reaches: a terminal sends it to all of them, and ours is the one to act on it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    ensure_running()  # multiprocessing's own helper: starting it would let interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_mine: tuple[Encoder, IndexSettings] | None = None  # of a worker process, set once at its start


def _start(path: Path, name: str, settings: IndexSettings) -> None:
    global _mine  # noqa: PLW0603 - the pool's initialiser has no other way to leave something behind
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _mine = (StaticEncoder(path, name), settings)


def _end_with_parent() -> None:
    """End this process when its parent has: the pool's queue never tells that it was killed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(batch: Batch) -> list[EncodedDocument]:
    if _mine is None:  # pragma: no cover - the initialiser ran
        raise RuntimeError("a worker was not started")
    return encode(batch, *_mine)
