"""Examining an index, and mending what can be derived anew from its store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from index.encoders.static import is_static
from index.encoders.words import is_sound
from index.errors import StoreDamaged
from index.store.base import Finding
from index.store.sqlite.files import load_vector_file, verify
from index.store.sqlite.manifest import MANIFEST, VECTORS, read_manifest
from index.store.sqlite.schema import STORE, connect, has_names, has_words
from index.store.sqlite.writer import Writer


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
        return list(_examine(connection, folder))
    except sqlite3.DatabaseError as error:
        return [
            Finding(
                f"{folder / STORE} is damaged ({error}): restore it from a backup, or delete the folder and index anew",
                False,
            )
        ]
    finally:
        connection.close()


def _examine(connection: sqlite3.Connection, folder: Path) -> Iterator[Finding]:
    verdict = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
    if verdict != ["ok"]:
        yield Finding(
            f"{folder / STORE} is damaged ({'; '.join(verdict)}): restore it from a backup, or delete the folder and index anew",
            False,
        )
        return
    connection.execute("BEGIN")
    laid_out = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0]
    meta = dict(connection.execute("SELECT key, value FROM meta")) if laid_out else {}
    if not meta:
        yield Finding(f"the index in {folder} has not been laid out: dragoman index PATH... does it", False)
        return
    for _, what in _unsound(connection, meta):
        yield Finding(what, True)
    orphans = connection.execute(
        "SELECT count(*) FROM passages WHERE doc_pk NOT IN (SELECT doc_pk FROM documents)"
    ).fetchone()[0]
    if orphans:
        yield Finding(f"{orphans} passages belong to no document", True)
    yield from _terms(connection)
    if unsound := len(without_words(connection, meta)):
        yield Finding(f"the words of {unsound} passages are not stored as they should be: searches are slower", True)
    yield from _derived_files(connection, folder, meta)
    connection.execute("COMMIT")


def _unsound(connection: sqlite3.Connection, meta: dict[str, str]) -> Iterator[tuple[int, str]]:
    """(doc_pk, what is wrong) of documents whose passages or vectors are not what was stored."""
    for doc_pk, doc_id, n_chars, n_listed, n_stored in connection.execute(
        "SELECT d.doc_pk, d.doc_id, d.n_chars, d.n_passages, count(p.pid) FROM documents d LEFT JOIN passages p"
        " USING (doc_pk) GROUP BY d.doc_pk HAVING d.n_passages != count(p.pid) OR max(p.end) > d.n_chars"
    ):
        passages = f"{n_stored} passages, not {n_listed}, or one past its end"
        yield doc_pk, f"document {doc_id} ({n_chars} characters) has {passages}"
    # Stale documents may have been made by an encoder of another dim, and are done again anyway.
    dim = int(meta["dim"])
    cursor = connection.execute(
        "SELECT p.doc_pk, p.pid, p.n_vectors, p.vectors FROM passages p JOIN documents d USING (doc_pk)"
        " WHERE d.settings_key = ?",
        (meta["settings_key"],),
    )
    while rows := cursor.fetchmany(2_000):
        for doc_pk, pid, n_vectors, blob in rows:
            if len(blob) != n_vectors * dim * 2:
                yield doc_pk, f"passage {pid} has {len(blob)} bytes of vectors, not {n_vectors * dim * 2}"
            elif not np.isfinite(np.frombuffer(blob, dtype=np.float16)).all():
                yield doc_pk, f"passage {pid} has vectors that are not finite"


def _terms(connection: sqlite3.Connection) -> Iterator[Finding]:
    n_terms = connection.execute("SELECT count(*) FROM terms_docsize").fetchone()[0]
    n_passages = connection.execute("SELECT count(*) FROM passages").fetchone()[0]
    missing = connection.execute(
        "SELECT count(*) FROM passages WHERE pid NOT IN (SELECT id FROM terms_docsize)"
    ).fetchone()[0]
    if n_terms != n_passages or missing:
        yield Finding(f"the lexical index holds {n_terms} passages of {n_passages} ({missing} missing)", True)
    # Documents of an older format are stale, and have no names until they are done again.
    nameless = (
        connection.execute(
            "SELECT count(*) FROM documents WHERE settings_key = (SELECT value FROM meta WHERE key = 'settings_key')"
            " AND doc_pk NOT IN (SELECT id FROM names_content)"
        ).fetchone()[0]
        if has_names(connection)
        else 0
    )
    if nameless:
        yield Finding(f"the index of names lacks {nameless} documents", True)


def without_words(connection: sqlite3.Connection, meta: dict[str, str]) -> list[int]:
    """The current passages whose stored words are missing or not sound."""
    if not is_static(meta["encoder_fingerprint"]):
        return []
    words = "(SELECT words FROM words w WHERE w.pid = p.pid)" if has_words(connection) else "NULL"
    rows = connection.execute(
        f"SELECT p.pid, {words} FROM passages p JOIN documents d USING (doc_pk) WHERE d.settings_key = ?",
        (meta["settings_key"],),
    )
    return [pid for pid, words in rows if words is None or not is_sound(words)]


def _derived_files(connection: sqlite3.Connection, folder: Path, meta: dict[str, str]) -> Iterator[Finding]:
    try:
        manifest = read_manifest(folder)
    except FileNotFoundError:
        yield Finding(f"{folder / MANIFEST} is missing", True)
        return
    except (OSError, ValueError) as error:
        yield Finding(f"{folder / MANIFEST} is damaged ({error})", True)
        return
    stated = (manifest.encoder, manifest.encoder_fingerprint, manifest.dim, manifest.settings_key)
    if stated != (meta["encoder"], meta["encoder_fingerprint"], int(meta["dim"]), meta["settings_key"]):
        yield Finding(f"{folder / MANIFEST} does not say what the store says", True)
    problem, index = load_vector_file(folder, manifest, meta)
    if index is not None and manifest.vectors is not None:
        problem = verify(folder, manifest.vectors)
    if problem:
        yield Finding(problem, True)
    elif index is not None and manifest.vectors is not None:
        alive = connection.execute(
            "SELECT coalesce(sum(p.n_vectors), 0) FROM passages p JOIN documents d USING (doc_pk)"
            " WHERE p.pid <= ? AND d.settings_key = ?",
            (manifest.vectors.max_pid, meta["settings_key"]),
        ).fetchone()[0]
        dead = connection.execute(
            "SELECT coalesce(sum(n_vectors), 0) FROM deleted WHERE pid <= ?", (manifest.vectors.max_pid,)
        ).fetchone()[0]
        if not alive <= index.ntotal <= alive + dead:
            yield Finding(
                f"the vector file has {index.ntotal} vectors where the store has {alive} ({dead} deleted since)", True
            )
    known = manifest.vectors.file if manifest.vectors else ""
    strays = [path.name for path in (folder / VECTORS).glob("*") if path.name != known]
    if strays:
        yield Finding(f"files left by a stopped writer: {', '.join(sorted(strays))}", True)


def repair(writer: Writer) -> list[str]:
    """Make anew what is derived from the documents' texts; what was done.

    Documents whose passages or vectors are not sound become stale: `index.ingest.refresh`
    re-does them.
    """
    done = []
    connection = writer.connection
    with writer.transaction():
        unsound = {doc_pk for doc_pk, _ in _unsound(connection, writer.meta)}
        connection.executemany("UPDATE documents SET settings_key = '' WHERE doc_pk = ?", [(pk,) for pk in unsound])
        connection.execute("DELETE FROM passages WHERE doc_pk NOT IN (SELECT doc_pk FROM documents)")
        if any(True for _ in _terms(connection)):
            writer.rebuild_terms()
            done.append("rebuilt the lexical index")
        if pids := without_words(connection, writer.meta):
            writer.rebuild_words(pids)
            done.append(f"stored the words of {len(pids)} passages")
        writer.next_generation()  # open readers look again at the files
    if unsound:
        done.append(f"marked {len(unsound)} documents to be done again")
    writer.refresh_vectors(force=True)
    done.append("wrote the manifest and the vector file anew")
    return done
