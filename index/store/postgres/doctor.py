"""Examining an index in PostgreSQL, and repairing what can be derived again from the documents' texts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from index.encoders.static import is_static
from index.encoders.words import is_sound
from index.errors import IndexMissing
from index.store.base import Finding
from index.store.postgres.address import Connection
from index.store.postgres.backend import PostgresBackend
from index.store.postgres.rows import rebuild_postings
from index.store.postgres.schema import OF_DOCUMENTS
from index.store.postgres.writer import Writer, next_generation

_AT_ONCE = 1_000  # documents, or passages

_ALTERED = r"""
    SELECT doc FROM documents WHERE sha256 != encode(sha256(convert_to(array_to_string(
        ARRAY[text, title, url, author, date, language] || tags, E'\x1f'), 'UTF8')), 'hex')"""
_WRONG_PASSAGES = """
    SELECT d.doc FROM documents d LEFT JOIN passages p USING (doc) GROUP BY d.doc
    HAVING d.n_passages != count(p.pid) OR bool_or(p.text != substr(d.text, p.start + 1, p."end" - p.start))"""
_CURRENT = """
    SELECT doc, embedding, parts, words FROM passages JOIN documents d USING (doc) LEFT JOIN vectors USING (doc, pid)
    WHERE d.settings_key = %s"""
# The frequencies of a passage add up to its terms, those of the title by their weight.
_WRONG_POSTINGS = """
    SELECT DISTINCT doc FROM passages p JOIN documents d USING (doc) LEFT JOIN (
        SELECT doc, pid, sum(frequency) AS n, min(n_terms) AS least, max(n_terms) AS most FROM postings GROUP BY 1, 2
    ) held USING (doc, pid) WHERE least != p.n_terms OR most != p.n_terms OR 0.1 < abs(coalesce(held.n, 0)
        - p.n_terms + 0.4 * cardinality(string_to_array(d.title_terms, ' ')))"""


def examine(address: str) -> list[Finding]:
    """Problems of the index at `address`; empty for a sound one.

    Raises:
        FormatTooNew, StoreError: Another version of this program wrote it, or the server cannot be reached.
    """
    try:
        backend = PostgresBackend(address)
    except IndexMissing as error:
        return [Finding(str(error), False)]
    with backend.transaction() as (connection, meta):
        return list(_problems(connection, meta))


def _problems(connection: Connection, meta: dict[str, str]) -> Iterator[Finding]:
    """Everything that is not as it was stored."""
    if n := len(_docs(connection, _ALTERED)):
        yield Finding(f"the texts of {n} documents are not those that were stored: index their sources again", False)
    if n := len(_unsound(connection, meta)):
        yield Finding(f"the passages, vectors or words of {n} documents are damaged", True)
    if n := len(_docs(connection, _WRONG_POSTINGS)):
        yield Finding(f"the lexical index is wrong for {n} documents", True)
    for table in OF_DOCUMENTS:
        if n := len(_docs(connection, f"SELECT DISTINCT doc FROM {table} EXCEPT SELECT doc FROM documents")):
            yield Finding(f"{table} has rows of {n} documents that do not exist", True)


def _unsound(connection: Connection, meta: dict[str, str]) -> list[int]:
    """The documents that have to be chunked and encoded again."""
    found, dim = set(_docs(connection, _WRONG_PASSAGES)), int(meta["dim"])
    has_words = is_static(meta["encoder_fingerprint"])
    with connection.cursor(name="dragoman_vectors", binary=True) as cursor:
        cursor.itersize = _AT_ONCE
        cursor.execute(_CURRENT, (meta["settings_key"],))
        for doc, whole, parts, words in cursor:
            matrix = np.frombuffer(parts or b"", "<f2")
            sound = len(matrix) >= dim and len(matrix) % dim == 0 and np.isfinite(matrix).all()
            if not sound or whole.to_list() != matrix[:dim].tolist() or (has_words and not is_sound(words)):
                found.add(doc)
    return sorted(found)


def _docs(connection: Connection, query: str) -> list[int]:
    return [doc for (doc,) in connection.execute(query)]


def repair(writer: Writer) -> list[str]:
    """Derive again what is wrong; returns what was done.

    Documents that are not sound become stale: `index.ingest.refresh` chunks and encodes them again.
    """
    done = []
    with writer.transaction() as cursor:
        for table in OF_DOCUMENTS:
            cursor.execute(f"DELETE FROM {table} WHERE doc NOT IN (SELECT doc FROM documents)")
        if unsound := _unsound(cursor.connection, writer.meta):
            cursor.execute("UPDATE documents SET settings_key = '' WHERE doc = ANY (%s)", (unsound,))
            cursor.execute("DELETE FROM vectors WHERE doc = ANY (%s)", (unsound,))
            done.append(f"marked {len(unsound)} documents as stale")
        if docs := _docs(cursor.connection, _WRONG_POSTINGS):
            for first in range(0, len(docs), _AT_ONCE):
                rebuild_postings(cursor, docs[first : first + _AT_ONCE])
            done.append(f"rebuilt the lexical index of {len(docs)} documents")
        next_generation(cursor)
    if writer.refresh_vectors(force=True):
        done.append("rebuilt the vector indexes")
    return done
