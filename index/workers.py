"""Cutting and encoding documents, in this process or in several.

A static encoder costs so little that cutting, terms and token look-ups are most of the
work, and those are Python: two processes do twice as much. Any other encoder stays in
this process, where its device is. A worker that dies costs a repeat of its batch here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

import numpy as np

from index.documents import Document
from index.encoders.base import Encoder, LateInteraction
from index.encoders.static import StaticEncoder
from index.names.forms import sound_terms
from index.names.mined import aliases_of
from index.processes import OtherProcess
from index.settings import IndexSettings
from index.store.base import EncodedDocument
from index.text.passages import chunk
from index.text.terms import indexed_terms

Batch = list[tuple[Document, str]]
# Starting processes takes about a second: the first batches are done here meanwhile.
_HERE_FIRST = 4


@dataclass(frozen=True, slots=True)
class Pending:
    """A batch on its way: its documents, and the future of a worker or the result itself."""

    batch: Batch
    outcome: Future[list[EncodedDocument]] | list[EncodedDocument]

    def done(self) -> bool:
        return isinstance(self.outcome, list) or self.outcome.done()


class Workers:
    """Encodes batches; a context manager, because it may hold processes.

    For each process there is a thread here that waits for it.
    """

    def __init__(self, encoder: Encoder, settings: IndexSettings, n_workers: int | None = None) -> None:
        self._encoder, self._settings = encoder, fitted(settings, encoder)
        wanted = (os.cpu_count() or 1) if n_workers is None else n_workers
        self._n = wanted if isinstance(encoder, StaticEncoder) else 1
        self._threads: ThreadPoolExecutor | None = None
        self._idle: list[OtherProcess] = []
        self._n_submitted = 0

    @property
    def n_in_flight(self) -> int:
        """Batches that may be on their way at once: bounds the memory they take."""
        return self._n + 1 if self._threads is not None else 0

    def submit(self, batch: Batch) -> Pending:
        """Start on a batch."""
        self._n_submitted += 1
        if self._n < 2 or self._n_submitted <= _HERE_FIRST or not isinstance(self._encoder, StaticEncoder):
            return Pending(batch, encode(batch, self._encoder, self._settings))
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._n)
        return Pending(batch, self._threads.submit(self._give_away, batch, self._encoder))

    def result(self, pending: Pending) -> list[EncodedDocument]:
        """What came of a batch; one whose worker died is done here."""
        if isinstance(pending.outcome, list):
            return pending.outcome
        try:
            return pending.outcome.result()
        except Exception:  # noqa: BLE001 - what is wrong with the batch itself is raised here as well
            return encode(pending.batch, self._encoder, self._settings)

    def _give_away(self, batch: Batch, encoder: StaticEncoder) -> list[EncodedDocument]:
        """The batch as a worker encodes it; runs in a thread."""
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = OtherProcess(partial(_encoding, encoder.path, encoder.name, self._settings))
        try:
            encoded: list[EncodedDocument] = worker.ask(batch)
        except BaseException:
            worker.close()
            raise
        self._idle.append(worker)
        return encoded

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
            self._threads = None
        while self._idle:
            self._idle.pop().close()


def encode(batch: Batch, encoder: Encoder, settings: IndexSettings) -> list[EncodedDocument]:
    """The documents of a batch with their passages, vectors, words and terms."""
    cut = [(document, file, chunk(document, encoder.count_tokens, settings)) for document, file in batch]
    sentences = [[doc.text[a:b] for a, b in passage.sentences] for doc, _, passages in cut for passage in passages]
    vectors = iter(encoder.encode_parts(sentences, settings.parts))
    words = iter(encoder.packed_words(sentences) if isinstance(encoder, LateInteraction) else [b""] * len(sentences))
    aliases = aliases_of([document.text for document, _ in batch])
    return [
        EncodedDocument(
            document,
            tuple(passages),
            tuple(next(vectors).astype(np.float16) for _ in passages),
            tuple(next(words) for _ in passages),
            tuple(" ".join(indexed_terms(passage.text)) for passage in passages),
            " ".join(indexed_terms(document.metadata.title)),
            " ".join(sound_terms(f"{document.metadata.title}\n{document.text}", document.metadata.language)),
            tuple(own),
            file,
        )
        for (document, file, passages), own in zip(cut, aliases, strict=True)
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


def _encoding(path: Path, name: str, settings: IndexSettings) -> Callable[[Batch], list[EncodedDocument]]:
    """What a worker process does with its batches."""
    encoder = StaticEncoder(path, name)
    return lambda batch: encode(batch, encoder, settings)
