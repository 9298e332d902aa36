"""The SQLite file of an embedded index: its tables and its format."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray
from index.errors import FormatTooNew, FormatTooOld
from index.store.quantized import packed, unpacked
from index.store.rows import PASSAGE_TEXT, Row, Rows, SqlValue, phonetic_terms_of, terms_of
from index.store.sqlite.problems import STORE, translated

FORMAT_VERSION = 7

_SOURCES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (
    location TEXT PRIMARY KEY, source TEXT NOT NULL, digest TEXT NOT NULL, settings_key TEXT NOT NULL,
    status TEXT NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE tags (
    doc INTEGER NOT NULL, ordinal INTEGER NOT NULL, tag TEXT NOT NULL, folded TEXT NOT NULL,  -- as compared
    PRIMARY KEY (doc, ordinal)
) WITHOUT ROWID;
CREATE TABLE documents (
    doc INTEGER PRIMARY KEY, doc_id TEXT NOT NULL UNIQUE, location TEXT NOT NULL UNIQUE, file TEXT NOT NULL,
    source TEXT NOT NULL, sha256 TEXT NOT NULL, checksum INTEGER NOT NULL,  -- CRC-32 of the passages
    settings_key TEXT NOT NULL, title TEXT NOT NULL, url TEXT NOT NULL, author TEXT NOT NULL, date TEXT NOT NULL,
    language TEXT NOT NULL, headings TEXT NOT NULL, n_chars INTEGER NOT NULL, n_passages INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX documents_file ON documents (file);
CREATE INDEX tags_folded ON tags (folded, doc);
"""
_DERIVED = """
CREATE INDEX IF NOT EXISTS documents_settings ON documents (settings_key);
-- A pid is never used twice: an index of vectors that knows a pid cannot mean another passage by it.
CREATE TABLE passages (
    pid INTEGER PRIMARY KEY, doc INTEGER NOT NULL, ordinal INTEGER NOT NULL, start INTEGER NOT NULL,
    "end" INTEGER NOT NULL, language TEXT NOT NULL, section TEXT NOT NULL,
    sentences BLOB NOT NULL,  -- int32 pairs, offsets from the passage's start
    words BLOB NOT NULL  -- as the encoder packs them
);
CREATE INDEX passages_doc ON passages (doc);
CREATE INDEX passages_language ON passages (language);
-- Those of current documents only.
CREATE TABLE vectors (
    pid INTEGER PRIMARY KEY, doc INTEGER NOT NULL, language TEXT NOT NULL, embedding BLOB NOT NULL
);
CREATE INDEX vectors_doc ON vectors (doc);
-- Vectors by the contextual encoder, which are made after all else.
CREATE TABLE context (pid INTEGER PRIMARY KEY, doc INTEGER NOT NULL, embedding BLOB NOT NULL);
CREATE INDEX context_doc ON context (doc);
-- Contentless: the terms of a passage are derived again from its text where they are needed.
CREATE VIRTUAL TABLE terms USING fts5 (
    body, title, content = '', tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* P* S* Co'"
);
CREATE TABLE forms (  -- of names, by phonetic key; derived from the texts
    key TEXT NOT NULL, form TEXT NOT NULL, n_documents INTEGER NOT NULL, PRIMARY KEY (key, form)
) WITHOUT ROWID;
CREATE TABLE aliases (
    doc INTEGER NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, other TEXT NOT NULL, confidence REAL NOT NULL,
    PRIMARY KEY (doc, key, other)
) WITHOUT ROWID;
CREATE INDEX aliases_key ON aliases (key);
"""
# Formats since 2 have the same documents, files and tags. All else is derived again from the texts.
_OLDEST = 2
_OLD_TABLES = ("terms", "names", "forms", "words", "aliases", "deleted", "vectors", "passages")
_UPGRADE = f"""
{" ".join(f"DROP TABLE IF EXISTS {table};" for table in _OLD_TABLES)}
UPDATE documents SET settings_key = '', n_passages = 0;
UPDATE files SET settings_key = '';
UPDATE meta SET value = '' WHERE key = 'settings_key';
"""
_UPGRADE_BEFORE_6 = """
ALTER TABLE documents RENAME COLUMN doc_pk TO doc; ALTER TABLE tags RENAME COLUMN doc_pk TO doc;
ALTER TABLE documents ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
"""


