"""Examining an index, and repairing what can be derived again from the documents' texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from index.encoders.base import Encoder
from index.errors import FormatTooOld, IndexMissing, StoreDamaged
from index.store import open_backend, open_writer
from index.store.base import IndexPlace
from index.store.rows import IS_CURRENT, IS_STALE, Rows, Whole, checksum_of, name_rows, names_of


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be; `repairable` if it is derived from the store."""

    what: str
    repairable: bool


def examine(place: IndexPlace) -> list[Finding]:
    """What is wrong with the index at `place`; empty where all is well.

    Raises:
        FormatTooNew: A newer version of this program wrote it.
        StoreError: A server cannot be reached.
    """
    try:
        with closing(open_backend(place)) as backend:
            backend.check_file()
            with backend.snapshot() as index:
                altered = [Finding(_altered(one), False) for one in _documents(index) if _is_altered(one)]
                return altered + [Finding(what, True) for what in _derived(index)]
    except (FormatTooOld, IndexMissing, StoreDamaged) as error:
        return [Finding(str(error), False)]


def repair(place: IndexPlace, encoder: Encoder) -> list[str]:
    """Derive again what is wrong and can be derived from the documents' texts; returns what was wrong.

    Documents whose passages or vectors are not sound become stale: `index.ingest.refresh` encodes them again.
    """
    with open_writer(place, encoder, adopt=True) as writer:
        wrong = list(_derived(writer))
        with writer.transaction():
            unsound = _unsound(writer)
            writer.rows("UPDATE documents SET settings_key = '' WHERE doc IN ?", unsound)
            writer.rows("DELETE FROM vectors WHERE doc IN ?", unsound)
            for table in writer.tables:
                writer.rows(f"DELETE FROM {table} WHERE {_LOST}")
            writer.rebuild_terms()
            writer.next_generation()
        writer.refresh_vectors(force=True)
    return wrong


_LOST = "doc NOT IN (SELECT doc FROM documents)"


def _documents(index: Rows) -> Iterator[Whole]:
    return (one for some in index.wholes("1 = 1") for one in some)


def _is_altered(one: Whole) -> bool:
    return one.sha256 != one.document.sha256


def _altered(one: Whole) -> str:
    again = f"dragoman index {one.document.source}, then dragoman doctor --repair"
    fix = f"dragoman remove {one.doc_id}, then {again}"
    return f"document {one.doc_id} is not what was stored (SHA-256); fix: {fix}"


def _derived(index: Rows) -> Iterator[str]:
    """What differs from what the texts give."""
    if unsound := _unsound(index):
        yield f"the passages, vectors or words of {len(unsound)} documents are damaged (checksum)"
    for table in index.tables:
        if lost := index.count(f"count(DISTINCT doc) FROM {table} WHERE {_LOST}"):
            yield f"{table} has rows of {lost} documents that do not exist"
    yield from index.lexical_problems()
    names = Counter(row[1:] for one in _documents(index) for row in name_rows(one.doc, names_of(one.document)))
    if names != {(key, form): n for key, form, n in index.rows(f"SELECT key, form, n_documents FROM {index.forms}")}:
        yield "the names are not those of the texts"
    if n_stale := index.count(f"count(*) FROM documents WHERE {IS_STALE}"):
        yield f"{n_stale} documents wait for dragoman index --refresh"


def _unsound(index: Rows) -> list[int]:
    """The current documents whose passages are not what was stored."""
    found = []
    for some in index.wholes(IS_CURRENT):
        passages = index.passage_rows([one.doc for one in some])
        found += [one.doc for one in some if checksum_of(passages[one.doc]) != one.checksum]
    return found
