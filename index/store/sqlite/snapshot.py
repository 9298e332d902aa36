"""One state of an embedded index, and all that a search reads of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from index.documents import Document
from index.encoders.base import FloatArray
from index.names import Alias
from index.store.base import EVERYTHING, Filter, Hit, PassageVectors, StoredPassage
from index.store.bm25 import TITLE_WEIGHT
from index.store.quantized import unpacked
from index.store.sqlite.documents import whole_documents
from index.store.sqlite.schema import folded
from index.store.sqlite.vectors import VectorIndex, language_group

Key = TypeVar("Key")
Value = TypeVar("Value")
_MAX_REMEMBERED = 10_000  # frequencies of terms, of one generation
_MAX_FILTERS = 16
# bm25() takes 1.3 to 1.8 us for each passage that holds a term. Beyond this sum the commonest terms of a question are
# left out: they tell least. docs/decisions/0007
_MAX_POSTINGS = 20_000
_MAX_ALIAS_ROWS = 20_000  # that are looked at: of more documents, the first ones speak for the others
_MAX_ALIASES = 64  # of the names of one question


@dataclass(slots=True)
class Facts:
    """Counts that every search of one generation asks for, kept from one question to the next."""

    languages: dict[Filter, dict[str, int]] = field(default_factory=dict)
    allowed: dict[Filter, NDArray[np.uint8]] = field(default_factory=dict)  # a bit a pid
    frequencies: dict[str, int] = field(default_factory=dict)


class EmbeddedSnapshot:
    """One state of the index; see `index.store.base.Snapshot`."""

    def __init__(self, connection: sqlite3.Connection, index: VectorIndex, facts: Facts, dim: int) -> None:
        self._connection, self._index, self._facts, self._dim = connection, index, facts, dim

    def nearest(self, query: FloatArray, n: int, where: Filter = EVERYTHING) -> list[Hit]:
        allowed = self._allowed(where) if where != EVERYTHING else None
        groups = dict.fromkeys(language_group(tag) for tag in self.languages(where))
        found = [hit for group in groups for hit in self._index.nearest(group, query, n, allowed)]
        rows = self._connection.execute(
            "SELECT pid, language FROM passages WHERE pid IN (SELECT value FROM json_each(?))",
            (json.dumps([pid for pid, _ in found]),),
        )
        languages = dict(rows.fetchall())
        return [Hit(pid, languages[pid], score) for pid, score in sorted(found, key=lambda hit: (-hit[1], hit[0]))]

    def _allowed(self, where: Filter) -> NDArray[np.uint8]:
        known = self._facts.allowed.get(where)
        if known is None:
            condition, values = _condition(where)
            rows = self._connection.execute(f"SELECT p.pid FROM {_BOTH} WHERE {condition}", values).fetchall()
            bits = np.zeros(self._index.max_pid + 1, dtype=bool)
            bits[[pid for (pid,) in rows]] = True
            known = np.packbits(bits, bitorder="little")
            _keep(self._facts.allowed, where, known, _MAX_FILTERS)
        return known

    def lexical(self, terms: Sequence[str], n: int, where: Filter = EVERYTHING) -> list[Hit]:
        """See `index.store.base.Snapshot`; the commonest of many terms are left out in a large index."""
        wanted = self._affordable(list(dict.fromkeys(terms)))
        if not wanted:
            return []
        condition, values = _condition(where)
        inside = f" AND rowid IN (SELECT p.pid FROM {_BOTH} WHERE {condition})" if where != EVERYTHING else ""
        rows = self._connection.execute(
            f"SELECT p.pid, p.language, score FROM (SELECT rowid AS pid, -bm25(terms, 1.0, {TITLE_WEIGHT}) AS score"
            f" FROM terms WHERE terms MATCH ?{inside} ORDER BY score DESC, pid LIMIT ?) JOIN passages p USING (pid)"
            " ORDER BY score DESC, p.pid",
            (" OR ".join(map(_quoted, wanted)), *(values if inside else ()), n),
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
        known = self._facts.frequencies
        for term in terms:
            if term not in known:
                query = "SELECT count(*) FROM terms WHERE terms MATCH ?"
                (found,) = self._connection.execute(query, (_quoted(term),)).fetchone()
                _keep(known, term, found, _MAX_REMEMBERED)
        return {term: known[term] for term in terms if known.get(term)}

    def vectors(self, pids: Sequence[int]) -> dict[int, PassageVectors]:
        rows = self._connection.execute(
            "SELECT v.pid, v.parts, v.words FROM vectors v JOIN passages p USING (pid) JOIN documents d USING (doc_pk)"
            " WHERE v.pid IN (SELECT value FROM json_each(?)) AND p.n_vectors > 0 AND d.settings_key = ?",
            (json.dumps(list(pids)), self._index.settings_key),
        ).fetchall()
        matrix = unpacked(b"".join(parts for _, parts, _ in rows), self._dim)
        size, start, found = self._dim + 2, 0, {}
        for pid, parts, words in rows:
            end = start + len(parts) // size
            found[pid] = PassageVectors(matrix[start:end], words)
            start = end
        return found

    def passages(self, pids: Sequence[int]) -> dict[int, StoredPassage]:
        rows = self._connection.execute(
            "SELECT p.pid, d.doc_id, d.source, d.title, d.url, d.author, d.date, p.language, p.section, p.start, p.end,"
            ' substr(d.text, p.start + 1, p."end" - p.start), p.sentences'
            f" FROM {_BOTH} WHERE p.pid IN (SELECT value FROM json_each(?))",
            (json.dumps(list(pids)),),
        )
        stored = {row[0]: row for row in rows}
        found = {}
        for pid in pids:
            if pid in stored:
                row = stored[pid]
                offsets = (np.frombuffer(row[-1], dtype=np.int32).reshape(-1, 2) + row[9]).tolist()
                fields: list[Any] = [*row[:12], tuple((start, end) for start, end in offsets)]
                found[pid] = StoredPassage(*fields)
        return found

    def languages(self, where: Filter = EVERYTHING) -> dict[str, int]:
        known = self._facts.languages.get(where)
        if known is None:
            condition, values = _condition(where)
            tables = _BOTH if where.of_documents else "passages p"
            rows = self._connection.execute(
                f"SELECT p.language, count(*) FROM {tables} WHERE {condition} GROUP BY p.language ORDER BY 2 DESC, 1",
                values,
            )
            known = dict(rows.fetchall())
            _keep(self._facts.languages, where, known, _MAX_FILTERS)
        return known

    def aliases(self, keys: Sequence[str]) -> list[Alias]:
        rows = self._connection.execute(
            "SELECT name, other, max(confidence) AS sure FROM"
            " (SELECT name, other, confidence FROM aliases WHERE key IN (SELECT value FROM json_each(?)) LIMIT ?)"
            " GROUP BY name, other ORDER BY sure DESC, count(*) DESC, name, other LIMIT ?",
            (json.dumps(list(keys)), _MAX_ALIAS_ROWS, _MAX_ALIASES),
        )
        return [Alias(*row) for row in rows]

    def phonetic(self, keys: Sequence[str]) -> dict[str, int]:
        rows = self._connection.execute(
            "SELECT form, max(n_documents) FROM forms WHERE key IN (SELECT value FROM json_each(?)) GROUP BY form",
            (json.dumps(list(keys)),),
        )
        return dict(rows.fetchall())

    def document(self, doc_id: str) -> Document | None:
        return next((document for _, document, _ in whole_documents(self._connection, "doc_id = ?", doc_id, 1)), None)


_BOTH = "passages p JOIN documents d USING (doc_pk)"


def _keep(known: dict[Key, Value], key: Key, value: Value, most: int) -> None:
    """Remember a value; all others are forgotten where there are too many."""
    if len(known) >= most:
        known.clear()
    known[key] = value


def _quoted(term: str) -> str:
    """`term` as a string of FTS5's query language, so that nothing in a question is query syntax."""
    return '"' + term.replace('"', '""') + '"'


