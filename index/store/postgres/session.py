"""A session of a writer: its connection, what the index is made with, and what the ingest log holds."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import Cursor

from index.encoders.base import Encoder
from index.settings import IndexSettings
from index.store.base import FileRecord
from index.store.described import check_settings
from index.store.postgres.address import Connection, connected, parsed, replica, translated
from index.store.postgres.dense import HalfVector, HalfVectorDumper
from index.store.postgres.rows import doc_id_of, location_key, number_of
from index.store.postgres.schema import bring_up_to_date, search_path


class Session:
    """An index opened for writing: all of a `Writer` but what it writes."""

    def __init__(
        self, address: str, encoder: Encoder, settings: IndexSettings | None = None, *, adopt: bool = False
    ) -> None:
        """See `index.store.open_writer`."""
        self._address = parsed(address)
        self._encoder, self._wanted, self._adopt = encoder, settings, adopt
        self._connection: Connection

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
        check_settings(self._address.shown, meta, self._encoder, self._wanted)

    def _change_settings(self, settings: IndexSettings) -> None:
        """Make `settings` and the encoder the index's own: documents made with others become stale."""
        with self.transaction() as cursor:
            self.set_meta(cursor, **self._described(settings), recalls="{}")
            cursor.execute("DELETE FROM vectors")
            self.next_generation(cursor)
        self._meta = self._read_meta()

    @property
    def meta(self) -> dict[str, str]:
        """The index's own description of itself, as it was when this was opened."""
        return self._meta

    @property
    def encoder(self) -> Encoder:
        """What new vectors are made with."""
        return self._encoder

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

    @contextmanager
    def transaction(self) -> Iterator[Cursor[Any]]:
        """All or nothing of what is written in the block."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            yield cursor

    @property
    def connection(self) -> Connection:
        """The open connection, for reading what no method here gives."""
        return self._connection
