"""An index in PostgreSQL, opened for reading."""

from __future__ import annotations

from contextlib import AbstractContextManager

import psycopg

from index.store.postgres.address import Connection, connected, missing, parsed, translated
from index.store.postgres.schema import PostgresRows, check_layout, prepare
from index.store.postgres.snapshot import PostgresFacts, PostgresSnapshot
from index.store.reading import Backend


class PostgresBackend(PostgresRows, Backend):
    """An index in a database, opened for reading by many threads; `Writer` opens one for writing. A replica will do.

    Invariant: every answer of a snapshot comes from one read transaction, and from counts of that very generation.
    """

    is_local = False
    begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    generation = "token"
    lost = (psycopg.OperationalError, psycopg.InterfaceError)
    rows = Backend.rows

    def __init__(self, address: str) -> None:
        """Open the index at `address`.

        Raises:
            IndexMissing: There is none.
            FormatTooNew, StoreError: See `index.errors`.
        """
        super().__init__(address, PostgresFacts())
        self._address = parsed(address)
        if "settings_key" not in self.meta():
            raise missing(self._address)

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self._address)

    def _connected(self) -> Connection:
        connection = connected(self._address)
        try:
            check_layout(connection, self._address)
            prepare(connection, self._address)
        except BaseException:
            connection.close()
            raise
        return connection

    def _reader(self, connection: Connection) -> PostgresSnapshot:
        return PostgresSnapshot(connection)

    def _searched(self) -> tuple[str, int, dict[str, str]]:
        with self.snapshot() as found:
            assert isinstance(found, PostgresSnapshot)
            version, indexes = found.connection.info.server_version, found.facts.indexes
            n_bytes = found.count(
                "coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class"
                " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
            )
        kind = f"hnsw in {len(indexes)} languages, exact in others" if indexes else "exact"
        server = f"PostgreSQL {version // 10_000}.{version % 10_000}"
        return kind, n_bytes, {"server": server, "schema": self._address.schema}
