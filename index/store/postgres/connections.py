"""Connections of readers, kept for the next snapshot; each is used by one snapshot at a time."""

from __future__ import annotations

import threading
from typing import Any

import psycopg

from index.store.postgres.address import Address, Connection, connected, translated
from index.store.postgres.schema import check_version, has_citus, search_path

# Settings of a transaction that searches. JIT takes longer than any query here.
_SETTINGS = (
    "SET LOCAL jit = off; SET LOCAL work_mem = '64MB'; SET LOCAL hnsw.iterative_scan = strict_order;"
    " SET LOCAL hnsw.ef_search = {ef_search}; SET LOCAL hnsw.max_scan_tuples = 200000"
)
EF_SEARCH = 200  # recall and time: docs/decisions/0016
_MAX_IDLE = 32
_LEAST_MEMORY, _MOST_MEMORY = 64 * 2**20, 2 * 2**30


def use_memory(connection: Connection, n_bytes: int) -> None:
    """Let the transaction make indexes in so much memory, within limits, or in more if the server says so."""
    connection.execute(
        "SELECT set_config('maintenance_work_mem', greatest(%s, pg_size_bytes(current_setting('maintenance_work_mem'))"
        " / 1024)::text || 'kB', true)",
        (min(max(n_bytes, _LEAST_MEMORY), _MOST_MEMORY) // 1024,),
    )


class Connections:
    """Open connections to one index; safe to use from many threads."""

    def __init__(self, address: Address) -> None:
        """Check that there is an index.

        Raises:
            IndexMissing, FormatTooNew, StoreError: As they say.
        """
        self._address = address
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._closed = False
        connection = connected(address)
        try:
            with translated(address):
                check_version(connection, address)
                propagate = "SET LOCAL citus.propagate_set_commands = 'local';" if has_citus(connection) else ""
                own = search_path(connection, address)
        except BaseException:
            connection.close()
            raise
        settings = _SETTINGS.format(ef_search=EF_SEARCH)
        self._opening = (
            f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {propagate} SET LOCAL search_path = {own}; {settings};"
            " SELECT key, value FROM meta"
        )
        self._idle.append(connection)

    def begin(self) -> tuple[Connection, dict[str, str]]:
        """A connection within a new read transaction, and what the index says of itself there."""
        while True:
            with self._lock:
                known = self._idle.pop() if self._idle else None
            connection = known or connected(self._address)
            try:
                return connection, self._begun(connection)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                connection.close()
                if known is None:
                    raise
                # The server has been started anew, or has closed it: the others are no better.
                self.close_idle()
            except BaseException:
                connection.close()
                raise

    def _begun(self, connection: Connection) -> dict[str, str]:
        cursor: psycopg.Cursor[Any] = connection.execute(self._opening)
        while cursor.nextset():
            pass
        return dict(cursor.fetchall())

    def end(self, connection: Connection) -> None:
        """Take back a connection whose transaction did well."""
        connection.execute("COMMIT")
        with self._lock:
            if not self._closed and len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def close_idle(self) -> None:
        """Close what no snapshot holds."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def close(self) -> None:
        """Close what no snapshot holds, and keep nothing that comes back."""
        self._closed = True
        self.close_idle()

    def __del__(self) -> None:
        self.close()
