"""Processor time of each step of an ingest, in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from index.documents import Document, Passage
from index.encoders import load_encoder
from index.encoders.base import LateInteraction
from index.ingest import BATCH_DOCUMENTS
from index.names.forms import sound_terms
from index.names.mined import aliases_of
from index.read import clean
from index.read.jsonl import read_jsonl
from index.settings import IndexSettings, Limits
from index.store import open_writer
from index.store.base import EncodedDocument
from index.text.passages import chunk
from index.text.terms import indexed_terms

STEPS = ("read", "clean", "tokens", "cut", "encode", "words", "terms", "names", "aliases", "store", "vector file")
Result = TypeVar("Result")


def stages(articles: Path, folder: Path, settings: IndexSettings) -> tuple[int, dict[str, float]]:
    """Index a file of JSON lines into `folder`; how many passages, and milliseconds of a passage in each of `STEPS`."""
    return _Stages(settings).run(articles, folder)


class _Stages:
    """A clock a step; a step's time is its own alone."""

    def __init__(self, settings: IndexSettings) -> None:
        self._settings, self._encoder = settings, load_encoder("embedded")
        self._seconds = dict.fromkeys(STEPS, 0.0)

    def run(self, path: Path, folder: Path) -> tuple[int, dict[str, float]]:
        n_passages = 0
        articles = self._timed("read", lambda: list(read_jsonl(path, Limits())))
        with open_writer(folder, self._encoder, self._settings) as writer:
            documents = iter(
                self._timed(
                    "clean",
                    lambda: [
                        clean(one, f"{path}#{one.part}", one.part) for one in articles if not isinstance(one, Exception)
                    ],
                )
            )
            while batch := list(islice(documents, BATCH_DOCUMENTS)):
                encoded = self._encoded(batch, str(path))
                n_passages += sum(len(document.passages) for document in encoded)
                self._timed("store", partial(writer.upsert, encoded))
            self._timed("vector file", writer.refresh_vectors)
        return n_passages, {step: round(seconds / n_passages * 1000, 4) for step, seconds in self._seconds.items()}

    def _encoded(self, batch: list[Document], file: str) -> list[EncodedDocument]:
        cut = self._timed("cut", lambda: [(doc, chunk(doc, self._count_tokens, self._settings)) for doc in batch])
        vectors = iter(self._timed("encode", lambda: self._vectors(cut)))
        words = iter(self._timed("words", lambda: self._words(cut)))
        terms = iter(
            self._timed("terms", lambda: [" ".join(indexed_terms(passage.text)) for _, own in cut for passage in own])
        )
        titles = self._timed("terms", lambda: [" ".join(indexed_terms(doc.metadata.title)) for doc in batch])
        names = self._timed("names", lambda: [" ".join(_names(doc)) for doc in batch])
        aliases = self._timed("aliases", lambda: aliases_of([doc.text for doc in batch]))
        return [
            EncodedDocument(
                doc,
                tuple(own),
                tuple(islice(vectors, len(own))),
                tuple(islice(words, len(own))),
                tuple(islice(terms, len(own))),
                titles[i],
                names[i],
                tuple(aliases[i]),
                file,
            )
            for i, (doc, own) in enumerate(cut)
        ]

    def _vectors(self, cut: Sequence[tuple[Document, list[Passage]]]) -> Iterator[np.ndarray]:
        vectors = self._encoder.encode_parts(_sentences(cut), self._settings.parts)
        return (own.astype(np.float16) for own in vectors)

    def _words(self, cut: Sequence[tuple[Document, list[Passage]]]) -> list[bytes]:
        sentences = _sentences(cut)
        if not isinstance(self._encoder, LateInteraction):
            return [b""] * len(sentences)
        return self._encoder.packed_words(sentences)

    def _count_tokens(self, texts: Sequence[str]) -> list[int]:
        before = self._seconds["tokens"]
        counts = self._timed("tokens", lambda: self._encoder.count_tokens(texts))
        self._seconds["cut"] -= self._seconds["tokens"] - before
        return counts

    def _timed(self, step: str, work: Callable[[], Result]) -> Result:
        started = time.process_time()
        result = work()
        self._seconds[step] += time.process_time() - started
        return result


def _sentences(cut: Sequence[tuple[Document, list[Passage]]]) -> list[list[str]]:
    return [[doc.text[a:b] for a, b in passage.sentences] for doc, own in cut for passage in own]


def _names(document: Document) -> list[str]:
    return sound_terms(f"{document.metadata.title}\n{document.text}", document.metadata.language)
