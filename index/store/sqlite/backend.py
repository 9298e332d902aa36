"""An index folder, opened for reading: one consistent generation at a time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from index.store.reading import Backend
from index.store.sqlite.problems import STORE, damaged
from index.store.sqlite.schema import SqliteRows, check_format, connect
from index.store.sqlite.snapshot import EmbeddedFacts, EmbeddedSnapshot
from index.store.sqlite.vectors import KIND
from index.store.tables import missing


class EmbeddedBackend(Backend, SqliteRows):
    """An index folder, opened for reading, by any number of threads; `Writer` opens one for writing.

    Invariant: every answer of a snapshot comes from one read transaction and from the vectors of that very generation.
    """

    is_local = True
    begin = "BEGIN"

    def __init__(self, folder: Path) -> None:
        """See `index.store.open_backend`."""
        self.path = folder
        super().__init__(folder, EmbeddedFacts())

    def _connected(self) -> sqlite3.Connection:
        self._check_there()
        return connect(self.path)

    def _check_there(self) -> None:
        if not (self.path / STORE).is_file():
            raise missing(str(self.path))

    def _reader(self, connection: sqlite3.Connection) -> EmbeddedSnapshot:
        self._check_there()  # an open connection would still read a file that was removed
        check_format(self.path, connection)  # each time: another version may have changed it
        return EmbeddedSnapshot(self.path, connection)

    def check_file(self) -> None:
        """Let SQLite check its file.

        Raises:
            StoreDamaged: It finds damage.
        """
        verdict = [row[0] for row in self.rows("PRAGMA quick_check(5)")]
        if verdict != ["ok"]:
            raise damaged(self.path, "; ".join(verdict))

    def _searched(self) -> tuple[str, int]:
        return KIND, sum(_size(path) for path in self.path.rglob("*"))


def _size(path: Path) -> int:
    """Bytes of a file; a writer may have removed it since it was listed."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
