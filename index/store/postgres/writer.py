"""Writing an index in PostgreSQL: any number of processes at once, one transaction a call."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from psycopg import Cursor, errors

from index.documents import Document
from index.errors import SettingsMismatch
from index.store.base import EncodedDocument, FileRecord
from index.store.postgres import postings, vectors
from index.store.postgres.address import translated
from index.store.postgres.facts import Facts, read_facts
from index.store.postgres.rows import copy_rows, location_key, numbers_of, rows_of
from index.store.postgres.schema import OF_DOCUMENTS
from index.store.postgres.session import Session
from index.store.postgres.stored import whole_documents

_TRIES = 5  # of a transaction that the server broke off because two waited for each other
_MANY_PASSAGES = 2_000  # written by one writer: from so many on the server's statistics are brought up to date

Result = TypeVar("Result")


class _IndexesLacking(Exception):
    """Postings are to be removed from an index whose first ingest has not come to its end."""


class Writer(Session):
    """A process that changes an index, as a context manager; others may write at the same time.

    Invariant: what a call has committed survives a kill at any later moment, and a location has one version.
    """

    _n_written = 0  # passages, since the server's statistics were brought up to date
    _can_remove = False  # the postings are known to have their indexes, without which all of them would be read

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
            if old and not self._can_remove:
                raise _IndexesLacking
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
        if numbers and not self._can_remove:
            raise _IndexesLacking
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

    def refresh_vectors(self, force: bool = False) -> bool:
        """Make an HNSW index for each language that has come to need one, or all anew; whether any was made.

        And the indexes of the postings, at the end of the first ingest.
        """
        with translated(self._address):
            postings.build(self._connection, self._address)
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
                except _IndexesLacking:
                    postings.build(self._connection, self._address)
                    self._can_remove = True
        raise AssertionError("unreachable")
