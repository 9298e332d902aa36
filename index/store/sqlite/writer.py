"""Writing an embedded index: one process at a time, one transaction a call."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from index.encoders.base import Encoder
from index.errors import IndexLocked, StoreError
from index.names import Alias, glosses
from index.settings import NAMES_VERSION, TERMS_VERSION, IndexSettings
from index.store import writing
from index.store.base import EncodedDocument, FileRecord
from index.store.rows import alias_rows, document_row, folded, rows_of
from index.store.sqlite.problems import translated
from index.store.sqlite.schema import (
    FORMAT_VERSION,
    SqliteRows,
    check_format,
    connect,
    create,
    format_of,
    keys_and_forms,
    upgrade,
)

LOCK = "writer.lock"
RULES = f"{TERMS_VERSION}.{NAMES_VERSION}"  # that terms and names were made by


class Writer(SqliteRows, writing.Writer):
    """The one writer of an index folder.

    Invariant: the folder's lock is held from entry to exit.
    """

    def __init__(
        self, folder: Path, encoder: Encoder, settings: IndexSettings | None = None, *, adopt: bool = False
    ) -> None:
        """See `index.store.open_writer`; with `adopt` an older format is brought up to date."""
        super().__init__(str(folder), encoder, settings, adopt=adopt)
        self.path = folder
        self._lock = FileLock(folder / LOCK, timeout=1)  # contextual vectors are written in moments

    def __enter__(self) -> Self:
        """Take the lock and open the store.

        Raises:
            IndexLocked: Another process is writing.
            FormatTooNew, FormatTooOld, StoreDamaged, SettingsMismatch, StoreFull: See `index.errors`.
        """
        try:
            with translated(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
                self._lock.acquire()
        except Timeout as error:
            raise IndexLocked(
                f"another process{self._owner()} is writing to {self.path}",
                "one writer at a time",
                "wait for it to end, or stop it",
            ) from error
        except OSError as error:  # a file of that name, no rights, a read-only disk
            raise StoreError(
                f"{self.path} cannot be an index folder ({error.strerror})",
                "a folder that can be written to",
                "name another with --index",
            ) from error
        try:
            with contextlib.suppress(OSError):
                self._pid_file.write_text(str(os.getpid()), "utf-8")
            with translated(self.path):
                self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()
        with contextlib.suppress(OSError):
            self._pid_file.unlink()
        self._lock.release()

    @property
    def _pid_file(self) -> Path:
        return self.path / f"{LOCK}.pid"

    def _owner(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            return f" (process {int(self._pid_file.read_text('utf-8'))})"
        return ""

    def _open(self) -> None:
        self.connection = connect(self.path, write=True)
        try:
            version = format_of(self.connection)
            if version == 0:
                create(self.connection)
            elif self._adopt and version < FORMAT_VERSION:
                upgrade(self.path, self.connection)
            check_format(self.path, self.connection)
            self._settle(next_pid="1", terms=RULES)
            # FTS5 forgets a passage by the very terms that it was given, which other rules would not give again.
            if self.meta().get("terms") != RULES:
                with self.transaction():
                    self.rebuild_terms()
        except BaseException:
            self.connection.close()
            raise

    def upsert(self, documents: Sequence[EncodedDocument], files: Sequence[FileRecord] = ()) -> None:
        """Store documents and log files in one durable transaction; older versions of the documents go.

        Raises:
            StoreFull: The disk is full; nothing of this call is kept, all before it is.
        """
        with self.transaction():
            self._remove("location", [item.document.location for item in documents])
            next_pid = self.count("value FROM meta WHERE key = 'next_pid'")
            for item in documents:
                next_pid = self._insert(item, next_pid)
            self.connection.executemany(
                "INSERT OR REPLACE INTO files (location, source, digest, settings_key, status, reason)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(f.location, f.source, f.digest, f.settings_key, f.status, f.reason) for f in files],
            )
            if documents:
                self.set_meta({"next_pid": str(next_pid)})
                self.next_generation()

    def _insert(self, item: EncodedDocument, first: int) -> int:
        """Store a document, its passages by numbers from `first`; the number after the last."""
        passages = rows_of(item, self.packed_vector)
        columns = document_row(item, self.settings_key, passages)
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        cursor = self.connection.execute(f"INSERT INTO documents ({names}) VALUES ({marks})", list(columns.values()))
        doc = int(cursor.lastrowid or 0)
        rows, vectors, terms = [], [], []
        for pid, (row, own) in enumerate(zip(passages, item.terms, strict=True), first):
            rows.append((pid, doc, *row[:7]))
            vectors.append((pid, doc, row.language, row.vector))
            terms.append((pid, own, item.title_terms))
        tags = [(doc, i, tag, folded(tag)) for i, tag in enumerate(item.document.metadata.tags)]
        run = self.connection.executemany
        run("INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        run("INSERT INTO vectors VALUES (?, ?, ?, ?)", vectors)
        run("INSERT INTO terms (rowid, body, title) VALUES (?, ?, ?)", terms)
        run("INSERT INTO tags VALUES (?, ?, ?, ?)", tags)
        run(_ADD_FORM, [(*pair, 1) for pair in keys_and_forms(item.sounds.split())] if passages else [])
        self._insert_aliases(doc, item.aliases)
        return first + len(rows)

    def _insert_aliases(self, doc: int, aliases: Sequence[Alias]) -> None:
        self.connection.executemany("INSERT INTO aliases VALUES (?, ?, ?, ?, ?)", alias_rows(doc, aliases))

    def _remove_rows(self, docs: list[int]) -> None:
        self.connection.executemany(
            "INSERT INTO terms (terms, rowid, body, title) VALUES ('delete', ?, ?, ?)", self.texts("doc IN ?", docs)
        )
        forms = self.name_forms("doc IN ?", docs)
        self.connection.executemany(_ADD_FORM, [(*pair, -n) for pair, n in forms.items()])
        self.rows("DELETE FROM forms WHERE n_documents < 1")
        super()._remove_rows(docs)

    def rebuild_terms(self) -> None:
        """Derive the lexical index and the names again from the documents' texts, inside a transaction."""
        self.rows("INSERT INTO terms (terms) VALUES ('delete-all')")
        self.connection.executemany("INSERT INTO terms (rowid, body, title) VALUES (?, ?, ?)", self.texts())
        for table in ("forms", "aliases"):
            self.rows(f"DELETE FROM {table}")
        self.connection.executemany(_ADD_FORM, [(*pair, n) for pair, n in self.name_forms("1 = 1").items()])
        for doc, text in self.stream("SELECT doc, text FROM documents WHERE n_passages > 0"):
            self._insert_aliases(doc, glosses(text))
        self.set_meta({"terms": RULES})

    def next_generation(self) -> None:
        """Count a change, inside a transaction; readers look again at what they have loaded."""
        self.rows("UPDATE meta SET value = value + 1 WHERE key = 'generation'")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written in the block."""
        with translated(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
                raise


_ADD_FORM = (
    "INSERT INTO forms VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n_documents = n_documents + excluded.n_documents"
)
