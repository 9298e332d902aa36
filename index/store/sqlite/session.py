"""Opening an embedded index for writing: its lock, its format, its settings; and what ingest reads of it."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from index.documents import Document
from index.encoders.base import Encoder
from index.errors import IndexLocked, StoreError
from index.settings import NAMES_VERSION, TERMS_VERSION, IndexSettings
from index.store.base import FileRecord
from index.store.described import check_settings
from index.store.sqlite.documents import whole_documents
from index.store.sqlite.manifest import VectorFiles, read_manifest, write_manifest
from index.store.sqlite.schema import FORMAT_VERSION, check_format, connect, create, format_of, translated, upgrade
from index.store.sqlite.vectors import remove_leftovers

LOCK = "writer.lock"
RULES = f"{TERMS_VERSION}.{NAMES_VERSION}"  # that terms and names were made by


class Session:
    """An index folder opened for writing: all of a `Writer` but what it writes.

    Invariant: the folder's lock is held from entry to exit.
    """

    def __init__(
        self, folder: Path, encoder: Encoder, settings: IndexSettings | None = None, *, adopt: bool = False
    ) -> None:
        """Name what to open.

        Args:
            folder: Created with its parents if missing.
            encoder: What new vectors are made with.
            settings: For a new index; an existing one keeps its own, and other ones are refused.
            adopt: Make this encoder, these settings and this version's format the index's own instead of refusing.
        """
        self._folder, self._encoder, self._wanted, self._adopt = folder, encoder, settings, adopt
        self._lock = FileLock(folder / LOCK, timeout=0)
        self.connection: sqlite3.Connection

    def __enter__(self) -> Self:
        """Take the lock and open the store.

        Raises:
            IndexLocked: Another process is writing.
            FormatTooNew, FormatTooOld, StoreDamaged, SettingsMismatch, StoreFull: See `index.errors`.
        """
        try:
            with translated(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
                self._lock.acquire()
        except Timeout as error:
            raise IndexLocked(
                f"another process{self._owner()} is writing to {self._folder}",
                "one writer at a time",
                "wait for it to end, or stop it",
            ) from error
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise StoreError(
                f"{self._folder} cannot be an index folder ({error.strerror})",
                "a folder that can be written to",
                "name another with --index",
            ) from error
        try:
            with contextlib.suppress(OSError):
                (self._folder / f"{LOCK}.pid").write_text(str(os.getpid()), "utf-8")
            with translated(self._folder):
                self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()
        with contextlib.suppress(OSError):
            (self._folder / f"{LOCK}.pid").unlink()
        self._lock.release()
        if isinstance(error, sqlite3.Error):  # of a read in the block, which nothing has translated
            with translated(self._folder):
                raise error

    def _owner(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            return f" (process {int((self._folder / f'{LOCK}.pid').read_text('utf-8'))})"
        return ""

    def _open(self) -> None:
        self.connection = connect(self._folder, write=True)
        try:
            version = format_of(self.connection)
            if version == 0:
                create(self.connection)
            elif self._adopt and version < FORMAT_VERSION:
                upgrade(self._folder, self.connection)
            check_format(self._folder, self.connection)
            if not self.meta:
                self._take_settings(self._wanted or IndexSettings())
            self._check_settings()
        except BaseException:
            self.connection.close()
            raise
        remove_leftovers(self._folder, self._described())

    def _check_settings(self) -> None:
        meta = self.meta
        if self._adopt:
            wanted = self._wanted or self.settings
            if wanted.key(self._encoder.fingerprint) != meta["settings_key"]:
                self._take_settings(wanted)
            return
        check_settings(str(self._folder), meta, self._encoder, self._wanted)

    def _take_settings(self, settings: IndexSettings) -> None:
        """Make `settings` and the encoder the index's own: documents made with others become stale."""
        with self.transaction():
            if self.meta:
                self.next_generation()
            else:
                self._set_meta(generation="0", pruned="0", next_pid="1", terms=RULES)
            self._set_meta(
                dim=str(self._encoder.dim),
                encoder=self._encoder.name,
                encoder_fingerprint=self._encoder.fingerprint,
                settings=json.dumps(settings.as_dict()),
                settings_key=settings.key(self._encoder.fingerprint),
            )
        self._write_manifest(None)

    @property
    def settings(self) -> IndexSettings:
        """What the index cuts and encodes with."""
        return IndexSettings.from_dict(json.loads(self.meta["settings"]))

    @property
    def settings_key(self) -> str:
        """Digest of the settings and the encoder that current documents carry."""
        return self.meta["settings_key"]

    def file_record(self, location: str) -> FileRecord | None:
        """The entry of a file in the ingest log."""
        row = self.connection.execute(
            "SELECT location, source, digest, settings_key, status, reason FROM files WHERE location = ?", (location,)
        ).fetchone()
        return FileRecord(*row) if row else None

    def files_under(self, folder: str) -> list[str]:
        """Locations of the logged files inside a folder, at any depth."""
        prefix = folder.rstrip(os.sep) + os.sep
        rows = self.connection.execute(
            "SELECT location FROM files WHERE substr(location, 1, ?) = ?", (len(prefix), prefix)
        )
        return [location for (location,) in rows]

    def documents_of(self, file: str) -> dict[str, str]:
        """doc_id by location of the documents that came from a file."""
        return dict(self.connection.execute("SELECT location, doc_id FROM documents WHERE file = ?", (file,)))

    def is_current(self, location: str, sha256: str) -> bool:
        """Whether this very document is stored with the current settings."""
        row = self.connection.execute(
            "SELECT 1 FROM documents WHERE location = ? AND sha256 = ? AND settings_key = ?",
            (location, sha256, self.settings_key),
        ).fetchone()
        return row is not None

    def file_of(self, doc_id: str) -> str | None:
        """Location of the file that a document came from, None where there is no such document."""
        row = self.connection.execute("SELECT file FROM documents WHERE doc_id = ?", (doc_id,)).fetchone()
        return str(row[0]) if row else None

    def n_stale(self) -> int:
        """Number of documents not made with the current settings."""
        row = self.connection.execute("SELECT count(*) FROM documents WHERE settings_key != ?", (self.settings_key,))
        return int(row.fetchone()[0])

    def stale_documents(self, limit: int) -> list[tuple[Document, str]]:
        """Documents not made with the current settings, as they were before they were cut, each with its file."""
        found = whole_documents(self.connection, "settings_key != ?", self.settings_key, limit)
        return [(document, file) for _, document, file in found]

    @property
    def meta(self) -> dict[str, str]:
        """The store's own description of the index."""
        return dict(self.connection.execute("SELECT key, value FROM meta"))

    def _set_meta(self, **values: str) -> None:
        self.connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))

    def next_generation(self) -> None:
        """Count a change, inside a transaction; readers look again at what they have loaded."""
        self._set_meta(generation=str(int(self.meta["generation"]) + 1))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written in the block."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise

    def _described(self) -> VectorFiles | None:
        """The vector files that the manifest names."""
        with contextlib.suppress(OSError, ValueError):
            return read_manifest(self._folder)[1]
        return None

    def _write_manifest(self, vectors: VectorFiles | None) -> None:
        write_manifest(self._folder, self.meta, vectors)
