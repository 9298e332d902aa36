"""Writing an index in PostgreSQL: any number of processes at once, one transaction a call."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

from psycopg import Cursor, errors

from index.documents import Document
from index.encoders.base import Encoder
from index.errors import SettingsMismatch
from index.settings import IndexSettings
from index.store.base import EncodedDocument, FileRecord
from index.store.described import check_settings
from index.store.postgres.address import Connection, connected, parsed, translated
from index.store.postgres.hnsw import refresh
from index.store.postgres.rows import doc_of, remove_rows, store, whole_documents
from index.store.postgres.schema import OF_DOCUMENTS, lay_out, prepare

_MANY_PASSAGES = 2_000  # written by one writer: then the server's statistics are brought up to date


class Writer:
    """A process that changes an index, as a context manager; others may write at the same time.

    Invariant: what a call has committed survives a kill at any later moment, and a location has one version.
    """

    def __init__(
        self, address: str, encoder: Encoder, settings: IndexSettings | None = None, *, adopt: bool = False
    ) -> None:
        """See `index.store.open_writer`."""
        self._address = parsed(address)
        self._encoder, self._wanted, self._adopt = encoder, settings, adopt
        self._n_written = 0  # passages
        self._connection: Connection

    def __enter__(self) -> Self:
        """Connect, and create the tables where there are none.

        Raises:
            FormatTooNew, SettingsMismatch, StoreError: See `index.errors`.
        """
        self._connection = connected(self._address)
        try:
            with translated(self._address):
                lay_out(self._connection, self._address)
                prepare(self._connection, self._address)
                self._open()
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def _open(self) -> None:
        first = {"generation": "0", "token": uuid.uuid4().hex, **self._described(self._wanted or IndexSettings())}
        with self.transaction() as cursor:
            cursor.executemany("INSERT INTO meta VALUES (%s, %s) ON CONFLICT (key) DO NOTHING", list(first.items()))
        self.meta = read_meta(self._connection)
        wanted = self._wanted or self.settings
        if not self._adopt:
            check_settings(self._address.shown, self.meta, self._encoder, self._wanted)
        elif wanted.key(self._encoder.fingerprint) != self.settings_key:
            with self.transaction() as cursor:
                values = [(value, key) for key, value in self._described(wanted).items()]
                cursor.executemany("UPDATE meta SET value = %s WHERE key = %s", values)
                cursor.execute("DELETE FROM vectors")  # every document is stale now
                next_generation(cursor)
            self.meta = read_meta(self._connection)

    def _described(self, settings: IndexSettings) -> dict[str, str]:
        return {
            "dim": str(self._encoder.dim),
            "encoder": self._encoder.name,
            "encoder_fingerprint": self._encoder.fingerprint,
            "settings": json.dumps(settings.as_dict()),
            "settings_key": settings.key(self._encoder.fingerprint),
        }

    @property
    def settings(self) -> IndexSettings:
        """The settings that documents are chunked and encoded with."""
        return IndexSettings.from_dict(json.loads(self.meta["settings"]))

    @property
    def settings_key(self) -> str:
        """Digest of the settings and the encoder that current documents carry."""
        return self.meta["settings_key"]

    def file_record(self, location: str) -> FileRecord | None:
        """The entry of a file in the ingest log."""
        columns = "location, source, digest, settings_key, status, reason"
        found = self._read(f"SELECT {columns} FROM files WHERE doc = %s", doc_of(location))
        return FileRecord(*found[0]) if found else None

    def files_under(self, folder: str) -> list[str]:
        """Locations of the logged files inside a folder, at any depth."""
        prefix = folder.rstrip(os.sep) + os.sep
        return [location for (location,) in self._read("SELECT location FROM files WHERE location ^@ %s", prefix)]

    def documents_of(self, file: str) -> dict[str, str]:
        """doc_id by location of the documents that came from a file."""
        return dict(self._read("SELECT location, doc_id FROM documents WHERE file_key = %s", doc_of(file)))

    def is_current(self, location: str, sha256: str) -> bool:
        """Whether this very document is stored with the current settings."""
        query = "SELECT 1 FROM documents WHERE doc = %s AND sha256 = %s AND settings_key = %s"
        return bool(self._read(query, doc_of(location), sha256, self.settings_key))

    def file_of(self, doc_id: str) -> str | None:
        """Location of the file that a document came from, None where there is no such document."""
        return next((file for (file,) in self._read("SELECT file FROM documents WHERE doc_id = %s", doc_id)), None)

    def n_stale(self) -> int:
        """Number of documents not made with the current settings."""
        return int(self._read("SELECT count(*) FROM documents WHERE settings_key != %s", self.settings_key)[0][0])

    def stale_documents(self, limit: int) -> list[tuple[Document, str]]:
        """Documents not made with the current settings, as they were before chunking, each with its file."""
        with translated(self._address):
            stale = {"key": self.settings_key}
            found = whole_documents(self._connection, "settings_key != %(key)s", stale, limit)
        return [(one.document, one.file) for one in found]

    def upsert(self, documents: Sequence[EncodedDocument], files: Sequence[FileRecord] = ()) -> None:
        """Store documents and log files in one durable transaction; older versions go.

        Raises:
            StoreFull: The disk is full; nothing of this call is kept, all before it is.
            SettingsMismatch: The index was given other settings since this writer was opened.
        """
        latest = {doc_of(item.document.location): item for item in documents}  # of two versions, the later one
        with translated(self._address), self.transaction() as cursor:
            if latest:
                self._check_settings_key(cursor)
                self._n_written += store(cursor, latest, self.settings_key)
            cursor.executemany(
                "INSERT INTO files VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (doc) DO UPDATE SET"
                " source = EXCLUDED.source, digest = EXCLUDED.digest, settings_key = EXCLUDED.settings_key,"
                " status = EXCLUDED.status, reason = EXCLUDED.reason",
                sorted(
                    (
                        doc_of(one.location),
                        one.location,
                        one.source,
                        one.digest,
                        one.settings_key,
                        one.status,
                        one.reason,
                    )
                    for one in files
                ),
            )
            if latest:
                next_generation(cursor)

    def _check_settings_key(self, cursor: Cursor[Any]) -> None:
        row = cursor.execute("SELECT value FROM meta WHERE key = 'settings_key' FOR SHARE").fetchone()
        if row != (self.settings_key,):
            found = f"the settings of {self._address.shown} were changed during this ingest"
            raise SettingsMismatch(found, "the settings that this ingest began with", "run the same command again")

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Remove documents for good, in one durable transaction; returns how many there were."""
        with translated(self._address), self.transaction() as cursor:
            files = self._remove(cursor, "doc_id = ANY (%s)", list(doc_ids))
            # A file none of whose documents are left is forgotten, so that indexing it again stores it.
            cursor.execute(
                "DELETE FROM files WHERE doc = ANY (%(keys)s) AND status != 'failed'"
                " AND doc NOT IN (SELECT file_key FROM documents WHERE file_key = ANY (%(keys)s))",
                {"keys": files},
            )
            return len(files)

    def forget_files(self, locations: Iterable[str]) -> int:
        """Remove files from the log, and every document that came from them; returns how many documents."""
        keys = [doc_of(location) for location in locations]
        with translated(self._address), self.transaction() as cursor:
            n_removed = len(self._remove(cursor, "file_key = ANY (%s)", keys))
            cursor.execute("DELETE FROM files WHERE doc = ANY (%s)", (keys,))
            return n_removed

    def _remove(self, cursor: Cursor[Any], condition: str, values: Sequence[Any]) -> list[int]:
        """Remove documents; returns the file of each."""
        locked = f"SELECT doc, file_key FROM documents WHERE {condition} ORDER BY doc FOR UPDATE"
        found = cursor.execute(locked, (values,)).fetchall()
        if found:
            docs = [doc for doc, _ in found]
            cursor.execute("DELETE FROM documents WHERE doc = ANY (%s)", (docs,))
            remove_rows(cursor, docs)
            next_generation(cursor)
        return [file for _, file in found]

    def refresh_vectors(self, force: bool = False) -> bool:
        """Create an HNSW index for each language that needs one, or all again; returns whether any was created."""
        with translated(self._address):
            created = refresh(self._connection, int(self.meta["dim"]), force)
            if created:
                with self.transaction() as cursor:
                    next_generation(cursor)
            if created or self._n_written >= _MANY_PASSAGES:
                self._n_written = 0
                with suppress(errors.InsufficientPrivilege):
                    self._connection.execute(f"VACUUM (ANALYZE, SKIP_LOCKED) documents, {', '.join(OF_DOCUMENTS)}")
        return created

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with translated(self._address):
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[Cursor[Any]]:
        """All or nothing of what is written in the block."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            yield cursor


def read_meta(connection: Connection) -> dict[str, str]:
    """The index's description of itself."""
    return dict(connection.execute("SELECT key, value FROM meta").fetchall())


def next_generation(cursor: Cursor[Any]) -> None:
    """Make readers look again; the last statement of a transaction, as writers wait for each other here.

    The token differs where a number comes twice: a replica without the last writes may become the primary.
    """
    cursor.execute(
        "UPDATE meta SET value = CASE key WHEN 'generation' THEN (value::bigint + 1)::text ELSE %s END"
        " WHERE key IN ('generation', 'token')",
        (uuid.uuid4().hex,),
    )
