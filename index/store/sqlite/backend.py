"""An index folder, opened for reading: one consistent generation at a time."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager, closing
from pathlib import Path

from index.errors import IndexMissing
from index.store.reading import Backend
from index.store.sqlite.problems import STORE, damaged, translated
from index.store.sqlite.schema import FORMAT_VERSION, SqliteRows, check_format, connect, format_of
from index.store.sqlite.snapshot import EmbeddedFacts, EmbeddedSnapshot
from index.store.sqlite.vectors import KIND


class EmbeddedBackend(SqliteRows, Backend):
    """An index folder, opened for reading, by any number of threads; `Writer` opens one for writing.

    Invariant: every answer of a snapshot comes from one read transaction and from the vectors of that very generation.
    A folder of an older format can be opened, so that it can be brought up to date; it says what it was made with,
    and all else raises FormatTooOld.
    """

    is_local = True
    begin = "BEGIN"
    generation = "generation"
    rows = Backend.rows

    def __init__(self, folder: Path) -> None:
        """Open the index in `folder`.

        Raises:
            IndexMissing: There is none.
            FormatTooNew, StoreDamaged: See `index.errors`.
        """
        super().__init__(folder, EmbeddedFacts())
        self.path = folder
        if not (folder / STORE).is_file():
            raise IndexMissing(
                f"there is no index in {folder}", f"a folder with {STORE}", "dragoman index PATH... makes one"
            )
        if not self.meta():
            raise IndexMissing(
                f"the index in {folder} has no tables", "a finished `dragoman index`", "dragoman index PATH..."
            )

    def meta(self) -> dict[str, str]:
        """The store's own description, of an older format too; empty where a killed writer has made no tables yet."""
        with translated(self.path), closing(connect(self.path)) as connection:
            version = format_of(connection)
            if version > FORMAT_VERSION:
                check_format(self.path, connection)
            return dict(connection.execute("SELECT key, value FROM meta")) if version else {}

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self.path)

    def _connected(self) -> sqlite3.Connection:
        return connect(self.path)

    def _reader(self, connection: sqlite3.Connection) -> EmbeddedSnapshot:
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

    def _searched(self) -> tuple[str, int, dict[str, str]]:
        return KIND, sum(_size(path) for path in self.path.rglob("*")), {}


def _size(path: Path) -> int:
    """Bytes of a file; a writer may have removed it since it was listed."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
