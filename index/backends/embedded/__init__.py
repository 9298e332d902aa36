"""The embedded backend: one SQLite file, and a FAISS file derived from it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from index.backends.base import Stats, StoredDocument
from index.backends.embedded.doctor import Finding, examine, repair
from index.backends.embedded.manifest import read_manifest
from index.backends.embedded.reader import EmbeddedSnapshot, Reader
from index.backends.embedded.schema import STORE, connect, damaged
from index.backends.embedded.writer import Writer
from index.errors import IndexMissing
from index.settings import IndexSettings

__all__ = ["EmbeddedBackend", "Finding", "Writer", "examine", "repair"]


class EmbeddedBackend:
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
            raise IndexMissing(
                f"the index in {folder} has not been laid out", "a finished `dragoman index`", "dragoman index PATH..."
            )
        self._reader = Reader(folder)

    def _meta(self) -> dict[str, str]:
        try:
            return dict(self._connection.execute("SELECT key, value FROM meta"))
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return {}
            raise damaged(self.folder, error) from error
        except sqlite3.DatabaseError as error:
            raise damaged(self.folder, error) from error

    @property
    def settings(self) -> IndexSettings:
        return IndexSettings.from_dict(json.loads(self._meta()["settings"]))

    @property
    def encoder_name(self) -> str:
        return self._meta()["encoder"]

    @property
    def encoder_fingerprint(self) -> str:
        """Fingerprint of the encoder that made the current vectors."""
        return self._meta()["encoder_fingerprint"]

    @property
    def note(self) -> str:
        """What readers should be told of the state of the files; mostly empty."""
        return self._reader.note

    def snapshot(self) -> AbstractContextManager[EmbeddedSnapshot]:
        """The newest state, held still for the length of a `with` block."""
        return self._reader.snapshot()

    def documents(self) -> Iterator[StoredDocument]:
        """Every stored document, in the order of ingest."""
        key = self._meta()["settings_key"]
        rows = self._connection.execute(
            "SELECT doc_id, location, source, title, url, author, date, language, n_chars, n_passages, settings_key != ?"
            " FROM documents ORDER BY doc_pk",
            (key,),
        )
        for row in rows:
            fields: list[Any] = [*row[:10], bool(row[10])]
            yield StoredDocument(*fields)

    def text(self, doc_id: str) -> str | None:
        """The stored text of a document, None where there is no such document."""
        row = self._connection.execute("SELECT text FROM documents WHERE doc_id = ?", (doc_id,)).fetchone()
        return row[0] if row else None

    def failures(self) -> list[tuple[str, str]]:
        """(source, reason) of every file that failed when it was last tried, whole or in part."""
        return list(self._connection.execute("SELECT source, reason FROM files WHERE status != 'ok' ORDER BY location"))

    def stats(self) -> Stats:
        meta = self._meta()
        one = self._connection.execute
        try:
            vectors = read_manifest(self.folder).vectors
        except (OSError, ValueError):
            vectors = None
        return Stats(
            n_documents=one("SELECT count(*) FROM documents").fetchone()[0],
            n_passages=one("SELECT count(*) FROM passages").fetchone()[0],
            n_vectors=one("SELECT coalesce(sum(n_vectors), 0) FROM passages").fetchone()[0],
            n_stale=one("SELECT count(*) FROM documents WHERE settings_key != ?", (meta["settings_key"],)).fetchone()[
                0
            ],
            n_failed=one("SELECT count(*) FROM files WHERE status != 'ok'").fetchone()[0],
            languages=dict(one("SELECT language, count(*) FROM documents GROUP BY language ORDER BY 2 DESC, 1")),
            encoder=meta["encoder"],
            vector_index=vectors.kind if vectors else "none (searching from the store)",
            recall=vectors.recall if vectors else 1.0,
            bytes_on_disk=sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()),
            generation=int(meta["generation"]),
        )

    def close(self) -> None:
        """Close the connections of this thread."""
        self._reader.close()
        self._connection.close()
