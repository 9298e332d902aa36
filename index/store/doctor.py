"""Examining an index, and repairing what can be derived again from the documents' texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from index.store.base import Finding
from index.store.rows import IS_CURRENT, IS_STALE, Rows, checksum_of, name_rows, names_of
from index.store.snapshot import SqlSnapshot
from index.store.writing import Writer


def problems(index: SqlSnapshot) -> Iterator[Finding]:
    """Everything that is not as it was stored."""
    for some in index.wholes("1 = 1"):
        for one in some:
            if one.sha256 != one.document.sha256:
                doc_id = index.rows("SELECT doc_id FROM documents WHERE doc = ?", one.doc)[0][0]
                again = f"dragoman index {one.document.source}, then dragoman doctor --repair"
                fix = f"dragoman remove {doc_id}, then {again}"
                yield Finding(f"document {doc_id} is not what was stored (SHA-256); fix: {fix}", False)
    if unsound := _unsound(index):
        yield Finding(f"the passages, vectors or words of {len(unsound)} documents are damaged (checksum)", True)
    for table in index.tables:
        if lost := index.count(f"count(DISTINCT doc) FROM {table} WHERE doc NOT IN (SELECT doc FROM documents)"):
            yield Finding(f"{table} has rows of {lost} documents that do not exist", True)
    for what in _of_terms(index):
        yield Finding(what, True)
    if n_stale := index.count(f"count(*) FROM documents WHERE {IS_STALE}"):
        yield Finding(f"{n_stale} documents wait for dragoman index --refresh", True)


def _of_terms(index: Rows) -> list[str]:
    """How the lexical index and the names differ from what the texts give."""
    wholes = (one for some in index.wholes("1 = 1") for one in some)
    expected = Counter(row[1:] for one in wholes for row in name_rows(one.doc, names_of(one.document)))
    found = {(key, form): n for key, form, n in index.rows(f"SELECT key, form, n_documents FROM {index.forms}")}
    return [*index.lexical_problems(), *(["the names are not those of the texts"] if found != expected else [])]


def _unsound(index: Rows) -> list[int]:
    """The current documents whose passages are not what was stored."""
    found = []
    for some in index.wholes(IS_CURRENT):
        passages = index.passage_rows([one.doc for one in some])
        found += [one.doc for one in some if checksum_of(passages[one.doc]) != one.checksum]
    return found


def repaired(writer: Writer) -> list[str]:
    """Derive again what is wrong; what was done.

    Documents that are not sound become stale: `index.ingest.refresh` chunks and encodes them again.
    """
    done, n_lost = [], 0
    with writer.transaction():
        if unsound := _unsound(writer):
            writer.rows("UPDATE documents SET settings_key = '' WHERE doc IN ?", unsound)
            writer.rows("DELETE FROM vectors WHERE doc IN ?", unsound)
            done.append(f"marked {len(unsound)} documents to be encoded again")
        for table in writer.tables:
            lost = f"FROM {table} WHERE doc NOT IN (SELECT doc FROM documents)"
            n_lost += writer.count(f"count(*) {lost}")
            writer.rows(f"DELETE {lost}")
        if n_lost:
            done.append(f"removed {n_lost} rows of documents that do not exist")
        if n_lost or _of_terms(writer):
            writer.rebuild_terms()
            done.append("rebuilt the lexical index")
        writer.next_generation()
    if writer.refresh_vectors(force=True):
        done.append("rebuilt the vector indexes")
    return done
