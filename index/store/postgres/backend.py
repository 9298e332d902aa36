"""An index in PostgreSQL, opened for reading."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from index.store.described import note_of
from index.store.postgres.address import Connection, connected, missing, parsed, translated
from index.store.postgres.schema import PostgresRows, check_layout, prepare
from index.store.postgres.snapshot import PostgresFacts, PostgresSnapshot, read_facts
from index.store.reading import Backend
from index.store.rows import IS_STALE, Row, Value

_MAX_IDLE = 32  # connections kept for the next snapshot


class PostgresBackend(PostgresRows, Backend):
    """An index in a database, opened for reading by many threads; `Writer` opens one for writing. A replica will do.

    Invariant: every answer of a snapshot comes from one read transaction, and from counts of that very generation.
    """

    is_local = False

    def __init__(self, address: str) -> None:
        """Open the index at `address`.

        Raises:
            IndexMissing: There is none.
            FormatTooNew, StoreError: See `index.errors`.
        """
        self._idle: list[Connection] = []
        self.place, self._address = address, parsed(address)
        self._lock = threading.Lock()
        self._facts = PostgresFacts()
        self._note = ""
        if "settings_key" not in self.meta():
            raise missing(self._address)

    def rows(self, query: str, *values: Value) -> list[Row]:
        """Run a query in a snapshot of its own; the rows that it gives."""
        with self.snapshot() as snapshot:
            return snapshot.rows(query, *values)

    @contextmanager
    def snapshot(self) -> Iterator[PostgresSnapshot]:
        """The newest state, held still for the length of a `with` block."""
        with translated(self._address):
            connection = self._begun()
            try:
                meta: dict[str, str] = dict(connection.execute("SELECT key, value FROM meta").fetchall())
                yield PostgresSnapshot(connection, self._facts_of(connection, meta), int(meta.get("dim", 0)))
                connection.execute("COMMIT")
            except BaseException:
                with suppress(psycopg.Error):
                    connection.close()
                raise
            if len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
            else:
                connection.close()

    def _begun(self) -> Connection:
        """A connection in a new transaction; a kept one may have been closed by a server that was started again."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        while self._idle:
            with suppress(IndexError, psycopg.OperationalError, psycopg.InterfaceError):
                kept = self._idle.pop()  # another thread may take the last one
                kept.execute(begin)
                return kept
        connection = connected(self._address)
        try:
            check_layout(connection, self._address)
            prepare(connection, self._address)
            connection.execute(begin)
            return connection
        except BaseException:
            connection.close()
            raise

    def _facts_of(self, connection: Connection, meta: dict[str, str]) -> PostgresFacts:
        with self._lock:
            token = meta.get("token", "")
            if self._facts.token != token:
                self._facts = read_facts(connection, token)
                stale = f"SELECT count(*) FROM documents WHERE {IS_STALE}"
                self._note = note_of(meta, connection.execute(stale).fetchall()[0][0]) if token else ""
            return self._facts

    @property
    def note(self) -> str:
        """See `Backend`; of the newest state that was read."""
        return self._note

    def _searched(self) -> tuple[str, int, dict[str, str]]:
        with self.snapshot() as snapshot:
            version, indexes = snapshot.connection.info.server_version, self._facts.indexes
            n_bytes = snapshot.count(
                "coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class"
                " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
            )
        kind = f"hnsw in {len(indexes)} languages, exact in others" if indexes else "exact"
        server = f"PostgreSQL {version // 10_000}.{version % 10_000}"
        return kind, n_bytes, {"server": server, "schema": self._address.schema}

    def close(self) -> None:
        """Close the connections that no snapshot holds."""
        while self._idle:
            self._idle.pop().close()

    def __del__(self) -> None:
        self.close()
