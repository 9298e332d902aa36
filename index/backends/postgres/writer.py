"""Writing an index in PostgreSQL: any number of processes at once, one transaction a call."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
from psycopg import Cursor, errors

from index.backends.base import EncodedDocument, FileRecord
from index.backends.postgres import vectors
from index.backends.postgres.address import Connection, connected, parsed, replica, translated
from index.backends.postgres.dense import HalfVector, HalfVectorDumper
from index.backends.postgres.facts import Facts, read_facts
from index.backends.postgres.rows import copy_rows, doc_id_of, location_key, number_of, numbers_of, rows_of
from index.backends.postgres.schema import OF_DOCUMENTS, bring_up_to_date, search_path
from index.backends.postgres.stored import whole_documents
from index.documents import Document
from index.encoders.base import Encoder
from index.errors import SettingsMismatch
from index.settings import IndexSettings

_TRIES = 5  # of a transaction that the server broke off because two waited for each other
_MANY_PASSAGES = 2_000  # written by one writer: from so many on the server's statistics are brought up to date

Result = TypeVar("Result")


class Writer:
    """A process that changes an index, as a context manager; others may write at the same time.

    Invariant: what a call has committed survives a kill at any later moment, and a location has one version.
    """

    def __init__(
        self, address: str, encoder: Encoder, settings: IndexSettings | None = None, *, adopt: bool = False
    ) -> None:
        """See `index.backends.open_writer`."""
        self._address = parsed(address)
        self._encoder, self._wanted, self._adopt = encoder, settings, adopt
        self._connection: Connection
        self._n_written = 0

    def __enter__(self) -> Self:
        """Connect, and lay out the tables where there are none.

        Raises:
            FormatTooNew, SettingsMismatch, StoreError: As they say.
        """
        self._connection = connected(self._address)
        try:
            with translated(self._address):
                self._open()
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(psycopg.Error):
            self._connection.close()

    def _open(self) -> None:
        self._connection.adapters.register_dumper(HalfVector, HalfVectorDumper)
        (in_recovery,) = self._one("SELECT pg_is_in_recovery()")
        if in_recovery:
            raise replica(self._address)
        bring_up_to_date(self._connection, self._address)
        path = search_path(self._connection, self._address)
        # What a call has committed is on the disk, whatever the server is set to.
        self._connection.execute(
            f"SET search_path = {path}; SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )
        with self.transaction() as cursor:
            wanted = self._wanted or IndexSettings()
            cursor.executemany(
                "INSERT INTO meta VALUES (%s, %s) ON CONFLICT (key) DO NOTHING",
                list({"generation": "0", "token": uuid.uuid4().hex, **self._described(wanted)}.items()),
            )
        self._meta = self._read_meta()
        self._check_settings()

    def _described(self, settings: IndexSettings) -> dict[str, str]:
        return {
            "dim": str(self._encoder.dim),
            "encoder": self._encoder.name,
            "encoder_fingerprint": self._encoder.fingerprint,
            "settings": json.dumps(settings.as_dict()),
            "settings_key": settings.key(self._encoder.fingerprint),
        }

    def _check_settings(self) -> None:
        meta = self._meta
        if self._adopt:
            wanted = self._wanted or self.settings
            if wanted.key(self._encoder.fingerprint) != meta["settings_key"]:
                self._change_settings(wanted)
            return
        if self._wanted is not None and self._wanted != self.settings:
            raise SettingsMismatch(
                f"{self._address.shown} was made with {meta['settings']}",
                f"the same settings, not {json.dumps(self._wanted.as_dict())}",
                "dragoman index --refresh with the new settings re-does the stored documents",
            )
        if meta["encoder_fingerprint"] != self._encoder.fingerprint:
            raise SettingsMismatch(
                f"{self._address.shown} was made with encoder {meta['encoder']} ({meta['encoder_fingerprint']})",
                f"the same, not {self._encoder.name} ({self._encoder.fingerprint})",
                f"dragoman index --refresh --encoder {self._encoder.name} re-does the stored documents",
            )

    def _change_settings(self, settings: IndexSettings) -> None:
        """Make `settings` and the encoder the index's own: documents made with others become stale."""
        with self.transaction() as cursor:
            self.set_meta(cursor, **self._described(settings), recalls="{}")
            cursor.execute("DELETE FROM vectors")
            self.next_generation(cursor)
        self._meta = self._read_meta()

    @property
    def settings(self) -> IndexSettings:
        """What the index cuts and encodes with."""
        return IndexSettings.from_dict(json.loads(self._meta["settings"]))

    @property
    def settings_key(self) -> str:
        """Digest of the settings and the encoder that current documents carry."""
        return self._meta["settings_key"]

    @property
    def dim(self) -> int:
        """Components of a vector."""
        return int(self._meta["dim"])

    def file_record(self, location: str) -> FileRecord | None:
        """What the ingest log holds of a file."""
        rows = self._rows(
            "SELECT location, source, digest, settings_key, status, reason FROM files WHERE location_key = %s",
            location_key(location),
        )
        return FileRecord(*rows[0]) if rows else None

    def files_under(self, folder: str) -> list[str]:
        """Locations of the logged files inside a folder, at any depth."""
        prefix = folder.rstrip(os.sep) + os.sep
        return [location for (location,) in self._rows("SELECT location FROM files WHERE location ^@ %s", prefix)]

    def documents_of(self, file: str) -> dict[str, str]:
        """doc_id by location of the documents that came from a file."""
        rows = self._rows("SELECT location, doc_id FROM documents WHERE file_key = %s", location_key(file))
        return {location: doc_id_of(number) for location, number in rows}

    def is_current(self, location: str, sha256: str) -> bool:
        """Whether this very document is stored with the current settings."""
        return bool(
            self._rows(
                "SELECT 1 FROM documents WHERE location_key = %s AND sha256 = %s AND settings_key = %s",
                location_key(location), sha256, self.settings_key,
            )
        )  # fmt: skip

    def file_of(self, doc_id: str) -> str | None:
        """Location of the file that a document came from, None where there is no such document."""
        rows = self._rows("SELECT file FROM documents WHERE doc_id = %s", number_of(doc_id))
        return str(rows[0][0]) if rows else None

    def upsert(self, documents: Sequence[EncodedDocument], files: Sequence[FileRecord] = ()) -> None:
        """Store documents and log files in one durable transaction; older versions go.

        Raises:
            StoreFull: The disk is full; nothing of this call is kept, all before it is.
            SettingsMismatch: The index has been given other settings since this writer was opened.
        """
        # Of two versions in one call the later one counts.
        latest = list({item.document.location: item for item in documents}.values())
        rows = rows_of(latest, self.settings_key, self.dim)
        owners = dict(sorted((row[2], row[0]) for row in rows.documents))

        def store(cursor: Cursor[Any]) -> None:
            self._take(cursor, owners)
            old = cursor.execute(
                "SELECT doc_id FROM documents WHERE location_key = ANY (%s)", (list(owners),)
            ).fetchall()
            self.remove_documents(cursor, [number for (number,) in old])
            copy_rows(cursor, rows)
            self._log(cursor, files)
            if documents:
                self.next_generation(cursor)

        if latest or files:
            self._repeated(store)
        self._n_written += len(rows.passages)

    def _take(self, cursor: Cursor[Any], owners: dict[uuid.UUID, int]) -> None:
        """Lock the locations, in one order for all writers, and see that the settings still are this writer's."""
        if not owners:
            return
        row = cursor.execute("SELECT value FROM meta WHERE key = 'settings_key' FOR SHARE").fetchone()
        if row is None or row[0] != self.settings_key:
            raise SettingsMismatch(
                f"the settings of {self._address.shown} have been changed meanwhile",
                "those that this ingest began with",
                "run the same command again",
            )
        cursor.execute(
            "INSERT INTO locations SELECT * FROM unnest(%s::uuid[], %s::bigint[]) AS own (key, doc_id) ORDER BY key"
            " ON CONFLICT (location_key) DO UPDATE SET doc_id = EXCLUDED.doc_id",
            (list(owners), list(owners.values())),
        )

    def _log(self, cursor: Cursor[Any], files: Sequence[FileRecord]) -> None:
        rows = {
            location_key(one.location): (one.location, one.source, one.digest, one.settings_key, one.status, one.reason)
            for one in files
        }
        if rows:
            columns = [list(column) for column in zip(*(rows[key] for key in sorted(rows)), strict=True)]
            cursor.execute(
                "INSERT INTO files SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[],"
                " %s::text[], %s::text[]) ON CONFLICT (location_key) DO UPDATE SET location = EXCLUDED.location,"
                " source = EXCLUDED.source, digest = EXCLUDED.digest, settings_key = EXCLUDED.settings_key,"
                " status = EXCLUDED.status, reason = EXCLUDED.reason, at = now()",
                (sorted(rows), *columns),
            )

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Remove documents for good, in one durable transaction; how many there were."""
        numbers = numbers_of(list(doc_ids))

        def remove(cursor: Cursor[Any]) -> int:
            n, files = self._remove(cursor, "doc_id = ANY (%s)", numbers)
            # A file none of whose documents are left is forgotten, so that indexing it again stores it.
            cursor.execute(
                "DELETE FROM files WHERE location_key = ANY (%s) AND status != 'failed'"
                " AND location_key NOT IN (SELECT file_key FROM documents WHERE file_key = ANY (%s))",
                (files, files),
            )
            return n

        return self._repeated(remove) if numbers else 0

    def forget_files(self, locations: Iterable[str]) -> int:
        """Remove files from the log, and every document that came from them; how many documents."""
        keys = sorted({location_key(location) for location in locations})

        def remove(cursor: Cursor[Any]) -> int:
            n, _ = self._remove(cursor, "file_key = ANY (%s)", keys)
            cursor.execute("DELETE FROM files WHERE location_key = ANY (%s)", (keys,))
            return n

        return self._repeated(remove) if keys else 0

    def _remove(self, cursor: Cursor[Any], condition: str, values: Sequence[Any]) -> tuple[int, list[uuid.UUID]]:
        """Remove the documents that `condition` holds for; how many, and the files they came from."""
        chosen = f"SELECT doc_id, location_key, file_key FROM documents WHERE {condition}"
        seen = cursor.execute(chosen, (list(values),)).fetchall()
        # A writer of the same location is waited for; then what is there is looked at once more.
        cursor.execute(
            "UPDATE locations SET doc_id = doc_id WHERE location_key = ANY (%s)", (sorted({row[1] for row in seen}),)
        )
        rows = cursor.execute(chosen, (list(values),)).fetchall()
        numbers = [row[0] for row in rows]
        self.remove_documents(cursor, numbers)
        cursor.execute("DELETE FROM locations WHERE doc_id = ANY (%s)", (numbers,))
        if rows:
            self.next_generation(cursor)
        return len(rows), list({row[2] for row in rows})

    def remove_documents(self, cursor: Cursor[Any], numbers: Sequence[int]) -> None:
        """Remove all rows of documents."""
        for table in OF_DOCUMENTS if numbers else ():
            cursor.execute(f"DELETE FROM {table} WHERE doc_id = ANY (%s)", (list(numbers),))

    def n_stale(self) -> int:
        """Number of documents not made with the current settings."""
        return int(self._rows("SELECT count(*) FROM documents WHERE settings_key != %s", self.settings_key)[0][0])

    def stale_documents(self, limit: int) -> list[tuple[Document, str]]:
        """Documents not made with the current settings, as they were before they were cut, each with its file."""
        with translated(self._address), self.transaction():
            found = whole_documents(self._connection, "settings_key != %(key)s", {"key": self.settings_key}, limit)
        return [(one.document, one.file) for one in found]

    def write_vectors(self, force: bool = False) -> bool:
        """Make an HNSW index for each language that has come to need one, or all anew; whether any was made."""
        with translated(self._address):
            facts = self.facts()
            tags = list(facts.indexed) if force else []
            tags = list(dict.fromkeys([*tags, *vectors.lacking(facts)]))
            with self.transaction():
                vectors.drop_useless(self._connection, facts)
            recalls = vectors.build(self._connection, self._address, facts, tags)
            if recalls:
                with self.transaction() as cursor:
                    known = vectors.recalls_of(self._read_meta()) | recalls
                    self.set_meta(cursor, recalls=json.dumps(known))
                    self.next_generation(cursor)
            if recalls or self._n_written >= _MANY_PASSAGES:
                self._look_over()
        return bool(recalls)

    def _look_over(self) -> None:
        """Bring the server's statistics up to date, and let indexes answer without the tables."""
        own = ", ".join(f'"{self._address.schema}".{table}' for table in OF_DOCUMENTS)
        with suppress(errors.InsufficientPrivilege):
            self._connection.execute(f"VACUUM (ANALYZE, SKIP_LOCKED) {own}")
        self._n_written = 0

    def facts(self) -> Facts:
        """The sizes of the newest generation."""
        with self.transaction():
            return read_facts(self._connection, self._read_meta())

    def next_generation(self, cursor: Cursor[Any]) -> None:
        """Make readers look again; the last statement of a transaction, as writers wait for each other here."""
        cursor.execute("UPDATE meta SET value = (value::bigint + 1)::text WHERE key = 'generation'")
        # A number may come twice, where a replica that lacked the last writes has become the primary.
        cursor.execute("UPDATE meta SET value = %s WHERE key = 'token'", (uuid.uuid4().hex,))

    def set_meta(self, cursor: Cursor[Any], **values: str) -> None:
        """Say something of the index as a whole."""
        cursor.executemany(
            "INSERT INTO meta VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value",
            list(values.items()),
        )

    def _read_meta(self) -> dict[str, str]:
        return dict(self._connection.execute("SELECT key, value FROM meta").fetchall())

    def _one(self, query: str) -> tuple[Any, ...]:
        row = self._connection.execute(query).fetchone()
        assert row is not None
        return row

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with translated(self._address):
            return self._connection.execute(query, values).fetchall()

    def _repeated(self, work: Callable[[Cursor[Any]], Result]) -> Result:
        """What `work` returns, done in one transaction; again where the server broke it off for another's sake."""
        with translated(self._address):
            for left in reversed(range(_TRIES)):
                try:
                    with self.transaction() as cursor:
                        return work(cursor)
                except (errors.DeadlockDetected, errors.SerializationFailure):
                    if not left:
                        raise
        raise AssertionError("unreachable")

    @contextmanager
    def transaction(self) -> Iterator[Cursor[Any]]:
        """All or nothing of what is written in the block."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            yield cursor

    @property
    def connection(self) -> Connection:
        """The open connection, for reading what no method here gives."""
        return self._connection
