"""Examining an index, and repairing what is derived from the documents' texts."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from index.errors import FormatTooOld, StoreDamaged, StoreError
from index.store.base import Finding
from index.store.quantized import row_bytes
from index.store.sqlite.documents import terms_of, whole_documents
from index.store.sqlite.manifest import MANIFEST, described, read_manifest
from index.store.sqlite.schema import STORE, check_format, connect, damaged
from index.store.sqlite.vectors import advanced, foreign, leftovers, load
from index.store.sqlite.writer import Writer, checksum_of

Meta = dict[str, str]
_AT_ONCE = 2_000


def examine(folder: Path) -> list[Finding]:
    """What is wrong with the index in `folder`; empty where all is well.

    Raises:
        FormatTooNew: A newer version of this program wrote it.
    """
    if not (folder / STORE).is_file():
        return [Finding(f"there is no {STORE} in {folder}: dragoman index PATH... makes an index", False)]
    try:
        connection = connect(folder)
    except StoreDamaged as error:
        return [Finding(str(error), False)]
    try:
        check_format(folder, connection)
        return list(_examine(connection, folder))
    except FormatTooOld as error:
        return [Finding(f"{error.found}; expected: {error.expected}", "doctor" in error.remedy)]
    except sqlite3.DatabaseError as error:
        return [Finding(str(damaged(folder, error)), False)]
    finally:
        connection.close()


def _examine(connection: sqlite3.Connection, folder: Path) -> Iterator[Finding]:
    verdict = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
    if verdict != ["ok"]:
        yield Finding(str(damaged(folder, "; ".join(verdict))), False)
        return
    connection.execute("BEGIN")
    tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0]
    meta = dict(connection.execute("SELECT key, value FROM meta")) if tables else {}
    if not meta:
        yield Finding(f"the index in {folder} has no tables yet: dragoman index PATH... makes them", False)
        return
    for doc_id, source in _changed_texts(connection):
        fix = f"dragoman remove {doc_id}, then dragoman index {source}, then dragoman doctor --repair"
        yield Finding(f"document {doc_id} is not what was stored (SHA-256); fix: {fix}", False)
    for _, what in _unsound(connection, meta):
        yield Finding(what, True)
    if lost := _orphans(connection):
        yield Finding(f"{len(lost)} passages belong to no document", True)
    yield from _terms(connection)
    yield from _derived_files(connection, folder, meta)
    connection.execute("COMMIT")


def _changed_texts(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """(doc_id, source) of documents whose text or metadata differ from what was stored."""
    last = 0
    while some := list(whole_documents(connection, "doc_pk > ?", last, _AT_ONCE)):
        stored = connection.execute(
            "SELECT doc_pk, doc_id, sha256 FROM documents WHERE doc_pk > ? AND doc_pk <= ?", (last, some[-1][0])
        )
        known = {doc_pk: (doc_id, sha256) for doc_pk, doc_id, sha256 in stored}
        for doc_pk, document, _ in some:
            if known[doc_pk] != (document.doc_id, document.sha256):
                yield known[doc_pk][0], document.source
        last = some[-1][0]


def _unsound(connection: sqlite3.Connection, meta: Meta) -> Iterator[tuple[int, str]]:
    """(doc_pk, what is wrong) of documents whose passages or vectors are not what was stored."""
    for doc_pk, doc_id, n_listed, n_stored in connection.execute(
        "SELECT d.doc_pk, d.doc_id, d.n_passages, count(p.pid) FROM documents d LEFT JOIN passages p USING (doc_pk)"
        " GROUP BY d.doc_pk HAVING d.n_passages != count(p.pid) OR max(p.end) > d.n_chars"
    ):
        yield doc_pk, f"document {doc_id} has {n_stored} passages, not {n_listed}, or one past its end"
    # Stale documents may have been made by an encoder of another dim, and are encoded again anyway.
    size = row_bytes(int(meta["dim"]))
    cursor = connection.execute(
        'SELECT p.doc_pk, p.pid, p.ordinal, p.start, p."end", p.language, p.section, p.n_vectors, p.sentences,'
        " v.parts, v.words, v.checksum FROM passages p JOIN documents d USING (doc_pk) LEFT JOIN vectors v USING (pid)"
        " WHERE d.settings_key = ?",
        (meta["settings_key"],),
    )
    for doc_pk, pid, *row, parts, words, checksum in cursor:
        if parts is None or len(parts) != row[5] * size:
            yield doc_pk, f"passage {pid} has {len(parts or b'')} bytes of vectors, not {row[5] * size}"
        elif checksum_of(tuple(row), parts, words) != checksum:
            yield doc_pk, f"passage {pid} is not what was stored (checksum)"


def _orphans(connection: sqlite3.Connection) -> list[int]:
    rows = connection.execute("SELECT pid FROM passages WHERE doc_pk NOT IN (SELECT doc_pk FROM documents)")
    return [pid for (pid,) in rows]


def _terms(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Findings on the lexical index and on the names, each held against what the texts give."""
    expected: Counter[str] = Counter()
    cursor = connection.execute(
        'SELECT substr(d.text, p.start + 1, p."end" - p.start), d.title FROM passages p JOIN documents d USING (doc_pk)'
    )
    for body, title in cursor:
        expected.update({*terms_of(body).split(), *terms_of(title).split()})
    connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab (main, terms, row)")
    found = dict(connection.execute("SELECT term, doc FROM temp.vocabulary"))
    if found != expected:
        wrong = {term for term in found.keys() | expected.keys() if found.get(term) != expected.get(term)}
        yield Finding(f"the lexical index is wrong for {len(wrong)} terms of {len(expected)}", True)
    (n_passages,), (n_terms,) = (
        connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("passages", "terms")
    )
    if n_terms != n_passages:
        yield Finding(f"the lexical index holds {n_terms} passages of {n_passages}", True)
    (nameless,) = connection.execute(
        "SELECT count(*) FROM documents d JOIN meta m ON m.key = 'settings_key' AND m.value = d.settings_key"
        " WHERE doc_pk NOT IN (SELECT doc_pk FROM names)"
    ).fetchone()
    if nameless:
        yield Finding(f"the names of {nameless} documents are missing", True)


