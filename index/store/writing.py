"""What every store offers to a process that changes it."""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import ClassVar

from index.documents import Document
from index.encoders.base import Encoder, FloatArray
from index.errors import SettingsMismatch
from index.settings import IndexSettings
from index.store.base import EncodedDocument, FileRecord
from index.store.quantized import packed
from index.store.rows import FILES, Rows


class Writer(Rows, AbstractContextManager["Writer"]):
    """A process that changes an index, as a context manager; each call that writes is one durable transaction.

    Invariant: what a call has committed survives a kill at any later moment.
    """

    lock: ClassVar[str] = ""  # SQL that locks rows until the transaction ends

    def __init__(
        self, place: str, encoder: Encoder, settings: IndexSettings | None = None, *, adopt: bool = False
    ) -> None:
        """See `index.store.open_writer`."""
        self._place, self._encoder, self._wanted, self._adopt = place, encoder, settings, adopt
        self._own = dict[str, str]()

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing of what is written in the block."""

    @abstractmethod
    def upsert(self, documents: Sequence[EncodedDocument], files: Sequence[FileRecord] = ()) -> None:
        """Store documents and log files, replacing older versions of the same location."""

    @abstractmethod
    def next_generation(self) -> None:
        """Count a change, inside a transaction; readers look again at what they have loaded."""

    @abstractmethod
    def rebuild_terms(self) -> None:
        """Derive the lexical index again, inside a transaction."""

    def refresh_vectors(self, force: bool = False) -> bool:
        """Bring a vector index up to date, or build it again; whether anything was written."""
        return False

    def _remove_rows(self, docs: list[int]) -> None:
        """Remove all rows that belong to documents."""
        for table in self.tables:
            self.rows(f"DELETE FROM {table} WHERE doc IN ?", docs)

    def meta(self) -> dict[str, str]:
        """The index's description of itself, as it was when this writer had opened it."""
        return self._own

    def _settle(self, **first: str) -> None:
        """Give a new index its settings and the values of `first`; check those of another, or adopt new ones."""
        if "settings_key" not in super().meta():
            with self.transaction():
                wanted = self._described(self._wanted or IndexSettings())
                self.set_meta({"generation": "0", **first, **wanted}, "DO NOTHING")
        self._own = super().meta()
        wanted_settings = self._wanted or self.settings
        if not self._adopt:
            self._check_settings()
        elif (key := wanted_settings.key(self._encoder.fingerprint)) != self.settings_key:
            with self.transaction():  # every document becomes stale
                self.set_meta(self._described(wanted_settings))
                self.rows("UPDATE documents SET settings_key = '' WHERE settings_key = ?", key)
                self.rows("DELETE FROM vectors")
                self.next_generation()
            self._own = super().meta()

    def _described(self, settings: IndexSettings) -> dict[str, str]:
        """What an index with these settings and the writer's encoder says of itself."""
        return {
            "dim": str(self._encoder.dim),
            "encoder": self._encoder.name,
            "encoder_fingerprint": self._encoder.fingerprint,
            "settings": json.dumps(asdict(settings)),
            "settings_key": settings.key(self._encoder.fingerprint),
        }

    def _check_settings(self) -> None:
        """Refuse to write what would not go with the rest of the index."""
        own, encoder = self._own, self._encoder
        if self._wanted is not None and self._wanted != self.settings:
            raise SettingsMismatch(
                f"{self._place} was made with {own['settings']}",
                f"the same settings, not {json.dumps(asdict(self._wanted))}",
                "dragoman index --refresh with the new settings re-does the stored documents",
            )
        if own["encoder_fingerprint"] != encoder.fingerprint:
            raise SettingsMismatch(
                f"{self._place} was made with encoder {own['encoder']} ({own['encoder_fingerprint']})",
                f"the same, not {encoder.name} ({encoder.fingerprint})",
                f"dragoman index --refresh --encoder {encoder.name} re-does the stored documents",
            )
        if self.is_of_older_rules:
            raise SettingsMismatch(
                f"{self._place} was made by an older version of this program",
                "passages, terms and names by the rules of this one",
                "dragoman index --refresh re-does the stored documents; the sources are not needed",
            )

    def add_context(self, fingerprint: str, rows: Sequence[tuple[int, int, FloatArray]]) -> None:
        """Store (pid, doc, vector) of the contextual encoder with this fingerprint; those of another one go."""
        with self.transaction():
            if super().meta().get("context") != fingerprint:
                self.rows("DELETE FROM context")
                self.set_meta({"context": fingerprint})
                self.next_generation()
            for pid, doc, vector in rows:  # its passage may be gone by now
                self.rows(
                    "INSERT INTO context (pid, doc, embedding) SELECT pid, doc, ? FROM passages"
                    " WHERE doc = ? AND pid = ? ON CONFLICT DO NOTHING",
                    packed(vector[None]),
                    doc,
                    pid,
                )

    def set_meta(self, values: dict[str, str], conflict: str = "DO UPDATE SET value = excluded.value") -> None:
        """Set values of the index's description of itself."""
        for pair in values.items():
            self.rows(f"INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) {conflict}", *pair)

    def file_record(self, location: str) -> FileRecord | None:
        """The entry of a file in the ingest log."""
        return next((FileRecord(*row) for row in self.rows(f"{FILES} WHERE location = ?", location)), None)

    def files_under(self, folder: str) -> list[str]:
        """Locations of the logged files inside a folder, at any depth."""
        prefix = folder.rstrip(os.sep) + os.sep
        found = self.rows("SELECT location FROM files WHERE substr(location, 1, ?) = ?", len(prefix), prefix)
        return [location for (location,) in found]

    def documents_of(self, file: str) -> dict[str, str]:
        """doc_id by location of the documents that came from a file."""
        return dict(self.rows("SELECT location, doc_id FROM documents WHERE file = ?", file))

    def is_current(self, location: str, sha256: str) -> bool:
        """Whether this very document is stored with the current settings."""
        query = "SELECT 1 FROM documents WHERE location = ? AND sha256 = ? AND settings_key = ?"
        return bool(self.rows(query, location, sha256, self.settings_key))

    def n_stale(self) -> int:
        """Number of documents not made with the current settings."""
        return self.count("count(*) FROM documents WHERE settings_key != ?", self.settings_key)

    def stale_documents(self, limit: int) -> list[tuple[Document, str]]:
        """Documents not made with the current settings, as they were before chunking, each with its file."""
        found = self.wholes("settings_key != ?", self.settings_key, limit=limit)
        return [(one.document, one.file) for some in found for one in some]

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Remove documents for good; how many there were."""
        with self.transaction():
            files = self._remove("doc_id", list(doc_ids))
            # A file none of whose documents are left is forgotten, so that indexing it again stores it.
            self.rows(
                "DELETE FROM files WHERE status != 'failed' AND location IN ?"
                " AND location NOT IN (SELECT file FROM documents WHERE file IN ?)",
                files,
                files,
            )
            return len(files)

    def forget_files(self, locations: Iterable[str]) -> int:
        """Remove files from the log, and every document that came from them; how many documents."""
        names = list(locations)
        with self.transaction():
            n_removed = len(self._remove("file", names))
            self.rows("DELETE FROM files WHERE location IN ?", names)
            return n_removed

    def _remove(self, column: str, values: list[str]) -> list[str]:
        """Remove the documents that have one of `values` in a column; the file of each."""
        found = self.rows(f"SELECT doc, file FROM documents WHERE {column} IN ? ORDER BY doc {self.lock}", values)
        if found:
            docs = [doc for doc, _ in found]
            self._remove_rows(docs)
            self.rows("DELETE FROM documents WHERE doc IN ?", docs)
            self.next_generation()
        return [file for _, file in found]
