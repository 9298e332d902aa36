"""Copying an index from one place to another, and comparing the two.

Passages, vectors, terms and names are copied as they are stored; nothing is encoded again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from index.encoders.base import Encoder
from index.errors import EncoderMismatch, StoreError
from index.ingest import BATCH_DOCUMENTS
from index.report import OnProgress, Progress
from index.store import open_backend, open_writer, shown_place
from index.store.base import EncodedDocument, IndexPlace
from index.store.reading import Backend
from index.store.writing import Writer


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
    with closing(open_backend(source)) as origin:
        _check_source(origin, encoder)
        with open_writer(destination, encoder, origin.settings) as writer:
            n_copied = _copy(origin, writer, started, on_progress)
            known = {document.doc_id for document in origin.documents()}
            with closing(open_backend(destination)) as copy:
                others = [document.doc_id for document in copy.documents() if document.doc_id not in known]
            n_removed = writer.delete(others)
            writer.refresh_vectors()
        with closing(open_backend(destination)) as copy:
            digest, stats = digest_of(copy.encoded()), copy.stats()
        if digest != digest_of(origin.encoded()):
            raise StoreError(
                f"{shown_place(destination)} differs from {shown_place(source)}",
                "a copy of it",
                "run the same command again; if that does not help, use an empty destination",
            )
    seconds = time.monotonic() - started
    return MoveReport(stats.n_documents, stats.n_passages, stats.n_vectors, digest, n_copied, n_removed, seconds)


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


def _copy(origin: Backend, writer: Writer, started: float, on_progress: OnProgress | None) -> int:
    """Write the documents that are not there yet, and the ingest log; returns how many documents were written."""
    n_documents, documents = origin.stats().n_documents, origin.encoded()
    n_seen = n_copied = n_passages = 0
    while batch := list(islice(documents, BATCH_DOCUMENTS)):
        fresh = [item for item in batch if not writer.is_current(item.document.location, item.document.sha256)]
        writer.upsert(fresh)
        n_seen, n_copied = n_seen + len(batch), n_copied + len(fresh)
        n_passages += sum(len(item.passages) for item in fresh)
        if on_progress is not None:
            on_progress(Progress(n_seen, n_documents, n_copied, n_passages, time.monotonic() - started, "copying"))
    files = origin.files()
    while some := list(islice(files, 10 * BATCH_DOCUMENTS)):
        writer.upsert([], some)
    return n_copied


def digest_of(documents: Iterable[EncodedDocument]) -> str:
    """The sum of the SHA-256 digests of `documents`, which does not depend on their order."""
    return f"{sum(int.from_bytes(_digest(item)) for item in documents) % 2**256:064x}"


def _digest(item: EncodedDocument) -> bytes:
    """SHA-256 of all that is stored of a document."""
    document, aliases = item.document, sorted({(one.name, one.other, one.confidence) for one in item.aliases})
    texts = (document.location, item.file, document.source, document.sha256, document.headings, item.passages)
    found = (*texts, item.terms, item.words, item.title_terms, sorted(item.sounds.split()), aliases)
    hashed = hashlib.sha256(repr(found).encode("utf-8", "surrogatepass"))
    hashed.update(item.vectors.astype("<f2").tobytes())
    return hashed.digest()
