"""Opening an embedded index for writing: its lock, its store, its settings and its manifest."""

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
from index.settings import IndexSettings
from index.store.base import FileRecord
from index.store.described import check_settings
from index.store.sqlite.manifest import (
    VECTORS,
    Manifest,
    VectorFile,
    read_manifest,
    write_manifest,
)
from index.store.sqlite.schema import FORMAT_VERSION, bring_up_to_date, connect, create, translated
from index.store.sqlite.stored import whole_documents

LOCK = "writer.lock"


class Session:
    """An index folder opened for writing: all of a `Writer` but what it writes.

    Invariant: the folder's lock is held from entry to exit.
    """

    def __init__(
        self, folder: Path, encoder: Encoder, settings: IndexSettings | None = None, *, adopt: bool = False
    ) -> None:
        """See `Writer`."""
        self._folder, self._encoder, self._wanted, self._adopt = folder, encoder, settings, adopt
        self._lock = FileLock(folder / LOCK, timeout=0)
        self._connection: sqlite3.Connection

    def __enter__(self) -> Self:
        """Take the lock and open the store.

        Raises:
            IndexLocked: Another process is writing.
            FormatTooNew, StoreDamaged, SettingsMismatch, StoreFull: As they say.
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
            self._connection.close()
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
        self._connection = connect(self._folder, write=True)
        try:
            if int(self._connection.execute("PRAGMA user_version").fetchone()[0]) == 0:
                create(self._connection)
            bring_up_to_date(self._connection)
            if not self.meta:
                self._initialise(self._wanted or IndexSettings())
            self._check_settings()
        except BaseException:
            self._connection.close()
            raise
        self._remove_leftovers()

    def _initialise(self, settings: IndexSettings) -> None:
        with self.transaction():
            self._set_meta(
                generation="0",
                pruned="0",
                next_pid="1",
                dim=str(self._encoder.dim),
                encoder=self._encoder.name,
                encoder_fingerprint=self._encoder.fingerprint,
                settings=json.dumps(settings.as_dict()),
                settings_key=settings.key(self._encoder.fingerprint),
            )
        self._write_manifest(None)

    def _check_settings(self) -> None:
        meta = self.meta
        if self._adopt:
            wanted = self._wanted or self.settings
            if wanted.key(self._encoder.fingerprint) != meta["settings_key"]:
                self._change_settings(wanted)
            return
        check_settings(str(self._folder), meta, self._encoder, self._wanted)

    @property
    def settings(self) -> IndexSettings:
        """What the index cuts and encodes with."""
        return IndexSettings.from_dict(json.loads(self.meta["settings"]))

    @property
    def settings_key(self) -> str:
        """Digest of the settings and the encoder that current documents carry."""
        return self.meta["settings_key"]

    def file_record(self, location: str) -> FileRecord | None:
        """What the ingest log holds of a file."""
        row = self._connection.execute(
            "SELECT location, source, digest, settings_key, status, reason FROM files WHERE location = ?", (location,)
        ).fetchone()
        return FileRecord(*row) if row else None

    def files_under(self, folder: str) -> list[str]:
        """Locations of the logged files inside a folder, at any depth."""
        prefix = folder.rstrip(os.sep) + os.sep
        rows = self._connection.execute(
            "SELECT location FROM files WHERE substr(location, 1, ?) = ?", (len(prefix), prefix)
        )
        return [location for (location,) in rows]

    def documents_of(self, file: str) -> dict[str, str]:
        """doc_id by location of the documents that came from a file."""
        return dict(self._connection.execute("SELECT location, doc_id FROM documents WHERE file = ?", (file,)))

    def is_current(self, location: str, sha256: str) -> bool:
        """Whether this very document is stored with the current settings."""
        row = self._connection.execute(
            "SELECT 1 FROM documents WHERE location = ? AND sha256 = ? AND settings_key = ?",
            (location, sha256, self.settings_key),
        ).fetchone()
        return row is not None

    def file_of(self, doc_id: str) -> str | None:
        """Location of the file that a document came from, None where there is no such document."""
        row = self._connection.execute("SELECT file FROM documents WHERE doc_id = ?", (doc_id,)).fetchone()
        return str(row[0]) if row else None

    def _change_settings(self, settings: IndexSettings) -> None:
        """Make `settings` and the encoder the index's own: documents made with others become stale."""
        with self.transaction():
            self._set_meta(
                dim=str(self._encoder.dim),
                encoder=self._encoder.name,
                encoder_fingerprint=self._encoder.fingerprint,
                settings=json.dumps(settings.as_dict()),
                settings_key=settings.key(self._encoder.fingerprint),
            )
            self.next_generation()
        self._write_manifest(None)

    def n_stale(self) -> int:
        """Number of documents not made with the current settings."""
        row = self._connection.execute("SELECT count(*) FROM documents WHERE settings_key != ?", (self.settings_key,))
        return int(row.fetchone()[0])

    def stale_documents(self, limit: int) -> list[tuple[Document, str]]:
        """Documents not made with the current settings, as they were before they were cut, each with its file."""
        return list(whole_documents(self._connection, "settings_key != ?", self.settings_key, limit))

    def next_generation(self) -> None:
        """Make readers look again; inside a transaction."""
        self._connection.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'")

    @property
    def connection(self) -> sqlite3.Connection:
        """The open store, for reading what no method here gives."""
        return self._connection

    def _described(self) -> VectorFile | None:
        try:
            return read_manifest(self._folder).vectors
        except (OSError, ValueError):
            return None

    def _write_manifest(self, vectors: VectorFile | None) -> None:
        meta = self.meta
        write_manifest(
            self._folder,
            Manifest(
                format_version=FORMAT_VERSION,
                encoder=meta["encoder"],
                encoder_fingerprint=meta["encoder_fingerprint"],
                dim=int(meta["dim"]),
                settings=json.loads(meta["settings"]),
                settings_key=meta["settings_key"],
                vectors=vectors,
            ),
        )

    def _remove_leftovers(self) -> None:
        """Delete vector files that the manifest does not name and temporary files of killed writers."""
        described = self._described()
        for path in [
            *self._folder.glob(".*.tmp"),
            *(self._folder / VECTORS).glob("*"),
            *(self._folder / VECTORS).glob(".*.tmp"),
        ]:
            if described is None or path.name != described.file:
                with contextlib.suppress(OSError):
                    path.unlink()

    @property
    def meta(self) -> dict[str, str]:
        """The store's own description of the index."""
        return dict(self._connection.execute("SELECT key, value FROM meta"))

    def _set_meta(self, **values: str) -> None:
        self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written in the block."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
