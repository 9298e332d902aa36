"""Which passages hold a term, with the BM25 score that it gives each: kept from one question to the next.

FTS5 counts and weighs every passage that holds a term anew for each question. Its score of a passage is the sum over
the terms, so that those of one term can be kept, as long as nothing is written, and added.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

_MAX_POSTINGS = 8_000_000  # that are kept: 64 MB


class Postings:
    """The scores of one state of a store, by term; safe for threads, each with a connection of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_term: dict[str, tuple[NDArray[np.int32], NDArray[np.float32]]] = {}  # used last, last
        self._n = 0

    def best(self, connection: sqlite3.Connection, terms: Sequence[str], n: int) -> list[tuple[int, float]]:
        """(pid, BM25 score) of the `n` best passages that hold one of `terms`, best first, then the older."""
        found = [self._of(connection, term) for term in dict.fromkeys(terms)]
        pids = np.concatenate([own for own, _ in found])
        if not len(pids):
            return []
        first = int(pids.min())
        scores = np.bincount(pids - first, np.concatenate([own for _, own in found]))
        places = np.flatnonzero(scores)
        scores = scores[places]
        if len(places) > n:
            kept = scores >= np.partition(scores, len(scores) - n)[len(scores) - n]
            places, scores = places[kept], scores[kept]
        order = np.lexsort((places, -scores))[:n]
        return list(zip((places[order] + first).tolist(), scores[order].tolist(), strict=True))

    def frequency(self, connection: sqlite3.Connection, term: str) -> int:
        """Number of passages that hold `term`."""
        return len(self._of(connection, term)[0])

    def _of(self, connection: sqlite3.Connection, term: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        with self._lock:
            known = self._by_term.pop(term, None)
            if known is not None:
                self._by_term[term] = known
                return known
        # Quoted, so that nothing in a question is query syntax; a quote inside a term is doubled.
        rows = connection.execute(
            "SELECT rowid, -bm25(terms, 1.0, 0.6) FROM terms WHERE terms MATCH ?", (quoted(term),)
        )
        pairs = np.fromiter(chain.from_iterable(rows), np.float64).reshape(-1, 2)
        own = pairs[:, 0].astype(np.int32), pairs[:, 1].astype(np.float32)
        with self._lock:
            if term not in self._by_term:
                self._by_term[term] = own
                self._n += len(pairs) + 1
            while self._n > _MAX_POSTINGS and len(self._by_term) > 1:
                oldest = next(iter(self._by_term))
                self._n -= len(self._by_term.pop(oldest)[0]) + 1
        return own


def quoted(term: str) -> str:
    """`term` as a string of FTS5's query language."""
    return '"' + term.replace('"', '""') + '"'
