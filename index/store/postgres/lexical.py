"""Our own postings: which passages hold a term, read as one value, and their BM25 scores (`index.store.bm25`)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from index.store import bm25
from index.store.bm25 import TITLE_WEIGHT
from index.store.postgres.address import Connection
from index.store.postgres.postings import term_key

_MAX_POSTINGS = 4_000_000  # that are kept: 64 MB


class Sizes(Protocol):
    """What a score depends on besides the passage."""

    n_passages: int
    mean_length: float


class Held(NamedTuple):
    """The passages that hold a term: how often each, titles by their weight, and how many terms it has in all."""

    pids: NDArray[np.int64]
    frequencies: NDArray[np.float32]
    lengths: NDArray[np.int32]


class Postings:
    """What terms are held by, of one generation, kept from one question to the next; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_term: dict[str, Held] = {}  # used last, last
        self._n = 0

    def of(self, connection: Connection, terms: Sequence[str]) -> dict[str, Held]:
        """By term; a term with spaces is a phrase."""
        with self._lock:
            found = {term: held for term in terms if (held := self._by_term.pop(term, None)) is not None}
            self._by_term |= found
        fresh = _of_words(connection, [term for term in terms if term not in found and " " not in term])
        for term in terms:
            if term not in found and " " in term:
                fresh[term] = _of_phrase(connection, term.split())
        with self._lock:
            for term, held in fresh.items():
                if term not in self._by_term:
                    self._by_term[term] = held
                    self._n += len(held.pids) + 1
            while self._n > _MAX_POSTINGS and len(self._by_term) > 1:
                oldest = next(iter(self._by_term))
                self._n -= len(self._by_term.pop(oldest).pids) + 1
        return found | fresh


def best(
    connection: Connection, facts: Sizes, postings: Postings, terms: Sequence[str], n: int
) -> list[tuple[int, float]]:
    """(pid, score) of the `n` best passages, best first."""
    wanted = list(dict.fromkeys(term for term in terms if term.split()))
    held = [own for own in postings.of(connection, wanted).values() if len(own.pids)]
    if not held:
        return []
    parts = [bm25.scores(own.frequencies, own.lengths, facts.n_passages, facts.mean_length) for own in held]
    return bm25.best([own.pids for own in held], parts, n)


def best_inside(
    connection: Connection,
    facts: Sizes,
    postings: Postings,
    terms: Sequence[str],
    n: int,
    inside: str,
    values: dict[str, Any],
) -> list[tuple[int, float]]:
    """(pid, score) of the `n` best passages that `inside`, SQL with `values`, takes; best first."""
    everything = best(connection, facts, postings, terms, facts.n_passages)
    pids = [pid for pid, _ in everything]
    rows = connection.execute(
        f"SELECT pid FROM unnest(%(found)s::bigint[]) AS one (pid) WHERE {inside}", {"found": pids, **values}
    )
    taken = {pid for (pid,) in rows}
    return [hit for hit in everything if hit[0] in taken][:n]


_POSTING = np.dtype([("pid", ">i8"), ("frequency", ">f4"), ("length", ">i4")])


def _of_words(connection: Connection, words: Sequence[str]) -> dict[str, Held]:
    """The postings of words, each as one value that numpy reads."""
    found = dict.fromkeys(words, _NONE)
    keys = {term_key(word): word for word in words}
    if keys:
        rows = connection.execute(
            "SELECT term, string_agg(int8send(pid) || float4send(frequency) || int4send(length), '')"
            " FROM postings WHERE term = ANY (%s::bigint[]) GROUP BY term",
            (list(keys),),
            binary=True,
        )
        for key, packed in rows:
            own = np.frombuffer(packed, _POSTING)
            found[keys[key]] = Held(
                own["pid"].astype(np.int64), own["frequency"].astype(np.float32), own["length"].astype(np.int32)
            )
    return found


_NONE = Held(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int32))


def _of_phrase(connection: Connection, words: list[str]) -> Held:
    """The passages in whose body or title `words` follow each other."""
    keys = sorted({term_key(word) for word in words})
    rows = connection.execute(
        "SELECT b.pid, held.length, b.body, b.title FROM (SELECT pid, min(length) AS length FROM postings"
        " WHERE term = ANY (%(keys)s::bigint[]) GROUP BY pid HAVING count(*) = %(n)s) held JOIN bodies b USING (pid)"
        " WHERE strpos(' ' || b.body || ' ', %(phrase)s) > 0 OR strpos(' ' || b.title || ' ', %(phrase)s) > 0",
        {"keys": keys, "n": len(keys), "phrase": f" {' '.join(words)} "},
    ).fetchall()
    frequencies = [_times(body, words) + TITLE_WEIGHT * _times(title, words) for _, _, body, title in rows]
    return Held(
        np.array([row[0] for row in rows], np.int64),
        np.array(frequencies, np.float32),
        np.array([row[1] for row in rows], np.int32),
    )


def _times(text: str, words: list[str]) -> int:
    """How often `words` follow each other in `text`."""
    found = text.split()
    size = len(words)
    return sum(found[i : i + size] == words for i in range(len(found) - size + 1) if found[i] == words[0])
