"""Cutting and encoding documents, in this process or in a pool of processes.

A static encoder costs so little that cutting, terms and token look-ups are most of the work, and those are Python:
two processes do twice as much. Any other encoder stays in this process, where its device is.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from index.documents import Document
from index.encoders.base import Encoder
from index.encoders.static import StaticEncoder
from index.names import glosses, phonetic_terms
from index.pool import Pool, ProcessDied
from index.settings import IndexSettings
from index.store.base import EncodedDocument, FileRecord
from index.store.quantized import rounded
from index.text.passages import chunk
from index.text.terms import indexed_terms

_CHARS_IN_PROCESS = 200_000  # that are encoded in this process first: starting others takes about a second
_LIMIT_S = 600.0  # of a batch, which takes about a second
_LIMIT_BYTES = 4 * 2**30

Documents = Sequence[tuple[Document, str]]  # each with the location of its file


@dataclass(slots=True)
class Batch:
    """Documents that are encoded together and stored in one transaction, and the files that end with them."""

    documents: list[tuple[Document, str]] = field(default_factory=list)  # each with the location of its file
    files: list[FileRecord] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)  # ids of documents that these files no longer hold
    forgotten: list[str] = field(default_factory=list)  # locations of files that are gone
    n_chars: int = 0
    encoded: list[EncodedDocument] = field(default_factory=list)

    def add(self, document: Document, file: str) -> None:
        """Put a document in."""
        self.documents.append((document, file))
        self.n_chars += len(document.text)


class Workers(AbstractContextManager["Workers"]):
    """Encodes batches; a context manager, because it may hold processes."""

    def __init__(self, encoder: Encoder, settings: IndexSettings, n_workers: int | None = None) -> None:
        """Note what to encode with.

        Args:
            encoder: A static one is loaded again in each process; others stay in this process.
            settings: How documents are cut.
            n_workers: Processes; 0 for none but this one, by default one a core.
        """
        self._encoder, self._settings = encoder, fitted(settings, encoder)
        self._n, set_up = 0, None
        if isinstance(encoder, StaticEncoder):
            self._n = (os.cpu_count() or 1) if n_workers is None else n_workers
            set_up = partial(_set_up, encoder.path, encoder.name, self._settings)
        self._pool = Pool(self._n or 1, _LIMIT_S, _LIMIT_BYTES, set_up)
        self._n_chars = 0

    def encoded(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches in their order, each with its encoded documents; some are read ahead for the processes."""
        pending: deque[tuple[Batch, Future[Any] | None]] = deque()
        for batch in batches:
            self._n_chars += batch.n_chars
            away = self._n and self._n_chars > _CHARS_IN_PROCESS and batch.documents
            pending.append((batch, self._started(batch.documents) if away else None))
            while pending and (len(pending) > self._n + 1 or (task := pending[0][1]) is None or task.done()):
                yield self._finished(*pending.popleft())
        while pending:
            yield self._finished(*pending.popleft())

    def _finished(self, batch: Batch, task: Future[Any] | None) -> Batch:
        try:
            found = self._result(task) if task is not None else None
        except ProcessDied:
            found = None
        batch.encoded = encode(batch.documents, self._encoder, self._settings) if found is None else found
        return batch

    def _started(self, documents: Documents) -> Future[Any]:
        """A call of `encode` elsewhere."""
        return self._pool.submit(_encode, documents)

    def _result(self, task: Future[Any]) -> list[EncodedDocument]:
        encoded: list[EncodedDocument] = self._pool.result(task)
        return encoded

    def __exit__(self, *_: object) -> None:
        self._pool.close()


def encode(documents: Documents, encoder: Encoder, settings: IndexSettings) -> list[EncodedDocument]:
    """Documents with their passages, and the vectors, words, terms and names of these."""
    cut = [chunk(document, encoder.count_tokens, settings) for document, _ in documents]
    sentences = [
        [document.text[a:b] for a, b in passage.sentences]
        for (document, _), passages in zip(documents, cut, strict=True)
        for passage in passages
    ]
    vectors = rounded(encoder.encode_sentences(sentences))
    ends = np.cumsum([len(passages) for passages in cut], dtype=int)
    words = iter(encoder.packed_words(sentences) if isinstance(encoder, StaticEncoder) else [b""] * len(sentences))
    aliases = [glosses(document.text) for document, _ in documents]
    return [
        EncodedDocument(
            document,
            tuple(passages),
            vectors[end - len(passages) : end],
            tuple(next(words) for _ in passages),
            tuple(" ".join(indexed_terms(passage.text)) for passage in passages),
            " ".join(indexed_terms(document.metadata.title)),
            " ".join(phonetic_terms(f"{document.metadata.title}\n{document.text}", document.metadata.language)),
            tuple(own),
            file,
        )
        for (document, file), passages, own, end in zip(documents, cut, aliases, ends, strict=True)
    ]


def fitted(settings: IndexSettings, encoder: Encoder) -> IndexSettings:
    """The settings with sizes that the encoder does not truncate."""
    limit = encoder.max_tokens
    if limit is None or limit >= settings.max_tokens:
        return settings
    return replace(settings, target_tokens=min(settings.target_tokens, limit), max_tokens=limit)


_own: list[tuple[StaticEncoder, IndexSettings]] = []  # of a process of the pool


def _set_up(path: Path, name: str, settings: IndexSettings) -> None:
    _own.append((StaticEncoder(path, name), settings))


def _encode(documents: Documents) -> list[EncodedDocument]:
    """`encode` in a process of the pool."""
    return encode(documents, *_own[0])
