"""An index in PostgreSQL, opened for reading."""

from __future__ import annotations

import psycopg

from index.store.postgres.address import Connection, connected, parsed
from index.store.postgres.schema import PostgresRows, check_layout, prepare
from index.store.postgres.snapshot import PostgresFacts, PostgresSnapshot
from index.store.reading import Backend


class PostgresBackend(Backend, PostgresRows):
    """An index in a database, opened for reading by many threads; `Writer` opens one for writing. A replica will do.

    Invariant: every answer of a snapshot comes from one read transaction, and from counts of that very generation.
    """

    is_local = False
    begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    lost = (psycopg.OperationalError, psycopg.InterfaceError)

    def __init__(self, address: str) -> None:
        """See `index.store.open_backend`."""
        self.address = parsed(address)
        super().__init__(address, PostgresFacts())

    def _connected(self) -> Connection:
        connection = connected(self.address)
        try:
            check_layout(connection, self.address)
            prepare(connection, self.address)
        except BaseException:
            connection.close()
            raise
        return connection

    def _reader(self, connection: Connection) -> PostgresSnapshot:
        return PostgresSnapshot(self.address, connection)

    def _searched(self) -> tuple[str, int]:
        n_bytes = self.count(
            "coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        )
        n = self.count("count(*) FROM pg_indexes WHERE schemaname = current_schema() AND indexname ^@ 'hnsw_'")
        return f"hnsw in {n} languages, exact in others" if n else "exact", n_bytes
