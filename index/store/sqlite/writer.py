"""Writing an embedded index: one process at a time, one transaction a call."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np
from filelock import FileLock, Timeout

from index.encoders.base import Encoder
from index.errors import IndexLocked, StoreError
from index.settings import IndexSettings
from index.store import writing
from index.store.quantized import packed
from index.store.rows import Row, name_rows, names_of
from index.store.sqlite.schema import SqliteRows, check_format, connect, create

LOCK = "writer.lock"
_INSERT = {
    "terms": "INSERT INTO terms (rowid, body, title) VALUES (?1, ?3, ?4)",
    "names": "INSERT INTO forms VALUES (?2, ?3, 1) ON CONFLICT DO UPDATE SET n_documents = n_documents + 1",
}


class Writer(writing.Writer, SqliteRows):
    """The one writer of an index folder.

    Invariant: the folder's lock is held from entry to exit.
    """

    def __init__(
        self, folder: Path, encoder: Encoder, settings: IndexSettings | None = None, *, adopt: bool = False
    ) -> None:
        """See `index.store.open_writer`."""
        super().__init__(str(folder), encoder, settings, adopt=adopt)
        self.path = folder
        self._lock = FileLock(folder / LOCK, timeout=1)  # contextual vectors are written in moments

    def __enter__(self) -> Self:
        """Take the lock and open the store.

        Raises:
            IndexLocked: Another process is writing.
            FormatTooNew, FormatTooOld, StoreDamaged, SettingsMismatch, StoreFull: See `index.errors`.
        """
        self._locked()
        try:
            with contextlib.suppress(OSError):
                self._pid_file.write_text(str(os.getpid()), "utf-8")
            self.connection = connect(self.path, write=True)
            with self.translated():
                create(self.connection)
                check_format(self.path, self.connection)
            self._settle()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _locked(self) -> None:
        """Take the lock of the folder, which is made where there is none."""
        try:
            with self.translated():
                self.path.mkdir(parents=True, exist_ok=True)
                self._lock.acquire()
        except Timeout as error:
            owner = ""
            with contextlib.suppress(OSError, ValueError):
                owner = f" (process {int(self._pid_file.read_text('utf-8'))})"
            raise IndexLocked(
                f"another process{owner} is writing to {self.path}",
                "one writer at a time",
                "wait for it to end, or stop it",
            ) from error
        except OSError as error:  # a file of that name, no rights, a read-only disk
            raise StoreError(
                f"{self.path} cannot be an index folder ({error.strerror})",
                "a folder that can be written to",
                "name another with --index",
            ) from error

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(sqlite3.Error, AttributeError):
            self.connection.close()
        with contextlib.suppress(OSError):
            self._pid_file.unlink()
        self._lock.release()

    @property
    def _pid_file(self) -> Path:
        return self.path / f"{LOCK}.pid"

    def insert(self, table: str, rows: Iterable[Row]) -> None:
        """See `index.store.writing.Writer`."""
        added = list(rows)
        if table == "vectors":
            added = [(*row[:3], packed(np.frombuffer(row[3], "<f2")[None])) for row in added]
        if added:
            marks = ", ".join("?" * len(added[0]))
            self.connection.executemany(_INSERT.get(table) or f"INSERT INTO {table} VALUES ({marks})", added)

    def _remove_rows(self, docs: list[int]) -> None:
        # FTS5 forgets a passage by the very terms that it was given.
        for pid, _, body, title in self.texts(docs):
            self.rows("INSERT INTO terms (terms, rowid, body, title) VALUES ('delete', ?, ?, ?)", pid, body, title)
        documents = (one for some in self.wholes("doc IN ?", docs) for one in some)
        names = Counter(row[1:] for one in documents for row in name_rows(one.doc, names_of(one.document)))
        for (key, form), n in names.items():
            self.rows("UPDATE forms SET n_documents = n_documents - ? WHERE key = ? AND form = ?", n, key, form)
        self.rows("DELETE FROM forms WHERE n_documents < 1")
        super()._remove_rows(docs)

    def clear_terms(self) -> None:
        """See `index.store.writing.Writer`."""
        self.rows("INSERT INTO terms (terms) VALUES ('delete-all')")
        self.rows("DELETE FROM forms")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written in the block."""
        with self.translated():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
                raise
