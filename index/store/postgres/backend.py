"""An index in PostgreSQL, opened for reading."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from index.store import own_folder
from index.store.base import EncodedDocument, FileRecord, Stats, StoredDocument
from index.store.described import Described, note_of
from index.store.postgres.address import Connection, connected, missing, parsed, translated
from index.store.postgres.rows import encoded_documents
from index.store.postgres.schema import check_layout, prepare
from index.store.postgres.snapshot import Facts, PostgresSnapshot, read_facts
from index.store.postgres.writer import read_meta

_MAX_IDLE = 32  # connections kept for the next snapshot


class PostgresBackend(Described):
    """An index in a database, opened for reading by many threads; `Writer` opens one for writing. A replica will do.

    Invariant: every answer of a snapshot comes from one read transaction, and from counts of that very generation.
    """

    def __init__(self, address: str) -> None:
        """Open the index at `address`.

        Raises:
            IndexMissing: There is none.
            FormatTooNew, StoreError: See `index.errors`.
        """
        self._idle: list[Connection] = []
        self._address = parsed(address)
        self._lock = threading.Lock()
        self._facts: Facts | None = None
        self._note = note_of(self._meta(), 0)

    def _meta(self) -> dict[str, str]:
        with self.transaction() as (_, meta):
            return meta

    @contextmanager
    def transaction(self) -> Iterator[tuple[Connection, dict[str, str]]]:
        """A connection within a read transaction, and the index's description of itself there."""
        with translated(self._address):
            connection, meta = self._begun()
            try:
                yield connection, meta
                connection.execute("COMMIT")
            except BaseException:
                with suppress(psycopg.Error):
                    connection.close()
                raise
            if len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
            else:
                connection.close()

    def _begun(self) -> tuple[Connection, dict[str, str]]:
        """A connection in a new transaction; a kept one may have been closed by a server that was started again."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        while self._idle:
            with suppress(IndexError, psycopg.OperationalError, psycopg.InterfaceError):
                kept = self._idle.pop()  # another thread may take the last one
                kept.execute(begin)
                return kept, read_meta(kept)
        connection = connected(self._address)
        try:
            check_layout(connection, self._address)
            prepare(connection, self._address)
            connection.execute(begin)
            meta = read_meta(connection)
            if "settings_key" not in meta:
                raise missing(self._address)
            return connection, meta
        except BaseException:
            connection.close()
            raise

    @property
    def place(self) -> str:
        """The address."""
        return self._address.text

    @property
    def folder(self) -> Path:
        """The folder on this machine for what belongs to its servers."""
        return own_folder(self._address.text)

    @property
    def is_local(self) -> bool:
        """False: the server compares and counts."""
        return False

    @property
    def note(self) -> str:
        """A warning about the version that made the newest state or some of its documents; mostly empty."""
        return self._note

    @contextmanager
    def snapshot(self) -> Iterator[PostgresSnapshot]:
        """The newest state, held still for the length of a `with` block."""
        with self.transaction() as (connection, meta):
            yield PostgresSnapshot(connection, self._facts_of(connection, meta))

    def _facts_of(self, connection: Connection, meta: dict[str, str]) -> Facts:
        with self._lock:
            if self._facts is None or self._facts.token != meta["token"]:
                self._facts = read_facts(connection, meta)
                stale = "SELECT count(*) FROM documents WHERE settings_key != %s"
                ((n_stale,),) = connection.execute(stale, (meta["settings_key"],)).fetchall()
                self._note = note_of(meta, n_stale)
            return self._facts

    def documents(self) -> Iterator[StoredDocument]:
        """Every stored document, in the order of ingest."""
        with self.transaction() as (connection, meta):
            rows = connection.execute(
                "SELECT doc_id, location, source, title, url, author, date, language, n_chars, n_passages,"
                " settings_key != %s, tags FROM documents ORDER BY position, doc",
                (meta["settings_key"],),
            ).fetchall()
        for *fields, tags in rows:
            fields.append(tuple(tags))
            yield StoredDocument(*fields)

    def text(self, doc_id: str) -> str | None:
        """The stored text of a document, None where there is no such document."""
        with self.transaction() as (connection, _):
            row = connection.execute("SELECT text FROM documents WHERE doc_id = %s", (doc_id,)).fetchone()
        return row[0] if row else None

    def failures(self) -> list[tuple[str, str]]:
        """(source, reason) of every file that failed when it was last tried, whole or in part."""
        return [(file.source, file.reason) for file in self.files() if file.status != "ok"]

    def encoded(self) -> Iterator[EncodedDocument]:
        """Every current document with all that is stored of it, in the order of ingest."""
        with self.transaction() as (connection, meta):
            yield from encoded_documents(connection, meta["settings_key"])

    def files(self) -> Iterator[FileRecord]:
        """The ingest log."""
        columns = "location, source, digest, settings_key, status, reason"
        with self.transaction() as (connection, _):
            rows = connection.execute(f"SELECT {columns} FROM files ORDER BY location").fetchall()
        yield from (FileRecord(*row) for row in rows)

    def stats(self) -> Stats:
        """Sizes and state."""
        with self.transaction() as (connection, meta):
            facts = self._facts_of(connection, meta)
            row = connection.execute(_SIZES, (meta["settings_key"],)).fetchone()
            assert row is not None
            languages = connection.execute("SELECT language, count(*) FROM documents GROUP BY 1 ORDER BY 2 DESC, 1")
            version = connection.info.server_version
            return Stats(
                n_documents=row[0],
                n_passages=facts.n_passages,
                n_vectors=row[1],
                n_stale=row[2],
                n_failed=row[3],
                languages=dict(languages.fetchall()),
                encoder=meta["encoder"],
                vector_index=f"hnsw in {len(facts.indexes)} languages, exact in others" if facts.indexes else "exact",
                bytes_on_disk=row[4],
                generation=int(meta["generation"]),
                extra={"server": f"PostgreSQL {version // 10_000}.{version % 10_000}", "schema": self._address.schema},
            )

    def close(self) -> None:
        """Close the connections that no snapshot holds."""
        while self._idle:
            self._idle.pop().close()

    def __del__(self) -> None:
        self.close()


_SIZES = (
    "SELECT (SELECT count(*) FROM documents),"
    " (SELECT coalesce(sum(length(parts) / 2 / vector_dims(embedding)), 0)::bigint FROM vectors),"
    " (SELECT count(*) FROM documents WHERE settings_key != %s), (SELECT count(*) FROM files WHERE status != 'ok'),"
    " (SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace)"
)
