"""An index folder, opened for reading: one consistent generation at a time."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from index.errors import IndexMissing, StoreError
from index.store.base import EncodedDocument, FileRecord, Stats, StoredDocument
from index.store.described import Described, note_of
from index.store.sqlite.documents import encoded_documents
from index.store.sqlite.manifest import read_manifest
from index.store.sqlite.schema import FORMAT_VERSION, STORE, check_format, connect, format_of, translated
from index.store.sqlite.snapshot import EmbeddedSnapshot, Facts
from index.store.sqlite.vectors import KIND, VectorIndex, advanced, can_advance, foreign, from_store, load

_TAGS = "(SELECT json_group_array(tag) FROM (SELECT tag FROM tags t WHERE t.doc_pk = d.doc_pk ORDER BY ordinal))"
_STALE = "SELECT count(*) FROM documents WHERE settings_key < ?1 OR settings_key > ?1"  # != would read every key


class EmbeddedBackend(Described):
    """An index folder, opened for reading, by any number of threads; `Writer` opens one for writing.

    Invariant: every answer of a snapshot comes from one read transaction and from the vectors of that very
    generation. Vector files that are missing, stale or damaged are replaced by the vectors in the store.
    A folder of an older format can be opened, so that it can be brought up to date; its snapshots raise FormatTooOld.
    """

    def __init__(self, folder: Path) -> None:
        """Open the index in `folder`.

        Raises:
            IndexMissing: There is none.
            FormatTooNew, StoreDamaged: See `index.errors`.
        """
        if not (folder / STORE).is_file():
            raise IndexMissing(
                f"there is no index in {folder}", f"a folder with {STORE}", "dragoman index PATH... makes one"
            )
        self.folder = folder
        self._connection = connect(folder)
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._newest: tuple[VectorIndex, Facts] | None = None
        self._problem = ""  # why the vector files were not used, empty where they were
        if format_of(self._connection) > FORMAT_VERSION:
            check_format(folder, self._connection)
        if not self._meta():
            self._connection.close()
            raise IndexMissing(
                f"the index in {folder} has no tables", "a finished `dragoman index`", "dragoman index PATH..."
            )

    def _meta(self) -> dict[str, str]:
        """The store's own description; empty where a killed writer has made no tables yet."""
        with translated(self.folder):
            try:
                return dict(self._connection.execute("SELECT key, value FROM meta"))
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return {}
                raise

    @property
    def place(self) -> Path:
        """The folder that it lies in."""
        return self.folder

    @property
    def is_local(self) -> bool:
        """Yes: all of it."""
        return True

    @property
    def note(self) -> str:
        """What readers should know about the state of the files and of the version that made them; mostly empty."""
        meta = self._meta()
        return self._problem or note_of(meta, self._count(_STALE, meta["settings_key"]))

    @contextmanager
    def snapshot(self) -> Iterator[EmbeddedSnapshot]:
        """The newest state, held still for the length of a `with` block.

        Raises:
            FormatTooOld: The format is not this program's.
            StoreDamaged: The store cannot be read.
        """
        with translated(self.folder):
            connection = self._idle.pop() if self._idle else connect(self.folder)
            try:
                check_format(self.folder, connection)
                connection.execute("BEGIN")
                meta = dict(connection.execute("SELECT key, value FROM meta"))
                index, facts = self._state(connection, meta)
                yield EmbeddedSnapshot(connection, index, facts, int(meta["dim"]))
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)

    def _state(self, connection: sqlite3.Connection, meta: Mapping[str, str]) -> tuple[VectorIndex, Facts]:
        """The vectors and facts of the generation that the connection's transaction sees."""
        with self._lock:
            newest = self._newest
            if newest is not None and newest[0].is_of(meta):
                return newest
            if newest is not None and can_advance(newest[0], meta):
                found = advanced(newest[0], connection, meta), Facts()
            else:
                found = self._loaded(connection, meta), Facts()
            # A snapshot that another thread began earlier keeps its own; the newest one is kept for all.
            if newest is None or found[0].generation >= newest[0].generation:
                self._newest = found
            return found

    def _loaded(self, connection: sqlite3.Connection, meta: Mapping[str, str]) -> VectorIndex:
        """The vector files brought up to date; made of the store where they cannot be used."""
        for _ in (1, 2):  # a writer may have switched files between the manifest and them
            try:
                described = read_manifest(self.folder)[1]
                self._problem = foreign(described, meta)
                if described is None or self._problem:
                    break
                return advanced(load(self.folder, described), connection, meta)
            except StoreError as error:
                self._problem = str(error)
            except (OSError, ValueError) as error:
                self._problem = f"the manifest cannot be used ({error}); fix: dragoman doctor --repair"
        return from_store(connection, meta)

    def documents(self) -> Iterator[StoredDocument]:
        """Every stored document, in the order of ingest."""
        key = self._meta()["settings_key"]
        with translated(self.folder):
            rows = self._connection.execute(
                "SELECT doc_id, location, source, title, url, author, date, language, n_chars, n_passages,"
                f" settings_key != ?, {_TAGS} FROM documents d ORDER BY doc_pk",
                (key,),
            )
            for row in rows:
                fields: list[Any] = [*row[:10], bool(row[10]), tuple(json.loads(row[11]))]
                yield StoredDocument(*fields)

    def text(self, doc_id: str) -> str | None:
        """The stored text of a document, None where there is no such document."""
        with translated(self.folder):
            row = self._connection.execute("SELECT text FROM documents WHERE doc_id = ?", (doc_id,)).fetchone()
        return row[0] if row else None

    def failures(self) -> list[tuple[str, str]]:
        """(source, reason) of every file that failed when it was last tried, whole or in part."""
        return [(record.source, record.reason) for record in self.files() if record.status != "ok"]

    def encoded(self) -> Iterator[EncodedDocument]:
        """Every document made with the current settings, all that is stored of it, in the order of ingest."""
        meta = self._meta()
        with translated(self.folder):
            yield from encoded_documents(self._connection, int(meta["dim"]), meta["settings_key"])

    def files(self) -> Iterator[FileRecord]:
        """The ingest log."""
        with translated(self.folder):
            rows = self._connection.execute(
                "SELECT location, source, digest, settings_key, status, reason FROM files ORDER BY location"
            )
            for row in rows:
                yield FileRecord(*row)

    def stats(self) -> Stats:
        """Sizes and state."""
        meta = self._meta()
        with translated(self.folder):
            languages = "SELECT language, count(*) FROM documents GROUP BY language ORDER BY 2 DESC, 1"
            n_passages = self._count("SELECT count(*) FROM passages")
            return Stats(
                n_documents=self._count("SELECT count(*) FROM documents"),
                n_passages=n_passages,
                n_vectors=self._count("SELECT coalesce(sum(n_vectors), 0) FROM passages"),
                n_stale=self._count(_STALE, meta["settings_key"]),
                n_failed=self._count("SELECT count(*) FROM files WHERE status != 'ok'"),
                languages=dict(self._connection.execute(languages)),
                encoder=meta["encoder"],
                vector_index=KIND,
                bytes_on_disk=sum(_size(path) for path in self.folder.rglob("*")),
                generation=int(meta["generation"]),
                extra={"passages in vector files": f"{self._n_in_files():,} of {n_passages:,}"},
            )

    def _count(self, query: str, *values: str) -> int:
        with translated(self.folder):
            return int(self._connection.execute(query, values).fetchone()[0])

    def _n_in_files(self) -> int:
        try:
            described = read_manifest(self.folder)[1]
        except (OSError, ValueError):
            return 0
        return described.n_passages if described else 0

    def close(self) -> None:
        """Close the connections that no snapshot holds."""
        for connection in (self._connection, *self._idle):
            connection.close()
        self._idle.clear()


def _size(path: Path) -> int:
    """Bytes of a file; a writer may have removed it since it was listed."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
