"""The SQLite file that is the one source of truth of an embedded index."""

from __future__ import annotations

import errno
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from index.errors import FormatTooNew, IndexLocked, StoreDamaged, StoreError, StoreFull

FORMAT_VERSION = 4
STORE = "store.sqlite"

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (
    location TEXT PRIMARY KEY, source TEXT NOT NULL, digest TEXT NOT NULL, settings_key TEXT NOT NULL,
    status TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
) WITHOUT ROWID;
CREATE TABLE documents (
    doc_pk INTEGER PRIMARY KEY, doc_id TEXT NOT NULL UNIQUE, location TEXT NOT NULL UNIQUE, file TEXT NOT NULL,
    source TEXT NOT NULL, sha256 TEXT NOT NULL, settings_key TEXT NOT NULL,
    title TEXT NOT NULL, url TEXT NOT NULL, author TEXT NOT NULL, date TEXT NOT NULL, language TEXT NOT NULL,
    headings TEXT NOT NULL, n_chars INTEGER NOT NULL, n_passages INTEGER NOT NULL, text TEXT NOT NULL
);
CREATE INDEX documents_file ON documents (file);
-- pid is never used twice: a vector file that knows a pid cannot mean another passage by it.
CREATE TABLE passages (
    pid INTEGER PRIMARY KEY, doc_pk INTEGER NOT NULL REFERENCES documents (doc_pk), ordinal INTEGER NOT NULL,
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, language TEXT NOT NULL, section TEXT NOT NULL,
    sentences BLOB NOT NULL,  -- int32 pairs, offsets from the passage's start
    n_vectors INTEGER NOT NULL, vectors BLOB NOT NULL  -- float16, (n_vectors, dim), the whole first
);
CREATE INDEX passages_doc ON passages (doc_pk);
CREATE INDEX passages_language ON passages (language);
CREATE TABLE deleted (pid INTEGER PRIMARY KEY, n_vectors INTEGER NOT NULL, generation INTEGER NOT NULL);
CREATE VIRTUAL TABLE terms USING fts5 (
    body, title, tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* P* S* Co'"
);
"""
# What later formats added, by format: an index of an older one gets it when it is next written to.
_ADDED = {
    2: """
CREATE TABLE tags (
    doc_pk INTEGER NOT NULL REFERENCES documents (doc_pk) ON DELETE CASCADE, ordinal INTEGER NOT NULL,
    tag TEXT NOT NULL, folded TEXT NOT NULL,  -- as written, and as it is compared
    PRIMARY KEY (doc_pk, ordinal)
) WITHOUT ROWID;
CREATE INDEX tags_folded ON tags (folded, doc_pk);
""",
    3: """
CREATE TABLE aliases (
    doc_pk INTEGER NOT NULL REFERENCES documents (doc_pk) ON DELETE CASCADE, key TEXT NOT NULL,
    name TEXT NOT NULL, other TEXT NOT NULL, confidence REAL NOT NULL,
    PRIMARY KEY (doc_pk, key, other)
) WITHOUT ROWID;
CREATE INDEX aliases_key ON aliases (key);
-- One row a document: SOUND:FORM of each name in it. Only its vocabulary is ever looked at.
CREATE VIRTUAL TABLE names USING fts5 (
    forms, detail = none, columnsize = 0, tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* P* S* Co'"
);
""",
    4: """
