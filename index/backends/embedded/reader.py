"""Reading an embedded index: one consistent generation at a time."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from index.backends.base import EVERYTHING, Filter, StoredPassage
from index.backends.embedded import vectors as vec
from index.backends.embedded.manifest import VECTORS, Manifest, VectorFile, read_manifest, sha256_of
from index.backends.embedded.schema import connect, folded, has_names, has_tags, translated
from index.encoders.base import FloatArray
from index.names.mined import Alias

_MAX_FILTERS = 16  # whose passages are remembered
_MAX_ALIAS_ROWS = 20_000  # that are looked at: of more documents, the first ones speak for the others
_MAX_ALIASES = 64  # of the names of one question; a name that many articles gloss has many


@dataclass(slots=True)
class _Facts:
    """What every search of one generation asks, counted once."""

    languages: dict[Filter, dict[str, int]] = field(default_factory=dict)
    vector_ids: dict[Filter, vec.IntArray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The vectors of one generation, and what they were loaded from."""

    generation: int
    base_generation: int  # what was deleted before it is not in the base; what was deleted since must be remembered
    settings_key: str
    view: vec.VectorView
    base_max_pid: int
    note: str
    facts: _Facts = field(default_factory=_Facts)


class Rows:
    """Vectors of live passages in pid order, read in bounded pieces, as often as wanted."""

    def __init__(self, connection: sqlite3.Connection, dim: int, settings_key: str, after: int = 0) -> None:
        self._connection, self._dim, self._key, self._after = connection, dim, settings_key, after

    def sizes(self) -> dict[str, int]:
        """Number of vectors of each language."""
        return dict(
            self._connection.execute(
                "SELECT p.language, sum(p.n_vectors) FROM passages p JOIN documents d USING (doc_pk)"
                " WHERE p.pid > ? AND d.settings_key = ? GROUP BY p.language",
                (self._after, self._key),
            )
        )

    def __iter__(self) -> Iterator[tuple[int, str, FloatArray]]:
        cursor = self._connection.execute(
            "SELECT p.pid, p.language, p.vectors FROM passages p JOIN documents d USING (doc_pk)"
            " WHERE p.pid > ? AND d.settings_key = ? ORDER BY p.pid",
            (self._after, self._key),
        )
        while rows := cursor.fetchmany(2_000):
            for pid, language, blob in rows:
                yield pid, language, np.frombuffer(blob, dtype=np.float16).reshape(-1, self._dim)  # type: ignore[misc]


