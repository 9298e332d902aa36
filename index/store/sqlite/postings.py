"""Which passages hold a term, with the BM25 score that it gives each: kept from one question to the next.

FTS5 looks up the length of every passage that holds a term anew for each question. Here its postings are read as one
value, in a fifth of the time, and the lengths are kept: a passage never changes.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from index.store import bm25

_MAX_POSTINGS = 8_000_000  # that are kept: 64 MB


class Lengths:
    """Number of terms of each passage by pid, read once and then caught up with; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_pid = np.zeros(0, np.int32)

    def of(self, connection: sqlite3.Connection, pids: NDArray[np.int64]) -> NDArray[np.int32]:
        """The lengths of passages that the connection's transaction sees, of rising pids."""
        if len(pids) and pids[-1] >= len(self._by_pid):
            with self._lock:
                self._catch_up(connection)
        lengths = self._by_pid[pids]
        # No passage that holds a term has none: these had gone when a newer state was read, and an older one has them.
        lost = np.flatnonzero(lengths == 0)
        if len(lost):
            rows = connection.execute(
                "SELECT id, sz FROM terms_docsize WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps(pids[lost].tolist()),),
            )
            known = {pid: int(_varints(size).sum()) for pid, size in rows}
            lengths[lost] = [known.get(pid, 0) for pid in pids[lost].tolist()]
        return lengths

    def _catch_up(self, connection: sqlite3.Connection) -> None:
        known = self._by_pid
        ids, sizes = connection.execute(
            "SELECT group_concat(id), group_concat(hex(sz), '') FROM terms_docsize WHERE id >= ?", (len(known),)
        ).fetchone()
        if ids:
            pids = np.fromstring(ids, np.int64, sep=",")
            grown = np.zeros(int(pids[-1]) + 1, np.int32)
            grown[: len(known)] = known
            # Of the body and of the title.
            grown[pids] = _varints(bytes.fromhex(sizes)).reshape(len(pids), 2).sum(axis=1)
            self._by_pid = grown


class Postings:
    """The scores of one state of a store, by term; safe for threads, each with a connection of its own."""

    def __init__(self, lengths: Lengths | None = None) -> None:
        """`lengths` of the same store's passages, which outlive its states."""
        self._lengths = lengths or Lengths()
        self._lock = threading.Lock()
        self._by_term: dict[str, tuple[NDArray[np.int32], NDArray[np.float32]]] = {}  # used last, last
        self._n = 0
        self._sizes: tuple[int, float] | None = None

    def best(
        self, connection: sqlite3.Connection, terms: Sequence[str], n: int, inside: NDArray[np.bool_] | None = None
    ) -> list[tuple[int, float]]:
        """(pid, BM25 score) of the `n` best passages that hold one of `terms`, best first, then the older.

        Only of those that are `inside`, by pid, where it is given.
        """
        found = [self._of(connection, term) for term in dict.fromkeys(terms)]
        if inside is not None:
            # They rise; past the last passage there are some only in a damaged store.
            kept = [inside[pids[: np.searchsorted(pids, len(inside))]].nonzero()[0] for pids, _ in found]
            found = [(pids[own], scores[own]) for (pids, scores), own in zip(found, kept, strict=True)]
        return bm25.best([pids for pids, _ in found], [scores for _, scores in found], n)

    def frequency(self, connection: sqlite3.Connection, term: str) -> int:
        """Number of passages that hold `term`."""
        return len(self._of(connection, term)[0])

    def _of(self, connection: sqlite3.Connection, term: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        with self._lock:
            known = self._by_term.pop(term, None)
            if known is not None:
                self._by_term[term] = known
                return known
        own = self._of_word(connection, term) or _by_fts(connection, term)
        with self._lock:
            if term not in self._by_term:
                self._by_term[term] = own
                self._n += len(own[0]) + 1
            while self._n > _MAX_POSTINGS and len(self._by_term) > 1:
                oldest = next(iter(self._by_term))
                self._n -= len(self._by_term.pop(oldest)[0]) + 1
        return own

    def _of_word(
        self, connection: sqlite3.Connection, term: str
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]] | None:
        """What holds a term that FTS5 has as it is; None of a phrase, and where nothing does."""
        connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.instances USING fts5vocab (main, terms, instance)")
        (places,) = connection.execute(
            "SELECT group_concat(doc * 2 + (col = 'title')) FROM temp.instances WHERE term = ?", (term,)
        ).fetchone()
        if not places:
            return None
        keys = np.fromstring(places, np.int64, sep=",")  # rising
        found = keys >> 1
        starts = np.flatnonzero(np.diff(found, prepend=-1))
        pids, times = found[starts], np.diff(starts, append=len(found))
        in_title = np.add.reduceat(keys & 1, starts)
        frequencies = times - (1 - bm25.TITLE_WEIGHT) * in_title
        if self._sizes is None:
            self._sizes = _sizes(connection)
        scores = bm25.scores(frequencies, self._lengths.of(connection, pids), *self._sizes)
        return pids.astype(np.int32), scores.astype(np.float32)


def _by_fts(connection: sqlite3.Connection, term: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """What FTS5 finds and how it scores it: of phrases, and of terms that it divides."""
    # Quoted, so that nothing in a question is query syntax; a quote inside a term is doubled.
    rows = connection.execute("SELECT rowid, -bm25(terms, 1.0, 0.6) FROM terms WHERE terms MATCH ?", (quoted(term),))
    pairs = np.fromiter(chain.from_iterable(rows), np.float64).reshape(-1, 2)
    return pairs[:, 0].astype(np.int32), pairs[:, 1].astype(np.float32)


def _sizes(connection: sqlite3.Connection) -> tuple[int, float]:
    """Number of passages, and the mean of their lengths: FTS5 keeps both in a record of its own."""
    (record,) = connection.execute("SELECT block FROM terms_data WHERE id = 1").fetchone()
    n_passages, *n_terms = _varints(record).tolist()
    return n_passages, sum(n_terms) / max(1, n_passages)


def _varints(data: bytes) -> NDArray[np.int64]:
    """SQLite's variable-length integers below 2**56: seven bits a byte, all bytes but the last marked."""
    octets = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(octets < 128)
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    behind = np.repeat(ends, np.diff(ends, prepend=-1)) - np.arange(len(octets))
    return np.add.reduceat((octets & 127).astype(np.int64) << (7 * behind), starts) if len(ends) else starts


def quoted(term: str) -> str:
    """`term` as a string of FTS5's query language."""
    return '"' + term.replace('"', '""') + '"'
