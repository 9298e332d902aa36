"""An index folder, opened for reading: one consistent generation at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from index.errors import IndexMissing, StoreDamaged
from index.store.reading import Backend
from index.store.rows import Row, Value
from index.store.sqlite.problems import STORE, damaged, translated
from index.store.sqlite.schema import FORMAT_VERSION, SqliteRows, check_format, connect, format_of
from index.store.sqlite.snapshot import EmbeddedFacts, EmbeddedSnapshot
from index.store.sqlite.vectors import KIND, VectorIndex, advanced


class EmbeddedBackend(SqliteRows, Backend):
    """An index folder, opened for reading, by any number of threads; `Writer` opens one for writing.

    Invariant: every answer of a snapshot comes from one read transaction and from the vectors of that very generation.
    A folder of an older format can be opened, so that it can be brought up to date; it says what it was made with,
    and all else raises FormatTooOld.
    """

    is_local = True

    def __init__(self, folder: Path) -> None:
        """Open the index in `folder`.

        Raises:
            IndexMissing: There is none.
            FormatTooNew, StoreDamaged: See `index.errors`.
        """
        if not (folder / STORE).is_file():
            raise IndexMissing(
                f"there is no index in {folder}", f"a folder with {STORE}", "dragoman index PATH... makes one"
            )
        self.place = self.path = folder
        self.connection = connect(folder)
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._newest = VectorIndex(), EmbeddedFacts()
        if format_of(self.connection) > FORMAT_VERSION:
            check_format(folder, self.connection)
        if not self.meta():
            self.connection.close()
            raise IndexMissing(
                f"the index in {folder} has no tables", "a finished `dragoman index`", "dragoman index PATH..."
            )

    def meta(self) -> dict[str, str]:
        """The store's own description; empty where a killed writer has made no tables yet."""
        try:
            return dict(super().rows("SELECT key, value FROM meta"))
        except StoreDamaged as error:
            if "no such table" in str(error):
                return {}
            raise

    def rows(self, query: str, *values: Value) -> list[Row]:
        """Run a query; the rows that it gives.

        Raises:
            FormatTooOld: The format is not this program's.
        """
        check_format(self.path, self.connection)
        return super().rows(query, *values)

    @contextmanager
    def snapshot(self) -> Iterator[EmbeddedSnapshot]:
        """The newest state, held still for the length of a `with` block.

        Raises:
            FormatTooOld: The format is not this program's.
            StoreDamaged: The store cannot be read.
        """
        with translated(self.path):
            connection = self._idle.pop() if self._idle else connect(self.path)
            try:
                check_format(self.path, connection)
                connection.execute("BEGIN")
                snapshot = EmbeddedSnapshot(self.path, connection)
                snapshot.use(*self._state(snapshot, snapshot.meta()))
                yield snapshot
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)

    def _state(self, snapshot: EmbeddedSnapshot, meta: Mapping[str, str]) -> tuple[VectorIndex, EmbeddedFacts]:
        """The vectors and facts of the generation that the snapshot's transaction sees."""
        with self._lock:
            newest, found = self._newest[0], self._newest
            if newest.generation != int(meta["generation"]):
                found = advanced(newest, snapshot, meta), EmbeddedFacts()
                # A snapshot that another thread began earlier keeps its own; the newest one is kept for all.
                if found[0].generation > newest.generation:
                    self._newest = found
            return found

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

    def close(self) -> None:
        """Close the connections that no snapshot holds."""
        for connection in (self.connection, *self._idle):
            connection.close()
        self._idle.clear()


def _size(path: Path) -> int:
    """Bytes of a file; a writer may have removed it since it was listed."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
