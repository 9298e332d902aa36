"""The SQLite file of an embedded index: its tables, and connections to it."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from index.store.quantized import row_bytes, unpacked
from index.store.rows import Row, Rows, SqlValue
from index.store.sqlite.problems import STORE, translated
from index.store.tables import FORMAT_VERSION, TABLES
from index.store.tables import check_format as check_version

_TYPES = {"text": "TEXT", "number": "INTEGER", "real": "REAL", "blob": "BLOB", "vector": "BLOB", "hash": ""}
_TYPES["passage"] = "pid INTEGER PRIMARY KEY, doc INTEGER NOT NULL"
_DERIVED = """
-- Contentless: the terms of a passage are derived again from its text where they are needed.
CREATE VIRTUAL TABLE terms USING fts5 (
    body, title, content = '', tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* P* S* Co'"
);
CREATE TABLE forms (  -- of names, by phonetic key; derived from the texts
    key TEXT NOT NULL, form TEXT NOT NULL, n_documents INTEGER NOT NULL, PRIMARY KEY (key, form)
) WITHOUT ROWID;
"""


class SqliteRows(Rows):
    """The tables of the SQLite file in a folder."""

    matches = "d.source GLOB ?"
    vector = "v.embedding"
    path: Path
    connection: sqlite3.Connection

    def translated(self) -> AbstractContextManager[None]:
        """SQLite's errors as this package's."""
        return translated(self.path)

    def rows(self, query: str, *values: SqlValue) -> list[Row]:
        """Run a statement; the rows that it gives."""
        with self.translated():
            return list(self.stream(query, *values))

    def stream(self, query: str, *values: SqlValue) -> Iterator[Row]:
        """Run a query; its rows one by one."""
        own = [json.dumps(value) if isinstance(value, list) else value for value in values]
        return self.connection.execute(query.replace("IN ?", "IN (SELECT value FROM json_each(?))"), own)

    @staticmethod
    def half(data: bytes) -> bytes:
        """See `index.store.rows.Rows`."""
        dim = len(data) - row_bytes(0)
        return unpacked(data, dim).astype("<f2").tobytes() if dim > 0 else b""

    def lexical_problems(self) -> list[str]:
        """How the terms differ from what the texts give."""
        expected: Counter[str] = Counter()
        for some in self.wholes("1 = 1"):
            for _, _, body, title in self.texts([one.doc for one in some]):
                expected.update({*body.split(), *title.split()})
        self.rows("CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab (main, terms, row)")
        found: dict[str, int] = dict(self.rows("SELECT term, doc FROM temp.vocabulary"))
        wrong = [term for term in found.keys() | expected.keys() if found.get(term) != expected.get(term)]
        problems = [f"the lexical index is wrong for {len(wrong)} terms of {len(expected)}"] if wrong else []
        n_passages, n_terms = self.count("count(*) FROM passages"), self.count("count(*) FROM terms")
        if n_terms != n_passages:
            problems.append(f"the lexical index holds {n_terms} passages of {n_passages}")
        return problems


def connect(path: Path, write: bool = False) -> sqlite3.Connection:
    """A connection to the store in folder `path`, of whatever format.

    Raises:
        StoreDamaged: It is no SQLite file.
        StoreFull: There is no room for what a writer writes.
    """
    with translated(path):
        try:
            return _connected(path, write)
        except sqlite3.OperationalError:
            # Where a full or read-only disk has no room for SQLite's files beside its own, there is no writer either.
            # The log must be empty; a `-shm` file may be left of a process that was killed.
            log = path / f"{STORE}-wal"
            if write or (log.exists() and log.stat().st_size):
                raise
            return _connected(path, write, "?immutable=1")


def _connected(path: Path, write: bool, how: str = "") -> sqlite3.Connection:
    place = f"{(path / STORE).absolute().as_uri()}{how}"
    # Autocommit: every transaction below is begun and ended by hand.
    connection = sqlite3.connect(place, uri=True, isolation_level=None, timeout=30, check_same_thread=False)
    try:
        if write:
            connection.execute("PRAGMA page_size = 16384")  # of a new file; several passages fit
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA wal_autocheckpoint = 4096")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cache_size = -65536")
        format_of(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def format_of(connection: sqlite3.Connection) -> int:
    """The store's format; 0 where no tables have been made."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check_format(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse a format that this program does not read; see `index.store.tables.check_format`."""
    check_version(str(path), format_of(connection), f"{path}-{FORMAT_VERSION}")


def create(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty store, in one transaction."""
    if format_of(connection) == 0:
        tables = f"{TABLES.format(**_TYPES)} {_DERIVED} PRAGMA user_version = {FORMAT_VERSION}"
        connection.executescript(f"BEGIN IMMEDIATE; {tables}; COMMIT;")
