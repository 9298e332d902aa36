"""The SQLite file of an embedded index: its tables, its format, and SQLite's errors as this package's."""

from __future__ import annotations

import errno
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from index.errors import FormatTooNew, FormatTooOld, IndexLocked, StoreDamaged, StoreError, StoreFull

FORMAT_VERSION = 5
STORE = "store.sqlite"

_SOURCES = """
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
CREATE TABLE tags (
    doc_pk INTEGER NOT NULL REFERENCES documents (doc_pk) ON DELETE CASCADE, ordinal INTEGER NOT NULL,
    tag TEXT NOT NULL, folded TEXT NOT NULL,  -- as written, and as compared
    PRIMARY KEY (doc_pk, ordinal)
) WITHOUT ROWID;
CREATE INDEX tags_folded ON tags (folded, doc_pk);
"""
_DERIVED = """
CREATE INDEX IF NOT EXISTS documents_settings ON documents (settings_key);
-- A pid is never used twice: a vector file that knows a pid cannot mean another passage by it.
CREATE TABLE passages (
    pid INTEGER PRIMARY KEY, doc_pk INTEGER NOT NULL REFERENCES documents (doc_pk), ordinal INTEGER NOT NULL,
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, language TEXT NOT NULL, section TEXT NOT NULL,
    n_vectors INTEGER NOT NULL, sentences BLOB NOT NULL  -- int32 pairs, offsets from the passage's start
);
CREATE INDEX passages_doc ON passages (doc_pk);
CREATE INDEX passages_language ON passages (language, n_vectors);
CREATE TABLE vectors (
    pid INTEGER PRIMARY KEY, parts BLOB NOT NULL,  -- `index.store.quantized`, the whole first
    words BLOB NOT NULL, checksum INTEGER NOT NULL  -- words as the encoder packs them; CRC-32 of the passage
);
CREATE TABLE deleted (pid INTEGER PRIMARY KEY, language TEXT NOT NULL, generation INTEGER NOT NULL);
-- Contentless: a passage's terms are made again from its text where they are needed.
CREATE VIRTUAL TABLE terms USING fts5 (
    body, title, content = '', tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* P* S* Co'"
);
CREATE TABLE names (doc_pk INTEGER PRIMARY KEY, forms BLOB NOT NULL);  -- KEY:FORM of each name, zlib
CREATE TABLE forms (
    key TEXT NOT NULL, form TEXT NOT NULL, n_documents INTEGER NOT NULL, PRIMARY KEY (key, form)
) WITHOUT ROWID;
CREATE TABLE aliases (
    doc_pk INTEGER NOT NULL REFERENCES documents (doc_pk) ON DELETE CASCADE, key TEXT NOT NULL,
    name TEXT NOT NULL, other TEXT NOT NULL, confidence REAL NOT NULL,
    PRIMARY KEY (doc_pk, key, other)
) WITHOUT ROWID;
CREATE INDEX aliases_key ON aliases (key);
"""
# Format 4 has the same documents, files and tags (tags since 2). All else is made again from the texts.
_OLDEST = 2
_UPGRADE = """
DROP TABLE IF EXISTS terms; DROP TABLE IF EXISTS names; DROP TABLE IF EXISTS words; DROP TABLE IF EXISTS aliases;
DROP TABLE IF EXISTS deleted; DROP TABLE passages;
UPDATE documents SET settings_key = '', n_passages = 0;
UPDATE files SET settings_key = '';
UPDATE meta SET value = '' WHERE key = 'settings_key';
"""


def connect(path: Path, write: bool = False) -> sqlite3.Connection:
    """A connection to the store in folder `path`, of whatever format.

    Raises:
        StoreDamaged: It is no SQLite file.
        StoreFull: There is no room for the files that SQLite needs beside it.
    """
    with translated(path):
        # Autocommit: every transaction below is begun and ended by hand.
        connection = sqlite3.connect(path / STORE, isolation_level=None, timeout=30, check_same_thread=False)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            if write:
                connection.execute("PRAGMA page_size = 16384")  # of a new file; seven passages' vectors fit
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
    """Refuse a format that this program does not read.

    Raises:
        FormatTooNew, FormatTooOld: See `index.errors`.
    """
    version = format_of(connection)
    if version > FORMAT_VERSION:
        raise FormatTooNew(
            f"{path} has index format {version}", f"at most {FORMAT_VERSION}", "install a newer version of dragoman"
        )
    if 0 < version < FORMAT_VERSION:
        raise FormatTooOld(f"{path} has index format {version}", f"{FORMAT_VERSION}", _remedy(path, version))


def _remedy(path: Path, version: int) -> str:
    if version < _OLDEST:
        return f"delete {path} and index the sources again"
    return f"dragoman doctor --repair --index {path} encodes the stored texts again; the sources are not needed"


def create(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty store, in one transaction."""
    connection.executescript(f"BEGIN IMMEDIATE; {_SOURCES} {_DERIVED} PRAGMA user_version = {FORMAT_VERSION}; COMMIT;")


def upgrade(path: Path, connection: sqlite3.Connection) -> None:
    """Bring an older format up to date, in one transaction: every document becomes stale and has no passages.

    Raises:
        FormatTooOld: It is too old for that.
    """
    if format_of(connection) < _OLDEST:
        check_format(path, connection)
    script = f"{_UPGRADE} {_DERIVED} PRAGMA user_version = {FORMAT_VERSION};"
    connection.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")
    connection.execute("VACUUM")


def folded(tag: str) -> str:
    """`tag` as it is compared: case and width do not count."""
    return unicodedata.normalize("NFKC", tag).casefold()


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
    """What SQLite's code means; only what SQLite calls damage is called damage, since its fix is drastic."""
    extended: int | None = getattr(error, "sqlite_errorcode", None)
    if extended is None:  # the sqlite3 module's own: a damaged text, or a mistake of this program
        return damaged(path, error) if isinstance(error, sqlite3.OperationalError) else error
    code = extended & 0xFF
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and extended not in _READING):
        return full(path, error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return IndexLocked(f"{path / STORE} is locked ({error})", "one writer at a time", "wait for the other writer")
    if code in _NO_RIGHTS:
        return StoreError(
            f"{path / STORE} cannot be opened ({error})",
            "the right to read it, and to write beside it",
            f"look at the rights of {path} and of the files in it",
        )
    return damaged(path, error)


def damaged(path: Path, error: Exception | str) -> StoreDamaged:
    """The error to raise where SQLite finds its file damaged."""
    return StoreDamaged(
        f"the store {path / STORE} is damaged ({error})",
        "a sound SQLite file",
        f"restore it from a backup, or delete {path} and index the sources again",
    )


def full(path: Path, error: Exception) -> StoreFull:
    """The error to raise where the disk has no room."""
    return StoreFull(
        f"no room left on the disk that holds {path} ({error})",
        "free space",
        "free some and run the same command again: it goes on where it stopped",
    )