class SqliteRows(Rows):
    """The tables of the SQLite file in a folder."""

    order = "d.doc"
    tags = "(SELECT json_group_array(tag) FROM (SELECT tag FROM tags t WHERE t.doc = d.doc ORDER BY ordinal))"
    tagged = "d.doc IN (SELECT doc FROM tags WHERE folded IN ?)"
    matches = "d.source GLOB ?"
    vector = "v.embedding"
    tables = ("tags", "aliases", "vectors", "context", "passages")
    path: Path
    connection: sqlite3.Connection

    def rows(self, query: str, *values: SqlValue) -> list[Row]:
        """Run a statement; the rows that it gives."""
        with translated(self.path):
            return list(self.stream(query, *values))

    def stream(self, query: str, *values: SqlValue) -> Iterator[Row]:
        """Run a query; its rows one by one."""
        own = [json.dumps(value) if isinstance(value, list) else value for value in values]
        return self.connection.execute(query.replace("IN ?", "IN (SELECT value FROM json_each(?))"), own)

    @staticmethod
    def packed_vector(vector: NDArray[np.floating]) -> bytes:
        """A vector in 8 bits a component."""
        return packed(vector[None])

    @staticmethod
    def unpacked_vectors(data: Sequence[bytes], dim: int) -> FloatArray:
        """float32, (n, dim), of vectors that `packed_vector` gave."""
        return unpacked(b"".join(data), dim)

    def texts(self, condition: str = "1 = 1", *values: SqlValue) -> Iterator[tuple[int, str, str]]:
        """pid, terms and terms of the title of the passages p of documents d for which `condition` holds."""
        query = f"SELECT p.pid, {PASSAGE_TEXT}, d.title FROM passages p JOIN documents d USING (doc) WHERE {condition}"
        return ((pid, terms_of(text), terms_of(title)) for pid, text, title in self.stream(query, *values))

    def name_forms(self, condition: str, *values: SqlValue) -> Counter[tuple[str, str]]:
        """(key, form) of names, with the number of documents that have it; of those for which `condition` holds."""
        found: Counter[tuple[str, str]] = Counter()
        query = f"SELECT title, text, language FROM documents d WHERE n_passages > 0 AND {condition}"
        for title, text, language in self.stream(query, *values):
            found.update(keys_and_forms(phonetic_terms_of(title, text, language)))
        return found

    def lexical_problems(self) -> list[str]:
        """How the terms and the names differ from what the texts give."""
        expected: Counter[str] = Counter()
        for _, body, title in self.texts():
            expected.update({*body.split(), *title.split()})
        self.rows("CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab (main, terms, row)")
        found: dict[str, int] = dict(self.rows("SELECT term, doc FROM temp.vocabulary"))
        wrong = [term for term in found.keys() | expected.keys() if found.get(term) != expected.get(term)]
        problems = [f"the lexical index is wrong for {len(wrong)} terms of {len(expected)}"] if wrong else []
        n_passages, n_terms = self.count("count(*) FROM passages"), self.count("count(*) FROM terms")
        if n_terms != n_passages:
            problems.append(f"the lexical index holds {n_terms} passages of {n_passages}")
        forms = {(key, form): n for key, form, n in self.rows("SELECT key, form, n_documents FROM forms")}
        if forms != self.name_forms("1 = 1"):
            problems.append("the names are not those of the texts")
        return problems


def keys_and_forms(terms: Iterable[str]) -> list[tuple[str, str]]:
    """`KEY:FORM` as pairs."""
    pairs = (term.partition(":") for term in dict.fromkeys(terms))
    return [(key, form) for key, _, form in pairs]


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
    version = format_of(connection)
    if version < _OLDEST:
        check_format(path, connection)
    before = _UPGRADE_BEFORE_6 if version < 6 else ""
    script = f"{before} {_UPGRADE} {_DERIVED} PRAGMA user_version = {FORMAT_VERSION};"
    connection.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")
    connection.execute("VACUUM")
    shutil.rmtree(path / "faiss", ignore_errors=True)  # formats before 6 kept vectors in files of their own
    (path / "manifest.json").unlink(missing_ok=True)