def _derived_files(connection: sqlite3.Connection, folder: Path, meta: Meta) -> Iterator[Finding]:
    try:
        stated, files = read_manifest(folder)
    except FileNotFoundError:
        yield Finding(f"{folder / MANIFEST} is missing", True)
        return
    except (OSError, ValueError) as error:
        yield Finding(f"{folder / MANIFEST} is damaged ({error})", True)
        return
    if stated != described(meta):
        yield Finding(f"{folder / MANIFEST} differs from the store", True)
    if problem := foreign(files, meta):
        yield Finding(problem, True)
    elif files is not None:
        try:
            index = advanced(load(folder, files), connection, meta)
        except StoreError as error:
            yield Finding(str(error), True)
            return
        (n_current,) = connection.execute(
            "SELECT count(*) FROM passages p JOIN documents d USING (doc_pk) WHERE d.settings_key = ? AND n_vectors > 0",
            (meta["settings_key"],),
        ).fetchone()
        if index.n_passages != n_current:
            yield Finding(f"the vector files have {index.n_passages} passages, the store has {n_current}", True)
    if strays := [path.name for path in leftovers(folder, files)]:
        yield Finding(f"files left by a stopped writer: {', '.join(sorted(strays))}", True)


def repair(writer: Writer) -> list[str]:
    """Make again what is derived from the documents' texts; returns what was done.

    Documents whose passages or vectors are not sound become stale: `index.ingest.refresh` encodes them again.
    """
    done = []
    connection = writer.connection
    with writer.transaction():
        unsound = {doc_pk for doc_pk, _ in _unsound(connection, writer.meta)}
        connection.executemany("UPDATE documents SET settings_key = '' WHERE doc_pk = ?", [(pk,) for pk in unsound])
        lost = _orphans(connection)
        connection.executemany("DELETE FROM vectors WHERE pid = ?", [(pid,) for pid in lost])
        connection.executemany("DELETE FROM passages WHERE pid = ?", [(pid,) for pid in lost])
        if lost or any(True for _ in _terms(connection)):
            writer.rebuild_terms()
            done.append("rebuilt the lexical index")
        writer.next_generation()  # open readers look again at the files
    if unsound:
        done.append(f"marked {len(unsound)} documents to be encoded again")
    writer.refresh_vectors(force=True)
    done.append("wrote the manifest and the vector files again")
    return done
