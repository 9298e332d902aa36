"""Reading an embedded index: one consistent generation at a time."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.documents import Document
from index.encoders.base import FloatArray
from index.names import Alias
from index.store.base import EVERYTHING, Filter, Hit, PassageVectors, StoredPassage
from index.store.sqlite import vectors as vec
from index.store.sqlite.loading import Facts, Loader
from index.store.sqlite.near import Near, Scores, as_single, scores
from index.store.sqlite.schema import connect, folded, has_names, has_tags, has_words, translated
from index.store.sqlite.stored import whole_documents

_VECTORS_A_PASSAGE = 8  # fetched for each passage wanted: it has up to a dozen, of which several may be near
_MAX_FILTERS = 16  # whose passages are remembered
_MAX_LANGUAGES = 200_000  # passages whose language is remembered; about 20 MB
_MAX_ALIAS_ROWS = 20_000  # that are looked at: of more documents, the first ones speak for the others
_MAX_ALIASES = 64  # of the names of one question; a name that many articles gloss has many


class Reader:
    """Searches an index; safe to use from many threads.

    Invariant: every answer comes from one read transaction and the vectors of that very
    generation; a vector file that is missing, stale or damaged is made up for from the store.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._idle: list[sqlite3.Connection] = []
        self._loader = Loader(folder)

    @contextmanager
    def snapshot(self) -> Iterator[EmbeddedSnapshot]:
        """The newest state, held still for the length of the block.

        Raises:
            StoreDamaged: The store cannot be read.
        """
        with translated(self._folder):
            connection = self._take()
            try:
                connection.execute("BEGIN")
                meta = dict(connection.execute("SELECT key, value FROM meta"))
                loaded = self._loader.of(connection, meta)
                dim, key = int(meta["dim"]), meta["settings_key"]
                yield EmbeddedSnapshot(connection, loaded.view, loaded.facts, dim, key)
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)

    @property
    def note(self) -> str:
        """Why the vector file on disk was not used, empty where it was."""
        return self._loader.note

    def close(self) -> None:
        """Close the connections that no snapshot holds."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> sqlite3.Connection:
        """A connection for one snapshot alone: each has a read transaction of its own."""
        try:
            return self._idle.pop()
        except IndexError:
            return connect(self._folder)


def _condition(where: Filter, tagged: bool) -> tuple[str, list[str]]:
    """SQL over passages p and documents d that holds for what `where` takes, and its values."""
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
    if where.tags and not tagged:
        return "0", []
    any_of("d.doc_pk IN (SELECT doc_pk FROM tags WHERE folded = ?)", [(folded(tag),) for tag in where.tags])
    return " AND ".join(parts), values


class EmbeddedSnapshot:
    """One state of the index; see `index.store.base.Snapshot`."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        view: vec.VectorView,
        facts: Facts,
        dim: int,
        settings_key: str,
    ) -> None:
        self._connection, self._view, self._dim, self._key = connection, view, dim, settings_key
        self._facts = facts
        self._near = Near(view, facts.layouts)
        self._query: FloatArray | None = None  # whose scores are these
        self._scores: Scores = {}

    def _dense(self, query: FloatArray, n: int, where: Filter) -> list[tuple[int, float]]:
        languages = {name for name in self._view.languages() if where.takes(name)} if where.languages else None
        allowed = self._vector_ids(where) if where.of_documents else None
        found = self._view.nearest(query, n + self._view.spare, languages, allowed)
        return self._ranked_anew(query, n, [pid for pid, _ in found]) if self._view.spare else found

    def _ranked_anew(self, query: FloatArray, n: int, pids: Sequence[int]) -> list[tuple[int, float]]:
        """The passages of the `n` nearest vectors of `pids`, by their stored vectors."""
        scored = [(-cosine, pid) for pid, own in self.vectors(pids).items() for cosine in (own.matrix @ query).tolist()]
        best: dict[int, float] = {}
        for negative, pid in sorted(scored)[:n]:
            best.setdefault(pid, -negative)
        return list(best.items())

    def _vector_ids(self, where: Filter) -> vec.IntArray:
        """Ids of the vectors of all passages that `where` takes."""
        where = replace(where, languages=())  # those have lists of their own
        known = self._facts.vector_ids.get(where)
        if known is None:
            if len(self._facts.vector_ids) >= _MAX_FILTERS:
                self._facts.vector_ids.clear()
            condition, values = _condition(where, has_tags(self._connection))
            rows = self._connection.execute(
                "SELECT p.pid, p.n_vectors FROM passages p JOIN documents d USING (doc_pk)"
                f" WHERE d.settings_key = ? AND {condition} ORDER BY p.pid",
                (self._key, *values),
            )
            known = np.concatenate([np.empty(0, np.int64), *(vec.part_ids(pid, n) for pid, n in rows)])
            self._facts.vector_ids[where] = known
        return known

    def lexical(self, terms: Sequence[str], n: int, where: Filter = EVERYTHING) -> list[Hit]:
        if not terms:
            return []
        inside = None if where == EVERYTHING else self._inside(where)
        return self._hits(self._facts.postings.best(self._connection, terms, n, inside))

    def _hits(self, scored: Sequence[tuple[int, float]]) -> list[Hit]:
        languages = self._languages_of([pid for pid, _ in scored])
        return [Hit(pid, languages[pid], score) for pid, score in scored if pid in languages]

    def _inside(self, where: Filter) -> NDArray[np.bool_]:
        """Whether `where` takes a passage, by pid."""
        known = self._facts.inside.get(where)
        if known is None:
            if len(self._facts.inside) >= _MAX_FILTERS:
                self._facts.inside.clear()
            condition, values = _condition(where, has_tags(self._connection))
            documents = " JOIN documents d USING (doc_pk)" if where.of_documents else ""
            (pids,) = self._connection.execute(
                f"SELECT group_concat(p.pid) FROM passages p{documents} WHERE {condition}", values
            ).fetchone()
            (most,) = self._connection.execute("SELECT coalesce(max(pid), 0) FROM passages").fetchone()
            known = np.zeros(most + 1, dtype=bool)
            known[np.fromstring(pids or "", np.int64, sep=",")] = True
            self._facts.inside[where] = known
        return known

    def vectors(self, pids: Sequence[int]) -> dict[int, PassageVectors]:
        words = self._words(pids)
        return {
            pid: PassageVectors(as_single(np.frombuffer(blob, np.float16)).reshape(-1, self._dim), words.get(pid, b""))
            for pid, blob in self._vector_rows(pids)
        }

    def _vector_rows(self, pids: Sequence[int]) -> list[tuple[int, bytes]]:
        wanted = json.dumps(list(pids))
        if self._facts.all_current:
            query = "SELECT pid, vectors FROM passages WHERE pid IN (SELECT value FROM json_each(?))"
            return self._connection.execute(query, (wanted,)).fetchall()
        return self._connection.execute(
            "SELECT p.pid, p.vectors FROM passages p JOIN documents d USING (doc_pk)"
            " WHERE p.pid IN (SELECT value FROM json_each(?)) AND d.settings_key = ?",
            (wanted, self._key),
        ).fetchall()

    def nearest(self, query: FloatArray, n: int, where: Filter = EVERYTHING) -> list[Hit]:
        groups: dict[str, list[str]] = {}
        for tag in self.languages(where):
            groups.setdefault(tag.split("-")[0], []).append(tag)
        best: dict[int, float] = {}
        for tags in groups.values():
            best |= self._nearest_in(query, n, tags, where)
        return self._hits(sorted(best.items(), key=lambda item: (-item[1], item[0])))

    def _nearest_in(self, query: FloatArray, n: int, tags: Sequence[str], where: Filter) -> dict[int, float]:
        """The `n` nearest passages of these languages together, each with the greatest cosine of its vectors."""
        if where.of_documents:
            found = self._dense(query, _VECTORS_A_PASSAGE * n, replace(where, languages=tuple(tags)))
            return dict(found[:n])
        exact = self._near.exact
        pids = self._near.nearest(query, n, tags) if exact else self._near.probably_nearest(query, 2 * n, tags)
        best = {pid: max(whole, part) for pid, (whole, part, _) in self._cosines(query, pids).items()}
        return dict(sorted(best.items(), key=lambda item: (-item[1], item[0]))[:n])

    def _cosines(self, query: FloatArray, pids: Sequence[int]) -> Scores:
        if self._query is None or not np.array_equal(self._query, query):
            self._query, self._scores = query, {}
        known = self._scores
        known |= self._near.cosines(query, [pid for pid in pids if pid not in known])
        rows = self._vector_rows([pid for pid in pids if pid not in known])
        if rows:
            numbers, blobs = zip(*rows, strict=True)
            sizes = np.array([len(blob) for blob in blobs]) // (2 * self._dim)
            matrix = as_single(np.frombuffer(b"".join(blobs), dtype=np.float16)).reshape(-1, self._dim)
            known |= scores(np.array(numbers), matrix @ query, sizes)
        return {pid: known[pid] for pid in pids if pid in known}

    def _languages_of(self, pids: Sequence[int]) -> dict[int, str]:
        known = self._facts.passage_languages
        unknown = [pid for pid in pids if pid not in known]
        if unknown:
            if len(known) > _MAX_LANGUAGES:
                known = self._facts.passage_languages = {}
                unknown = list(pids)
            rows = self._connection.execute(
                "SELECT pid, language FROM passages WHERE pid IN (SELECT value FROM json_each(?))",
                (json.dumps(unknown),),
            )
            known |= ((pid, sys.intern(language)) for pid, language in rows)
        return {pid: known[pid] for pid in pids if pid in known}

    def _words(self, pids: Sequence[int]) -> dict[int, bytes]:
        if not has_words(self._connection):
            return {}
        wanted = json.dumps(list(pids))
        if self._facts.all_current:
            query = "SELECT pid, words FROM words WHERE pid IN (SELECT value FROM json_each(?))"
            return dict(self._connection.execute(query, (wanted,)))
        return dict(
            self._connection.execute(
                "SELECT w.pid, w.words FROM words w JOIN passages p USING (pid) JOIN documents d USING (doc_pk)"
                " WHERE w.pid IN (SELECT value FROM json_each(?)) AND d.settings_key = ?",
                (wanted, self._key),
            )
        )

    def passages(self, pids: Sequence[int]) -> dict[int, StoredPassage]:
        marks = ",".join("?" * len(pids))
        rows = self._connection.execute(
            "SELECT p.pid, d.doc_id, d.source, d.title, d.url, d.author, d.date, p.language, p.section, p.start, p.end,"
            ' substr(d.text, p.start + 1, p."end" - p.start), p.sentences'
            f" FROM passages p JOIN documents d USING (doc_pk) WHERE p.pid IN ({marks})",
            tuple(pids),
        )
        found = {}
        for row in rows:
            start = row[9]
            offsets = np.frombuffer(row[-1], dtype=np.int32).reshape(-1, 2) + start
            sentences = tuple((int(a), int(b)) for a, b in offsets)
            fields: list[Any] = [*row[:12], sentences]
            found[row[0]] = StoredPassage(*fields)
        return found

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        frequency = {term: self._facts.postings.frequency(self._connection, term) for term in terms}
        return {term: n for term, n in frequency.items() if n}

    def phonetic(self, keys: Sequence[str]) -> dict[str, int]:
        if not keys or not has_names(self._connection):
            return {}
        self._connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.sounds USING fts5vocab (main, names, row)")
        # A term is SOUND:FORM, so that the forms of one sound lie together; ';' is the character after ':'.
        rows = self._connection.execute(
            "SELECT substr(s.term, length(w.value) + 2), s.doc FROM json_each(?) w"
            " CROSS JOIN temp.sounds s WHERE s.term >= w.value || ':' AND s.term < w.value || ';'",
            (json.dumps(list(keys)),),
        )
        found: dict[str, int] = {}
        for form, n_documents in rows:
            found[form] = max(n_documents, found.get(form, 0))
        return found

    def aliases(self, keys: Sequence[str]) -> list[Alias]:
        if not keys or not has_names(self._connection):
            return []
        rows = self._connection.execute(
            "SELECT name, other, max(confidence) AS sure FROM"
            " (SELECT name, other, confidence FROM aliases WHERE key IN (SELECT value FROM json_each(?)) LIMIT ?)"
            " GROUP BY name, other ORDER BY sure DESC, count(*) DESC, name, other LIMIT ?",
            (json.dumps(list(keys)), _MAX_ALIAS_ROWS, _MAX_ALIASES),
        )
        return [Alias(*row) for row in rows]

    def languages(self, where: Filter = EVERYTHING) -> dict[str, int]:
        known = self._facts.languages.get(where)
        if known is None:
            if len(self._facts.languages) >= _MAX_FILTERS:
                self._facts.languages.clear()
            known = dict(sorted(self._counted(where), key=lambda row: (-row[1], row[0])))
            self._facts.languages[where] = known
        return known

    def _counted(self, where: Filter) -> Iterator[tuple[str, int]]:
        if not where.of_documents:  # the index of languages tells, without the passages
            counts = self._connection.execute("SELECT language, count(*) FROM passages GROUP BY language")
            yield from ((tag, n) for tag, n in counts if where.takes(tag))
            return
        condition, values = _condition(where, has_tags(self._connection))
        yield from self._connection.execute(
            "SELECT p.language, count(*) FROM passages p JOIN documents d USING (doc_pk)"
            f" WHERE {condition} GROUP BY p.language",
            values,
        )

    def document(self, doc_id: str) -> Document | None:
        return next((document for document, _ in whole_documents(self._connection, "doc_id = ?", doc_id, 1)), None)