def _condition(where: Filter) -> tuple[str, list[str]]:
    """SQL over passages p and documents d that holds for the passages of `where`, and its values."""
    parts = ["1"]
    values: list[str] = []

    def any_of(condition: str, choices: Sequence[tuple[str, ...]]) -> None:
        if choices:
            parts.append("(" + " OR ".join([condition] * len(choices)) + ")")
            values.extend(value for choice in choices for value in choice)

    any_of(
        "lower(p.language) = ? OR substr(lower(p.language), 1, length(?) + 1) = ? || '-'",
        [(name.lower(),) * 3 for name in where.languages],
    )
    any_of(
        "d.source = ? OR d.source GLOB ? OR substr(d.source, 1, length(?)) = ?",
        [(name, name, *([name.rstrip("/") + "/"] * 2)) for name in where.sources],
    )
    # Dates are ISO 8601, so that they compare as text; a month or a year ends with all that begins like it.
    any_of("d.date >= ?", [(where.since,)] if where.since else [])
    any_of("d.date != '' AND substr(d.date, 1, length(?)) <= ?", [(where.until,) * 2] if where.until else [])
    any_of("d.doc_pk IN (SELECT doc_pk FROM tags WHERE folded = ?)", [(folded(tag),) for tag in where.tags])
    return " AND ".join(parts), values