class Reader:
    """Searches an index; safe to use from many threads.

    Invariant: every answer comes from one read transaction and the vectors of that very
    generation; a vector file that is missing, stale or damaged is made up for from the store.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

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
                loaded = self._vectors(connection, meta)
                yield EmbeddedSnapshot(connection, loaded.view, loaded.facts, int(meta["dim"]), meta["settings_key"])
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)

    @property
    def note(self) -> str:
        """Why the vector file on disk was not used, empty where it was."""
        return self._loaded.note if self._loaded else ""

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

    def _vectors(self, connection: sqlite3.Connection, meta: dict[str, str]) -> _Loaded:
        generation, key = int(meta["generation"]), meta["settings_key"]
        loaded = self._loaded
        if loaded and loaded.generation == generation and loaded.settings_key == key:
            return loaded
        with self._lock:
            loaded = self._loaded
            # Of no use: a base that this older snapshot is behind, and one whose deletions the store has forgotten.
            usable = (
                loaded is not None
                and loaded.view.base is not None
                and loaded.settings_key == key
                and int(meta["pruned"]) <= loaded.base_generation <= generation
            )
            fresh = self._catch_up(connection, meta, loaded if usable else None)
            if loaded is None or fresh.generation >= loaded.generation:
                self._loaded = fresh
            return fresh

    def _catch_up(self, connection: sqlite3.Connection, meta: dict[str, str], loaded: _Loaded | None) -> _Loaded:
        dim, key = int(meta["dim"]), meta["settings_key"]
        if loaded is not None:
            base, note = loaded.view.base, loaded.note
            after, base_generation = loaded.base_max_pid, loaded.base_generation
        else:
            base, described, note = self._load_base(meta)
            after, base_generation = (described.max_pid, described.generation) if described else (0, 0)
        rows = Rows(connection, dim, key, after)
        sizes = rows.sizes()
        delta = vec.build(rows, sizes, dim) if sizes else None
        dead_rows = connection.execute("SELECT pid, n_vectors FROM deleted WHERE pid <= ?", (after,)).fetchall()
        dead = np.concatenate([vec.part_ids(pid, n) for pid, n in dead_rows]) if dead_rows else np.empty(0, np.int64)
        view = vec.VectorView(base, delta, np.sort(dead))
        return _Loaded(int(meta["generation"]), base_generation, key, view, after, note)

    def _load_base(self, meta: dict[str, str]) -> tuple[vec.Vectors | None, VectorFile | None, str]:
        """The vector file, if it is what the manifest says and belongs to this store."""
        try:
            manifest = read_manifest(self._folder)
            problem, index = load_vector_file(self._folder, manifest, meta)
            if problem and (newer := read_manifest(self._folder)) != manifest:
                # A writer has switched files meanwhile, and removed the one that was named.
                manifest = newer
                problem, index = load_vector_file(self._folder, manifest, meta)
        except (OSError, ValueError) as error:
            return (
                None,
                None,
                f"the manifest cannot be used ({error}); searching from the store; dragoman doctor --repair mends it",
            )
        if index is None or manifest.vectors is None:
            return None, None, problem
        return vec.Vectors(index, manifest.vectors.partitions), manifest.vectors, problem


def load_vector_file(folder: Path, manifest: Manifest, meta: dict[str, str]) -> tuple[str, Any | None]:
    """(what is wrong with the vector file, or empty; the index, or None)."""
    described: VectorFile | None = manifest.vectors
    if described is None:
        return "", None
    if described.settings_key != meta["settings_key"] or described.generation > int(meta["generation"]):
        return (
            "the vector file belongs to another state of the index; searching from the store; dragoman doctor --repair mends it",
            None,
        )
    if int(meta["pruned"]) > described.generation:
        return (
            "the vector file is older than the store remembers deletions; searching from the store; dragoman doctor --repair mends it",
            None,
        )
    path = folder / VECTORS / described.file
    try:
        if sha256_of(path) != described.sha256:
            return (
                f"the vector file {path} is damaged (checksum); searching from the store; dragoman doctor --repair mends it",
                None,
            )
        index = vec.load(path)
    except (OSError, RuntimeError) as error:
        return (
            f"the vector file {path} cannot be read ({type(error).__name__}); searching from the store; dragoman doctor --repair mends it",
            None,
        )
    if index.ntotal != described.n_vectors:
        return (
            f"the vector file {path} has {index.ntotal} vectors, not {described.n_vectors}; searching from the store; dragoman doctor --repair mends it",
            None,
        )
    return "", index


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
    """One state of the index; see `index.backends.base.Snapshot`."""

    def __init__(
        self, connection: sqlite3.Connection, view: vec.VectorView, facts: _Facts, dim: int, settings_key: str
    ) -> None:
        self._connection, self._view, self._dim, self._key = connection, view, dim, settings_key
        self._facts = facts

    def dense(self, query: FloatArray, n: int, where: Filter = EVERYTHING) -> list[tuple[int, float]]:
        languages = {name for name in self._view.languages() if where.takes(name)} if where.languages else None
        return self._view.nearest(query, n, languages, self._vector_ids(where) if where.of_documents else None)

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

    def lexical(self, terms: Sequence[str], n: int, where: Filter = EVERYTHING) -> list[tuple[int, float]]:
        if not terms:
            return []
        condition, values = _condition(where, has_tags(self._connection))
        inside = (
            f" AND rowid IN (SELECT p.pid FROM passages p JOIN documents d USING (doc_pk) WHERE {condition})"
            if where != EVERYTHING
            else ""
        )
        # Quoted, so that nothing in a question is query syntax; a quote inside a term is doubled.
        expression = " OR ".join('"' + term.replace('"', '""') + '"' for term in dict.fromkeys(terms))
        rows = self._connection.execute(
            "SELECT rowid, -bm25(terms, 1.0, 0.6) AS score FROM terms"
            f" WHERE terms MATCH ?{inside} ORDER BY score DESC, rowid LIMIT ?",
            (expression, *(values if inside else ()), n),
        )
        return [(pid, score) for pid, score in rows]

    def vectors(self, pids: Sequence[int]) -> dict[int, FloatArray]:
        marks = ",".join("?" * len(pids))
        rows = self._connection.execute(
            "SELECT p.pid, p.vectors FROM passages p JOIN documents d USING (doc_pk)"
            f" WHERE p.pid IN ({marks}) AND d.settings_key = ?",
            (*pids, self._key),
        )
        return {
            pid: np.frombuffer(blob, dtype=np.float16).reshape(-1, self._dim).astype(np.float32) for pid, blob in rows
        }

    def passage_languages(self, pids: Sequence[int]) -> dict[int, str]:
        marks = ",".join("?" * len(pids))
        return dict(self._connection.execute(f"SELECT pid, language FROM passages WHERE pid IN ({marks})", tuple(pids)))

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

    def document_frequency(self, terms: Sequence[str]) -> dict[str, int]:
        connection = self._connection
        connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab (main, terms, row)")
        marks = ",".join("?" * len(terms))
        return dict(connection.execute(f"SELECT term, doc FROM temp.vocabulary WHERE term IN ({marks})", tuple(terms)))

    def sounding(self, sounds: Sequence[str]) -> dict[str, int]:
        if not sounds or not has_names(self._connection):
            return {}
        self._connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.sounds USING fts5vocab (main, names, row)")
        # A term is SOUND:FORM, so that the forms of one sound lie together; ';' is the character after ':'.
        rows = self._connection.execute(
            "SELECT substr(s.term, length(w.value) + 2), s.doc FROM json_each(?) w"
            " CROSS JOIN temp.sounds s WHERE s.term >= w.value || ':' AND s.term < w.value || ';'",
            (json.dumps(list(sounds)),),
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
            condition, values = _condition(where, has_tags(self._connection))
            counts = self._connection.execute(
                "SELECT p.language, count(*) FROM passages p JOIN documents d USING (doc_pk)"
                f" WHERE {condition} GROUP BY p.language",
                values,
            )
            known = dict(sorted(counts, key=lambda row: (-row[1], row[0])))
            self._facts.languages[where] = known
        return known

    def n_passages(self) -> int:
        return sum(self.languages().values())
