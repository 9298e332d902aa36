"""Searches over an index of a collection, and what they find of the documents wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from eval.retrieval.collections import Collection, Question
from index.documents import Document, Metadata
from index.encoders.base import Encoder
from index.legs import query_terms
from index.search import search
from index.settings import IndexSettings, SearchSettings
from index.store.base import Snapshot
from index.store.sqlite import EmbeddedBackend, Writer
from index.text.language import detect_language
from index.workers import encode

_DOCUMENTS_AT_ONCE = 500
DENSE_ONLY = SearchSettings(lexical_weight=0.0, names_weight=0.0, quoted_weight=0.0)
UNFAIR = SearchSettings(level_weight=0.0, reserved_share=0.0)


@dataclass(frozen=True, slots=True)
class Found:
    """Means over questions, each in [0, 1], and how many there were."""

    recall_1: float
    recall_5: float
    recall_10: float
    ndcg_10: float
    n: int


@contextmanager
def indexed(documents: Mapping[str, tuple[str, str]], encoder: Encoder) -> Iterator[Snapshot]:
    """A snapshot of a new index of `documents`, in a folder that goes with it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        made = [
            (Document(name, name, text, Metadata(language=language)), name)
            for name, (language, text) in documents.items()
        ]
        with Writer(path, encoder, IndexSettings()) as writer:
            for start in range(0, len(made), _DOCUMENTS_AT_ONCE):
                writer.upsert(encode(made[start : start + _DOCUMENTS_AT_ONCE], encoder, writer.settings))
            writer.refresh_vectors()
        backend = EmbeddedBackend(path)
        try:
            with backend.snapshot() as snapshot:
                yield snapshot
        finally:
            backend.close()


def by_search(
    snapshot: Snapshot, encoder: Encoder, questions: Iterable[Question], settings: SearchSettings, k: int = 10
) -> list[list[str]]:
    """The documents that search ranks first for each question, each once, at most `k`."""
    # Copies are left in: a set may hold a text twice, and either is the one wanted.
    settings = replace(settings, copy_share=2.0)
    return [
        _documents(item.passage.source for item in search(snapshot, encoder, asked.text, 2 * k, settings).passages)[:k]
        for asked in questions
    ]


def by_words(snapshot: Snapshot, questions: Iterable[Question], k: int = 10) -> list[list[str]]:
    """The documents that the lexical leg ranks first for each question, at most `k`."""
    found = []
    for asked in questions:
        wanted = query_terms(asked.text, detect_language(asked.text))
        pids = [hit.pid for hit in snapshot.lexical(wanted, 2 * k)]
        passages = snapshot.passages(pids)
        found.append(_documents(passages[pid].source for pid in pids)[:k])
    return found


def found(ranked: Sequence[Sequence[str]], wanted: Sequence[frozenset[str]]) -> Found:
    """Recall and nDCG of rankings in which one document is wanted each, or any of several that are as good."""
    ranks = np.array(
        [
            next((rank for rank, name in enumerate(names) if name in gold), 10**6)
            for names, gold in zip(ranked, wanted, strict=True)
        ]
    )
    gain = np.where(ranks < 10, 1 / np.log2(ranks + 2.0), 0.0)
    one, five, ten = (float((ranks < k).mean()) for k in (1, 5, 10))
    return Found(one, five, ten, float(gain.mean()), len(ranks))


def merged(collections: Iterable[Collection]) -> dict[str, tuple[str, str]]:
    """The documents of several collections."""
    return {name: document for collection in collections for name, document in collection.documents.items()}


def _documents(sources: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(sources))