-- Beside the passages: a search reads those of some 300, and they lie close together here.
CREATE TABLE words (pid INTEGER PRIMARY KEY, words BLOB NOT NULL);  -- as the encoder packs them
-- What is counted is counted in an index, without reading the passages and the texts.
CREATE INDEX IF NOT EXISTS documents_settings ON documents (settings_key);
DROP INDEX IF EXISTS passages_language;
CREATE INDEX passages_language ON passages (language, n_vectors);
""",
}


def connect(path: Path, write: bool = False) -> sqlite3.Connection:
    """A connection to the store in folder `path`, checked for its format version.

    Raises:
        FormatTooNew: A newer version of this program wrote it.
        StoreDamaged: It is no SQLite file, or not one of ours.
        StoreFull: There is no room for the files that SQLite needs beside it.
    """
    with translated(path):
        # Autocommit: every transaction below is begun and ended by hand.
        connection = sqlite3.connect(path / STORE, isolation_level=None, timeout=30, check_same_thread=False)
        try:
            _prepare(connection, path, write)
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, write: bool) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    if write:
        connection.execute("PRAGMA page_size = 8192")  # of a new file; a passage's vectors are some 3 KB
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 8192")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -65536")
    version = _format(connection)
    if version > FORMAT_VERSION:
        raise FormatTooNew(
            f"{path} has index format {version}",
            f"at most {FORMAT_VERSION}",
            "use a newer dragoman, or index anew elsewhere",
        )


def create(connection: sqlite3.Connection) -> None:
    """Lay out an empty store, in one transaction."""
    added = "".join(_ADDED.values())
    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {added} PRAGMA user_version = {FORMAT_VERSION}; COMMIT;")


def has_tags(connection: sqlite3.Connection) -> bool:
    """Whether the store is of a format with tags; an older one gets them when it is next written to."""
    return _format(connection) >= 2


def has_names(connection: sqlite3.Connection) -> bool:
    """Whether the store is of a format with names; an older one gets them when it is next written to."""
    return _format(connection) >= 3


def has_words(connection: sqlite3.Connection) -> bool:
    """Whether the store is of a format with words; an older one gets them when it is next written to."""
    return _format(connection) >= 4


def all_current(connection: sqlite3.Connection, settings_key: str) -> bool:
    """Whether every document was made with these settings."""
    other = "SELECT 1 FROM documents WHERE settings_key < ? OR settings_key > ?"
    return not connection.execute(f"SELECT EXISTS ({other})", (settings_key, settings_key)).fetchone()[0]


def _format(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def folded(tag: str) -> str:
    """`tag` as it is compared: case and width do not count."""
    return unicodedata.normalize("NFKC", tag).casefold()


def bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Give the store of an older format what it lacks, in one transaction."""
    added = "".join(sql for number, sql in _ADDED.items() if number > _format(connection))
    if added:
        connection.executescript(f"BEGIN IMMEDIATE; {added} PRAGMA user_version = {FORMAT_VERSION}; COMMIT;")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors, and those of a full disk, as this package's."""
    try:
        yield
    except sqlite3.Error as error:
        raise _problem(path, error) from error
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise full(path, error) from error


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_RIGHTS = frozenset({sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH})
_READING = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS})


def _problem(path: Path, error: sqlite3.Error) -> Exception:
    """What SQLite's code means; only what it calls damage is called so, for its remedy is drastic."""
    extended: int | None = getattr(error, "sqlite_errorcode", None)
    if extended is None:  # the sqlite3 module's own: a text that is none, or a mistake of this program
        return damaged(path, error) if isinstance(error, sqlite3.OperationalError) else error
    code = extended & 0xFF
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and extended not in _READING):
        return full(path, error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return IndexLocked(f"{path / STORE} is locked ({error})", "one writer at a time", "wait for the other")
    if code in _NO_RIGHTS:
        return StoreError(
            f"{path / STORE} cannot be opened ({error})",
            "the right to read it, and to write beside it",
            f"look at the rights of {path} and of what is in it",
        )
    return damaged(path, error)


def damaged(path: Path, error: Exception) -> StoreDamaged:
    """The error to raise where SQLite says that the file is not sound."""
    return StoreDamaged(
        f"the store {path / STORE} is damaged ({error})",
        "a sound SQLite file",
        f"restore it from a backup, or delete {path} and index anew",
    )


def full(path: Path, error: Exception) -> StoreFull:
    """The error to raise where the disk has no room."""
    return StoreFull(
        f"no room left on the disk that holds {path} ({error})",
        "free space",
        "free some and run the same command again: it goes on where it stopped",
    )
