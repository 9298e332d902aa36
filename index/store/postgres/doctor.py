"""Examining an index in PostgreSQL, and mending what can be made anew from the documents and passages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing

import numpy as np

from index.encoders.base import Encoder, LateInteraction
from index.encoders.static import is_static
from index.encoders.words import is_sound
from index.errors import IndexMissing
from index.store.base import Finding
from index.store.postgres.address import Connection, parsed
from index.store.postgres.facts import has_words
from index.store.postgres.postings import PostingRows, frequencies, lacking
from index.store.postgres.reader import Reader
from index.store.postgres.rows import copy_bytes, in_batches, sounds_of, vector_bytes
from index.store.postgres.schema import OF_DOCUMENTS
from index.store.postgres.writer import Writer

_AT_ONCE = 1_000  # passages


def examine(address: str) -> list[Finding]:
    """What is wrong with the index at `address`; empty where all is well.

    Raises:
        FormatTooNew: A newer version of this program wrote it.
        StoreError: The server cannot be reached.
    """
    try:
        reader = Reader(parsed(address))
    except IndexMissing as error:
        return [Finding(str(error), False)]
    with closing(reader), reader.transaction() as (connection, meta):
        if "settings_key" not in meta:
            return [Finding(f"the index in {parsed(address).shown} has not been laid out to the end", False)]
        return list(_examine(connection, meta))


def _examine(connection: Connection, meta: dict[str, str]) -> Iterator[Finding]:
    key, dim = meta["settings_key"], int(meta["dim"])
    for _, what in _unsound(connection, key, dim):
        yield Finding(what, True)
    for table in OF_DOCUMENTS[1:]:
        if n := _count(connection, _ORPHANS.format(table=table)):
            yield Finding(f"{n} rows of {table} belong to no document", True)
    if n := len(_wrong(connection, _WRONG_POSTINGS)):
        yield Finding(f"the lexical index is not that of the text for {n} passages", True)
    if n := len(_wrong(connection, _WRONG_VECTORS, key)):
        yield Finding(f"the rows of vectors are not those of {n} passages", True)
    if n := len(_without_words(connection, meta)):
        yield Finding(f"the words of {n} passages are not stored as they should be: searches are slower", True)
    if n := len(_wrong(connection, _WITHOUT_NAMES)):
        yield Finding(f"the index of names lacks {n} documents", True)
    if n := len(_wrong(connection, _WRONG_LOCATIONS)):
        yield Finding(f"{n} locations do not lead to their document", True)
    is_empty = connection.execute("SELECT 1 FROM passages LIMIT 1").fetchone() is None
    for name in lacking(connection) if not is_empty else ():
        yield Finding(f"the index {name} has not been made: searches are slower", True)
    for (name,) in connection.execute(_INVALID).fetchall():
        yield Finding(f"the index {name} was not finished", True)


def _unsound(connection: Connection, key: str, dim: int) -> Iterator[tuple[int, str]]:
    """(doc_id, what is wrong) of documents whose passages or vectors are not what was stored."""
    for number, n_listed, n_stored in connection.execute(_MISCOUNTED).fetchall():
        yield number, f"document {number} has {n_stored} passages, not {n_listed}, or one past its end"
    for number, pid in connection.execute(_MISQUOTED).fetchall():
        yield number, f"passage {pid} is not the text of its document where it says, or has no terms"
    # Stale documents may have been made by an encoder of another dim, and are done again anyway.
    with connection.cursor(name="dragoman_vectors", binary=True) as cursor:
        cursor.itersize = _AT_ONCE
        cursor.execute("SELECT doc_id, pid, n_vectors, vectors FROM passages WHERE settings_key = %s", (key,))
        for number, pid, n_vectors, blob in cursor:
            if len(blob) != n_vectors * dim * 2:
                yield number, f"passage {pid} has {len(blob)} bytes of vectors, not {n_vectors * dim * 2}"
            elif not np.isfinite(np.frombuffer(blob, dtype="<f2")).all():
                yield number, f"passage {pid} has vectors that are not finite"


def _without_words(connection: Connection, meta: dict[str, str]) -> list[int]:
    """The current passages whose stored words are missing or not sound."""
    if not is_static(meta["encoder_fingerprint"]):
        return []
    words = "words" if has_words(meta) else "''::bytea"
    with connection.cursor(name="dragoman_words", binary=True) as cursor:
        cursor.itersize = _AT_ONCE
        cursor.execute(f"SELECT pid, {words} FROM passages WHERE settings_key = %s", (meta["settings_key"],))
        return [pid for pid, own in cursor if not is_sound(own)]


_MISCOUNTED = (
    "SELECT d.doc_id, d.n_passages, count(p.pid) FROM documents d LEFT JOIN passages p USING (doc_id)"
    ' GROUP BY d.doc_id HAVING d.n_passages != count(p.pid) OR max(p."end") > d.n_chars'
)
_MISQUOTED = (
    "SELECT p.doc_id, p.pid FROM passages p JOIN documents d USING (doc_id) LEFT JOIN bodies b USING (doc_id, pid)"
    ' WHERE p.text != substr(d.text, p.start + 1, p."end" - p.start) OR b.pid IS NULL'
    " OR p.settings_key != d.settings_key"
)
_ORPHANS = "SELECT count(*) FROM {table} o WHERE NOT EXISTS (SELECT 1 FROM documents d WHERE d.doc_id = o.doc_id)"
_WRONG_POSTINGS = (
    "SELECT p.pid FROM passages p LEFT JOIN (SELECT doc_id, pid, count(*) AS n, min(length) AS least, max(length) AS most"
    " FROM postings GROUP BY doc_id, pid) held USING (doc_id, pid)"
    " WHERE coalesce(held.n, 0) != p.n_terms OR held.least != p.length OR held.most != p.length"
)
_WRONG_VECTORS = (
    "SELECT p.pid FROM passages p LEFT JOIN (SELECT doc_id, pid, count(*) AS n, min(language) AS language FROM vectors"
    " GROUP BY doc_id, pid) held USING (doc_id, pid)"
    " WHERE coalesce(held.n, 0) != CASE WHEN p.settings_key = %s THEN p.n_vectors ELSE 0 END"
    " OR held.language != p.language"
)
_WITHOUT_NAMES = (
    "SELECT doc_id FROM documents d WHERE sounds != '' AND NOT EXISTS (SELECT 1 FROM names n WHERE n.doc_id = d.doc_id)"
)
_WRONG_LOCATIONS = (
    "SELECT coalesce(d.doc_id, l.doc_id) FROM documents d FULL JOIN locations l USING (location_key)"
    " WHERE d.doc_id IS DISTINCT FROM l.doc_id"
)
_INVALID = (
    "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
    " WHERE NOT i.indisvalid AND c.relnamespace = current_schema()::regnamespace"
)


def _count(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _wrong(connection: Connection, query: str, *values: str) -> list[int]:
    return [number for (number,) in connection.execute(query, values)]


def repair(writer: Writer) -> list[str]:
    """Make anew what is derived from the documents' texts and passages; what was done.

    Documents whose passages or vectors are not sound become stale: `index.ingest.refresh`
    re-does them.
    """
    done = []
    connection = writer.connection
    with writer.transaction() as cursor:
        unsound = sorted({number for number, _ in _unsound(connection, writer.settings_key, writer.dim)})
        cursor.execute("UPDATE documents SET settings_key = '' WHERE doc_id = ANY (%s)", (unsound,))
        cursor.execute("UPDATE passages SET settings_key = '' WHERE doc_id = ANY (%s)", (unsound,))
        for table in OF_DOCUMENTS[1:]:
            cursor.execute(_ORPHANS.format(table=table).replace("SELECT count(*)", "DELETE", 1))
        if pids := _wrong(connection, _WRONG_POSTINGS):
            _rebuild_postings(connection, pids)
            done.append(f"rebuilt the lexical index of {len(pids)} passages")
        if pids := _wrong(connection, _WRONG_VECTORS, writer.settings_key):
            _rebuild_vectors(connection, pids, writer.settings_key, writer.dim)
            done.append(f"wrote the vectors of {len(pids)} passages once more")
        if pids := _without_words(connection, writer.meta):
            _rebuild_words(connection, pids, writer.encoder)
            done.append(f"stored the words of {len(pids)} passages")
        if numbers := _wrong(connection, _WITHOUT_NAMES):
            _rebuild_names(connection, numbers)
            done.append(f"rebuilt the names of {len(numbers)} documents")
        if _wrong(connection, _WRONG_LOCATIONS):
            cursor.execute("DELETE FROM locations")
            cursor.execute("INSERT INTO locations SELECT location_key, max(doc_id) FROM documents GROUP BY 1")
            done.append("rebuilt the table of locations")
        writer.next_generation(cursor)
    if unsound:
        done.append(f"marked {len(unsound)} documents to be done again")
    missing = lacking(connection)
    if writer.refresh_vectors(force=True):
        done.append("made the vector indexes anew")
    if missing:
        done.append(f"made the indexes {', '.join(missing)}")
    return done


def _rebuild_postings(connection: Connection, pids: list[int]) -> None:
    for some in in_batches(pids, _AT_ONCE):
        connection.execute("DELETE FROM postings WHERE pid = ANY (%s)", (some,))
        rows = connection.execute(
            "SELECT doc_id, pid, body, title FROM bodies WHERE pid = ANY (%s)", (some,)
        ).fetchall()
        postings, counts = PostingRows(), []
        for number, pid, body, title in rows:
            counted, length = frequencies(body, title)
            postings.add(number, pid, counted, length)
            counts.append((length, len(counted), number, pid))
        with connection.cursor() as cursor:
            copy_bytes(cursor, "postings (doc_id, pid, term, frequency, length)", [postings.as_bytes()])
            cursor.executemany("UPDATE passages SET length = %s, n_terms = %s WHERE doc_id = %s AND pid = %s", counts)


def _rebuild_vectors(connection: Connection, pids: list[int], settings_key: str, dim: int) -> None:
    for some in in_batches(pids, _AT_ONCE):
        connection.execute("DELETE FROM vectors WHERE pid = ANY (%s)", (some,))
        rows = connection.execute(
            "SELECT doc_id, pid, language, vectors FROM passages WHERE pid = ANY (%s) AND settings_key = %s",
            (some, settings_key),
            binary=True,
        ).fetchall()
        matrices = defaultdict(list)
        for number, pid, language, blob in rows:
            matrices[language].append((number, pid, np.frombuffer(blob, dtype="<f2").reshape(-1, dim)))
        parts = [vector_bytes(language, own, dim) for language, own in matrices.items()]
        with connection.cursor() as cursor:
            copy_bytes(cursor, "vectors (doc_id, pid, part, dim, language, embedding)", parts)


def _rebuild_words(connection: Connection, pids: list[int], encoder: Encoder) -> None:
    if not isinstance(encoder, LateInteraction):
        return
    for some in in_batches(pids, _AT_ONCE):
        rows = connection.execute(
            "SELECT doc_id, pid, text, sentences FROM passages WHERE pid = ANY (%s)", (some,), binary=True
        ).fetchall()
        cut = [[text[a:b] for a, b in np.frombuffer(own, "<i4").reshape(-1, 2)] for _, _, text, own in rows]
        words = zip(encoder.packed_words(cut), (row[:2] for row in rows), strict=True)
        with connection.cursor() as cursor:
            cursor.executemany(
                "UPDATE passages SET words = %s WHERE doc_id = %s AND pid = %s", [(own, *key) for own, key in words]
            )


def _rebuild_names(connection: Connection, numbers: list[int]) -> None:
    rows = connection.execute("SELECT doc_id, sounds FROM documents WHERE doc_id = ANY (%s)", (numbers,)).fetchall()
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO names VALUES (%s, %s, %s)",
            [(number, *pair) for number, own in rows for pair in sounds_of(own)],
        )
