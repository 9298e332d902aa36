"""Copying an index from one place to another, and comparing the two.

Rows are copied as they are stored, by the same numbers; nothing is encoded again. Terms and names are derived again.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import closing
from dataclasses import dataclass

from index.encoders.base import Encoder
from index.errors import EncoderMismatch, StoreError
from index.ingest import BATCH_DOCUMENTS
from index.report import OnProgress, Progress
from index.store import open_backend, open_writer, shown_place
from index.store.base import IndexPlace
from index.store.reading import Backend
from index.store.rows import Row, Rows


@dataclass(frozen=True, slots=True)
class MoveReport:
    """What both indexes hold, and what was copied."""

    n_documents: int
    n_passages: int
    n_vectors: int
    digest: str  # of all that is stored
    n_copied: int  # the other documents were there already
    n_removed: int  # documents of the destination that the source does not have
    seconds: float


def move(
    source: IndexPlace, destination: IndexPlace, encoder: Encoder, on_progress: OnProgress | None = None
) -> MoveReport:
    """Copy the index at `source` to `destination`, and compare the two; the source stays as it is.

    A copy that was stopped continues when it is run again. Documents that only the destination has are removed.

    Args:
        source: An index without stale documents.
        destination: A place without an index, or with an earlier copy.
        encoder: The index's own.
        on_progress: Called after every transaction.

    Raises:
        EncoderMismatch: The encoder is not the source's own.
        StoreError: The source has stale documents, or the destination does not hold what the source holds.
        IndexMissing, IndexLocked, SettingsMismatch, StoreFull: See `index.errors`.
    """
    started = time.monotonic()
    with closing(open_backend(source)) as backend, backend.snapshot() as origin:
        _check_source(backend, encoder)
        with open_writer(destination, encoder, origin.settings) as writer:
            known, held = _versions(origin), _versions(writer)
            writer.delete([doc_id for doc, (doc_id, *_) in held.items() if held[doc] != known.get(doc)])
            n_removed = len({row[1] for row in held.values()} - {row[1] for row in known.values()})  # locations
            fresh = [doc for doc in known if held.get(doc) != known[doc]]
            for first in range(0, len(fresh), BATCH_DOCUMENTS):
                n_seen = len(known) - len(fresh) + len(some := fresh[first : first + BATCH_DOCUMENTS]) + first
                writer.copy(origin, some)
                if on_progress is not None:
                    seconds = time.monotonic() - started
                    on_progress(Progress(n_seen, len(known), first + len(some), 0, seconds, "copying"))
            writer.copy_log(origin)
            writer.refresh_vectors()
            digest = digest_of(writer)
        if digest != digest_of(origin):
            raise StoreError(
                f"{shown_place(destination)} differs from {shown_place(source)}",
                "a copy of it",
                "run the same command again; if that does not help, use an empty destination",
            )
        stats = backend.stats()
    seconds = time.monotonic() - started
    return MoveReport(stats.n_documents, stats.n_passages, stats.n_vectors, digest, len(fresh), n_removed, seconds)


def _versions(index: Rows) -> dict[int, Row]:
    """What tells a version of a document from every other one, by its number."""
    query = (
        "SELECT doc, doc_id, location, file, checksum, settings_key,"
        " (SELECT min(pid) FROM passages p WHERE p.doc = d.doc), (SELECT count(*) FROM context c WHERE c.doc = d.doc),"
        " (SELECT value FROM meta WHERE key = 'context') FROM documents d ORDER BY doc"
    )
    return {doc: tuple(row) for doc, *row in index.rows(query)}


def _check_source(origin: Backend, encoder: Encoder) -> None:
    place, n_stale = shown_place(origin.place), origin.stats().n_stale
    if encoder.fingerprint != origin.encoder_fingerprint:
        raise EncoderMismatch(
            f"the vectors in {place} are of encoder {origin.encoder_name} ({origin.encoder_fingerprint})",
            f"the same, not {encoder.name} ({encoder.fingerprint})",
            f"dragoman index --refresh --encoder {encoder.name} --index '{place}'",
        )
    if n_stale or origin.settings_key != origin.settings.key(origin.encoder_fingerprint):
        raise StoreError(
            f"{place} has {n_stale} stale documents" if n_stale else f"{place} was made by an older version",
            "documents made with the current settings and rules",
            f"dragoman index --refresh --index '{place}'",
        )


def digest_of(index: Rows) -> str:
    """SHA-256 of all documents with what belongs to them."""
    hashed = hashlib.sha256()
    docs = list(_versions(index))
    for first in range(0, len(docs), BATCH_DOCUMENTS):
        for table in index.everything(docs[first : first + BATCH_DOCUMENTS]):
            hashed.update(repr(table).encode("utf-8", "surrogatepass"))
    return hashed.hexdigest()
