"""One state of an embedded index, and what a search reads of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray
from index.store.base import EVERYTHING, Filter, Hit
from index.store.bm25 import TITLE_WEIGHT
from index.store.snapshot import Facts, SqlSnapshot, keep
from index.store.sqlite.schema import SqliteRows
from index.store.sqlite.vectors import Indexes, advanced, language_group, nearest

_MAX_REMEMBERED = 10_000  # frequencies of terms, of one generation
# bm25() takes 1.3 to 1.8 us for each passage that holds a term. Beyond this sum the commonest terms of a question are
# left out: they tell least. docs/decisions/0007
_MAX_POSTINGS = 20_000


@dataclass(slots=True)
class EmbeddedFacts(Facts):
    """The FAISS indexes of one generation, and the counts that its searches share."""

    indexes: Indexes = field(default_factory=dict)
    frequencies: dict[str, int] = field(default_factory=dict)
    allowed: dict[Filter, NDArray[np.uint8]] = field(default_factory=dict)  # a bit a pid


class EmbeddedSnapshot(SqliteRows, SqlSnapshot):
    """One state of the index; see `index.store.base.Snapshot`."""

    facts: EmbeddedFacts

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Read what the connection's open transaction sees."""
        self.path, self.connection = path, connection
        super().__init__()

    def read_facts(self, last: Facts) -> EmbeddedFacts:
        """The FAISS indexes of this state; groups of the last one that did not change are shared."""
        assert isinstance(last, EmbeddedFacts)
        return EmbeddedFacts(indexes=advanced(last.indexes, self, self.dim))

    def nearest(self, query: FloatArray, n: int, where: Filter = EVERYTHING) -> list[Hit]:
        allowed = self._allowed_pids(where) if where != EVERYTHING else None
        groups = {language_group(tag) for tag in self.languages(where)} & self.facts.indexes.keys()
        found = [hit for group in groups for hit in nearest(self.facts.indexes[group], query, n, allowed)]
        pids = [pid for pid, _ in found]
        languages: dict[int, str] = dict(self.rows("SELECT pid, language FROM vectors WHERE pid IN ?", pids))
        return [Hit(pid, languages[pid], score) for pid, score in sorted(found, key=lambda hit: (-hit[1], hit[0]))]

    def _allowed_pids(self, where: Filter) -> NDArray[np.uint8]:
        known = self.facts.allowed.get(where)
        if known is None:
            inside, values = self.inside(where)
            bits = np.zeros(1 + self.count("coalesce(max(pid), 0) FROM passages"), dtype=bool)
            bits[[pid for (pid,) in self.rows(inside, *values)]] = True
            known = np.packbits(bits, bitorder="little")
            keep(self.facts.allowed, where, known)
        return known

    def lexical(self, terms: Sequence[str], n: int, where: Filter = EVERYTHING) -> list[Hit]:
        """See `index.store.base.Snapshot`; the commonest of many terms are left out in a large index."""
        wanted = self._affordable(list(dict.fromkeys(terms)))
        if not wanted:
            return []
        inside, values = self.inside(where) if where != EVERYTHING else ("", [])
        rows = self.rows(
            f"SELECT p.pid, p.language, score FROM (SELECT rowid AS pid, -bm25(terms, 1.0, {TITLE_WEIGHT}) AS score"
            f" FROM terms WHERE terms MATCH ?{f' AND rowid IN ({inside})' if inside else ''}"
            " ORDER BY score DESC, pid LIMIT ?) JOIN passages p USING (pid) ORDER BY score DESC, p.pid",
            " OR ".join(map(_quoted, wanted)),
            *values,
            n,
        )
        return [Hit(*row) for row in rows]

    def _affordable(self, terms: list[str]) -> list[str]:
        """The terms that some passage holds, without the commonest where all together are held by too many."""
        frequencies = self.frequencies(terms)
        kept: list[str] = []
        total = 0
        for term in sorted(frequencies, key=lambda term: frequencies[term]):
            total += frequencies[term]
            if kept and total > _MAX_POSTINGS:
                break
            kept.append(term)
        return kept

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        known = self.facts.frequencies
        if len(known) > _MAX_REMEMBERED:
            known.clear()
        found = {}
        for term in terms:
            n = known.get(term)  # other threads use these facts too
            if n is None:
                n = known[term] = self.count("count(*) FROM terms WHERE terms MATCH ?", _quoted(term))
            if n:
                found[term] = n
        return found


def _quoted(term: str) -> str:
    """`term` as a string of FTS5's query language, so that nothing in a question is query syntax."""
    return '"' + term.replace('"', '""') + '"'
