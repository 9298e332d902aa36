"""The embedded backend: one SQLite file, and a FAISS file derived from it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from index.errors import IndexMissing
from index.store.base import EncodedDocument, FileRecord, Finding, Stats, StoredDocument
from index.store.described import Described, note_of
from index.store.sqlite.doctor import examine, repair
from index.store.sqlite.files import facts
from index.store.sqlite.manifest import read_manifest
from index.store.sqlite.reader import EmbeddedSnapshot, Reader
from index.store.sqlite.schema import STORE, connect, has_tags, translated
from index.store.sqlite.stored import encoded_documents
from index.store.sqlite.writer import Writer

__all__ = ["EmbeddedBackend", "Finding", "Writer", "examine", "repair"]


class EmbeddedBackend(Described):
    """An index folder, opened for reading; `Writer` opens one for writing."""

    def __init__(self, folder: Path) -> None:
        """Open the index in `folder`.

        Raises:
            IndexMissing: There is none.
            FormatTooNew, StoreDamaged: As they say.
        """
        if not (folder / STORE).is_file():
            raise IndexMissing(
                f"there is no index in {folder}", f"a folder with {STORE}", "dragoman index PATH... makes one"
            )
        self.folder = folder
        self._connection = connect(folder)
        if not self._meta():
            self._connection.close()
            raise IndexMissing(
                f"the index in {folder} has not been laid out", "a finished `dragoman index`", "dragoman index PATH..."
            )
        self._reader = Reader(folder)

    def _meta(self) -> dict[str, str]:
        """The store's own description; empty where a killed writer has laid out no tables yet."""
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
        """What readers should be told of the state of the files, and of what made them; mostly empty."""
        return self._reader.note or note_of(self._meta())

    def snapshot(self) -> AbstractContextManager[EmbeddedSnapshot]:
        """The newest state, held still for the length of a `with` block."""
        return self._reader.snapshot()

    def documents(self) -> Iterator[StoredDocument]:
        """Every stored document, in the order of ingest."""
        key = self._meta()["settings_key"]
        with translated(self.folder):
            tags = "'[]'"
            if has_tags(self._connection):
                own = "SELECT tag FROM tags t WHERE t.doc_pk = d.doc_pk ORDER BY ordinal"
                tags = f"(SELECT json_group_array(tag) FROM ({own}))"
            rows = self._connection.execute(
                "SELECT doc_id, location, source, title, url, author, date, language, n_chars, n_passages,"
                f" settings_key != ?, {tags}"
                f" FROM documents d ORDER BY doc_pk",
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
        with translated(self.folder):
            return list(
                self._connection.execute("SELECT source, reason FROM files WHERE status != 'ok' ORDER BY location")
            )

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
        meta = self._meta()
        try:
            vectors = read_manifest(self.folder).vectors
        except (OSError, ValueError):
            vectors = None
        with translated(self.folder):
            return Stats(
                n_documents=self._count("SELECT count(*) FROM documents"),
                n_passages=self._count("SELECT count(*) FROM passages"),
                n_vectors=self._count("SELECT coalesce(sum(n_vectors), 0) FROM passages"),
                n_stale=self._count("SELECT count(*) FROM documents WHERE settings_key != ?", meta["settings_key"]),
                n_failed=self._count("SELECT count(*) FROM files WHERE status != 'ok'"),
                languages=dict(
                    self._connection.execute(
                        "SELECT language, count(*) FROM documents GROUP BY language ORDER BY 2 DESC, 1"
                    )
                ),
                encoder=meta["encoder"],
                vector_index=vectors.kind if vectors else "none (searching from the store)",
                bytes_on_disk=sum(_size(path) for path in self.folder.rglob("*")),
                generation=int(meta["generation"]),
                extra=facts(self.folder, self._connection, vectors),
            )

    def _count(self, query: str, *values: str) -> int:
        return int(self._connection.execute(query, values).fetchone()[0])

    def close(self) -> None:
        """Close the connections that no snapshot holds."""
        self._reader.close()
        self._connection.close()


def _size(path: Path) -> int:
    """Bytes of a file; a writer may have removed it since it was listed."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
