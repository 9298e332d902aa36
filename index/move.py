"""Copying an index from one place to another, and proving that the copy is one.

Nothing is cut or encoded again: passages, vectors, terms and names go as they are stored.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from index.encoders.base import Encoder
from index.errors import CopyDiffers, EncoderMismatch, StoreError
from index.ingest import BATCH_DOCUMENTS
from index.report import Progress
from index.search import search
from index.store import open_backend, open_writer, shown_place
from index.store.base import Backend, EncodedDocument, FileRecord, IndexPlace, Snapshot, Writer

_N_QUESTIONS = 32  # that are asked of both
_QUESTION_CHARS = 200
_NEAR = 1e-3  # a score may differ by so much: sums of fp16 products in another order


@dataclass(frozen=True, slots=True)
class Contents:
    """What an index holds, for comparing: counts, and a digest that does not depend on the order of documents."""

    n_documents: int
    n_passages: int
    n_vectors: int
    digest: str


@dataclass(frozen=True, slots=True)
class MoveReport:
    """What was copied, and what comparing the two found."""

    contents: Contents
    n_copied: int  # the others were there already
    n_removed: int  # documents of the destination that the source does not have
    n_questions: int
    n_same: int  # of the questions, which have the same passages in the same order in both
    shared: float  # of the first ten passages in one, the share that is among those in the other; mean over questions
    seconds: float


def move(
    source: IndexPlace, destination: IndexPlace, encoder: Encoder, on_progress: Callable[[Progress], None] | None = None
) -> MoveReport:
    """Copy the index at `source` to `destination`, and compare the two; the source stays as it is.

    Stopped, it goes on where it was when run again. What the destination has besides is removed.

    Args:
        source: An index without stale documents.
        destination: A place without an index, or with an earlier copy.
        encoder: The index's own.
        on_progress: Called after every transaction.

    Raises:
        CopyDiffers: The destination does not hold what the source does.
        EncoderMismatch: The encoder is not the source's own.
        StoreError: The source has stale documents, or the two are one.
        IndexMissing, IndexLocked, SettingsMismatch, StoreFull: As they say.
    """
    started = time.monotonic()
    if _is_one(source, destination):
        raise StoreError(f"{shown_place(source)} is both source and destination", "two places")
    with closing(open_backend(source)) as origin:
        stats = origin.stats()
        _check_source(origin, encoder, stats.n_stale)
        with open_writer(destination, encoder, origin.settings) as writer:
            copy = _Copy(writer, stats.n_documents, started, on_progress)
            contents = contents_of(copy.passing(origin.encoded()))
            copy.finish(origin.files())
            n_removed = _remove_others(writer, origin, destination)
            writer.write_vectors()
        with closing(open_backend(destination)) as there:
            found = contents_of(there.encoded())
            if found != contents:
                raise CopyDiffers(
                    f"{shown_place(destination)} holds {found}",
                    f"{contents}, as {shown_place(source)}",
                    "run the same command again; if that does not help, begin with an empty destination",
                )
            n_questions, n_same, shared = _compared(origin, there, encoder)
    seconds = time.monotonic() - started
    return MoveReport(contents, copy.n_copied, n_removed, n_questions, n_same, shared, seconds)


def _is_one(source: IndexPlace, destination: IndexPlace) -> bool:
    """Whether two places are the same, as far as their names tell."""
    if isinstance(source, Path) and isinstance(destination, Path):
        return source.resolve() == destination.resolve()
    return shown_place(source) == shown_place(destination)


def _check_source(origin: Backend, encoder: Encoder, n_stale: int) -> None:
    """Refuse what a copy would not be sound of."""
    place = shown_place(origin.place)
    if encoder.fingerprint != origin.encoder_fingerprint:
        raise EncoderMismatch(
            f"the vectors in {place} are of encoder {origin.encoder_name} ({origin.encoder_fingerprint})",
            f"the same, not {encoder.name} ({encoder.fingerprint})",
            f"dragoman index --refresh --encoder {encoder.name} --index '{place}'",
        )
    if n_stale or origin.settings_key != origin.settings.key(origin.encoder_fingerprint):
        raise StoreError(
            f"{place} has {n_stale} stale documents" if n_stale else f"{place} was made by an older version",
            "documents made by the settings and the rules of now",
            f"dragoman index --refresh --index '{place}'",
        )


def contents_of(documents: Iterable[EncodedDocument]) -> Contents:
    """Counts of `documents`, and the sum of their digests."""
    n_documents = n_passages = n_vectors = total = 0
    for item in documents:
        n_documents += 1
        n_passages += len(item.passages)
        n_vectors += sum(map(len, item.vectors))
        total = (total + int.from_bytes(_digest(item), "big")) % 2**256
    return Contents(n_documents, n_passages, n_vectors, f"{total:064x}")


def _digest(item: EncodedDocument) -> bytes:
    """SHA-256 of all that is stored of a document, but for its words, which `doctor --repair` may make in one place."""
    hashed = hashlib.sha256()

    def add(*values: object) -> None:
        hashed.update(("\x1f".join(map(str, values)) + "\x1e").encode("utf-8", "surrogatepass"))

    document = item.document
    add(document.location, item.file, document.source, document.text, *document.headings, "", document.sha256)
    add(item.title_terms, *sorted(item.sounds.split()))
    for passage, matrix, terms in zip(item.passages, item.vectors, item.terms, strict=True):
        add(passage.ordinal, passage.start, passage.end, passage.language, passage.section, *passage.sentences, terms)
        hashed.update(matrix.astype("<f2").tobytes())
    for alias in sorted({(one.name, one.other, round(one.confidence, 4)) for one in item.aliases}):
        add(*alias)
    return hashed.digest()


class _Copy:
    """Writes what passes through it, unless it is there already."""

    def __init__(
        self, writer: Writer, n_documents: int, started: float, on_progress: Callable[[Progress], None] | None
    ) -> None:
        self.n_copied = 0
        self._writer, self._n_documents, self._started, self._on_progress = writer, n_documents, started, on_progress
        self._held: list[EncodedDocument] = []
        self._n_seen = self._n_passages = 0

    def passing(self, documents: Iterable[EncodedDocument]) -> Iterator[EncodedDocument]:
        """The same documents; behind this, each is in the destination or in the batch."""
        for item in documents:
            self._n_seen += 1
            if not self._writer.is_current(item.document.location, item.document.sha256):
                self._held.append(item)
            if len(self._held) >= BATCH_DOCUMENTS:
                self._write()
            yield item

    def finish(self, files: Iterable[FileRecord]) -> None:
        """Write what is left, and the ingest log."""
        self._write()
        log = iter(files)
        while some := list(islice(log, 10 * BATCH_DOCUMENTS)):
            self._writer.upsert([], some)

    def _write(self) -> None:
        self._writer.upsert(self._held)
        self.n_copied += len(self._held)
        self._n_passages += sum(len(item.passages) for item in self._held)
        self._held = []
        if self._on_progress is not None:
            elapsed = time.monotonic() - self._started
            self._on_progress(
                Progress(self._n_seen, self._n_documents, self.n_copied, self._n_passages, elapsed, "copying")
            )


def _remove_others(writer: Writer, origin: Backend, destination: IndexPlace) -> int:
    """Remove what is only in the destination, as what the source has lost since an earlier copy; how many documents."""
    known = {document.doc_id for document in origin.documents()}
    logged = {record.location for record in origin.files()}
    with closing(open_backend(destination)) as there:
        others = [document.doc_id for document in there.documents() if document.doc_id not in known]
        forgotten = [record.location for record in there.files() if record.location not in logged]
    n_removed = writer.delete(others) if others else 0
    # What is left of a file that the source does not log has come from elsewhere there.
    return n_removed + (writer.forget_files(forgotten) if forgotten else 0)


def _compared(origin: Backend, there: Backend, encoder: Encoder) -> tuple[int, int, float]:
    """(questions asked of both, those with the same passages, the share of passages that both find).

    Titles and beginnings of documents are asked, spread evenly.
    """
    questions = _questions(origin)
    n_same, shares = 0, []
    with origin.snapshot() as one, there.snapshot() as other:
        for question in questions:
            ours, theirs = _found(one, encoder, question), _found(other, encoder, question)
            n_same += _same(ours, theirs)
            both = {place[:2] for place in ours} & {place[:2] for place in theirs}
            shares.append(len(both) / max(1, len(ours), len(theirs)) if ours or theirs else 1.0)
    return len(questions), n_same, round(sum(shares) / len(shares), 4) if shares else 1.0


def _questions(backend: Backend) -> list[str]:
    documents = list(backend.documents())
    chosen = documents[:: max(1, len(documents) // _N_QUESTIONS)][:_N_QUESTIONS]
    texts = [document.title or backend.text(document.doc_id) or "" for document in chosen]
    return [text[:_QUESTION_CHARS] for text in texts if text.strip()]


def _found(snapshot: Snapshot, encoder: Encoder, question: str) -> list[tuple[str, int, float]]:
    passages = search(snapshot, encoder, question).passages
    return [(item.passage.doc_id, item.passage.start, item.score) for item in passages]


def _same(ours: list[tuple[str, int, float]], theirs: list[tuple[str, int, float]]) -> bool:
    """Whether the places agree; those of equal scores may have changed places, the last ones with others."""
    if len(ours) != len(theirs):
        return False
    near = all(abs(a[2] - b[2]) <= _NEAR for a, b in zip(ours, theirs, strict=True))
    one, other = ({place[:2]: place[2] for place in found} for found in (ours, theirs))
    only = [*(one[key] for key in one.keys() - other.keys()), *(other[key] for key in other.keys() - one.keys())]
    return near and all(score - ours[-1][2] <= _NEAR for score in only)
