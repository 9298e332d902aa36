"""Ingest: from files, folders and URLs to stored documents, in small durable steps.

    sources -> plan (new, changed, unchanged, gone) -> batches -> workers -> one transaction a batch

Every step can be repeated: what is stored already is left alone, what changed is replaced, what is gone is removed.
A file that fails leaves its reason and stops no other.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path

from index.documents import Document
from index.encoders.base import Encoder
from index.errors import IndexMissing, ReadError
from index.pieces import PIECE_CHARS, joined, pieces
from index.read import Found, Sandbox, digest, discover, read_documents, read_untrusted
from index.report import IngestReport, OnProgress, Progress
from index.settings import IndexSettings, Limits
from index.store import open_backend, open_writer
from index.store.base import EncodedDocument, FileRecord, IndexPlace
from index.store.writing import Writer
from index.workers import Batch, Workers

# A batch, and so a transaction: large enough that its sync costs little, small enough to lose little.
BATCH_DOCUMENTS = 100
_STALE_AT_ONCE = 500

Read = Callable[[Found], Iterable[Document | ReadError]]


def ingest(
    place: IndexPlace,
    sources: Sequence[str],
    encoder: Encoder,
    settings: IndexSettings | None = None,
    *,
    limits: Limits | None = None,
    allow_url: bool = False,
    n_workers: int | None = None,
    ray: str | None = None,
    batch_documents: int = BATCH_DOCUMENTS,
    on_progress: OnProgress | None = None,
) -> IngestReport:
    """Bring the index at `place` up to date with `sources`, the user's own.

    Args:
        place: The index; made where there is none.
        sources: Files, folders and, with `allow_url`, web addresses, as typed.
        encoder: The index's own (another is refused).
        settings: For a new index.
        limits: What may be read.
        allow_url: Whether web addresses may be fetched.
        n_workers: Processes that cut and encode, 0 for none but this one; by default as many as there are cores.
        ray: Address of a Ray cluster whose machines cut and encode instead, or `local`.
        batch_documents: Documents a transaction; what was committed before a kill is kept.
        on_progress: Called after every file and every transaction.

    Raises:
        IndexLocked, SettingsMismatch, StoreFull, StoreDamaged, FormatTooNew: See `index.errors`.
        StoreError: Ray is not installed.
    """
    limits, report = limits or Limits(), IngestReport()
    found = _found(sources, allow_url, report)
    report.failed = _only_failures(place, found.values())
    if report.failed:
        return report
    workers_of = _ray_workers(ray) if ray else Workers
    with (
        open_writer(place, encoder, settings) as writer,
        Sandbox(limits) as sandbox,
        workers_of(encoder, writer.settings, n_workers) as workers,
    ):
        run = _Run(writer, workers, lambda one: read_documents(one, sandbox, limits), batch_documents, on_progress)
        run.report, run.n_files = report, len(found)
        run.store(run.batches(found.values()))
        report.deleted += _forget_gone(writer, sources, set(found))
        return run.done()


def ingest_untrusted(
    place: IndexPlace, found: Found, encoder: Encoder, sandbox: Sandbox
) -> tuple[IngestReport, tuple[str, ...]]:
    """Bring one file that anybody may have made into the index; the report, and the ids of its documents there.

    A file of which nothing is stored leaves no trace in the log.

    Raises:
        IndexLocked, StoreFull, StoreDamaged, FormatTooNew: See `index.errors`.
    """
    with open_writer(place, encoder) as writer, Workers(encoder, writer.settings, 1) as workers:
        run = _Run(writer, workers, lambda _: read_untrusted(found, sandbox))
        run.store(run.batches([found]))
        doc_ids = tuple(writer.documents_of(found.location).values())
        if not doc_ids:
            writer.forget_files([found.location])
        return run.done(), doc_ids


def refresh(
    place: IndexPlace,
    encoder: Encoder,
    settings: IndexSettings,
    *,
    n_workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> IngestReport:
    """Cut and encode again the stored documents that were made with other settings.

    The sources are not read again: the store holds every text. Stopped, it goes on where it was; meanwhile the
    documents not yet done are found by their words only.

    Raises:
        IndexMissing: There is no index.
        IndexLocked, StoreFull, StoreDamaged, FormatTooNew: See `index.errors`.
    """
    open_backend(place).close()
    with (
        open_writer(place, encoder, settings, adopt=True) as writer,
        Workers(encoder, writer.settings, n_workers) as workers,
    ):
        run = _Run(writer, workers, on_progress=on_progress)
        run.n_files = writer.n_stale()
        while stale := writer.stale_documents(_STALE_AT_ONCE):
            run.store(run.batches_of_stored(stale))
        return run.done()


def _ray_workers(address: str) -> type[Workers]:
    from index.ray import RayWorkers, connect

    connect(address)
    return RayWorkers


class _Run:
    """One ingest: makes batches of documents, stores them when they are encoded, and counts."""

    def __init__(
        self,
        writer: Writer,
        workers: Workers,
        read: Read = lambda _: (),
        batch_documents: int = BATCH_DOCUMENTS,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.report, self._started = IngestReport(), time.monotonic()
        self.n_files = self._n_files_done = self._n_documents = 0
        self._writer, self._workers, self._read = writer, workers, read
        self._batch_documents, self._on_progress = batch_documents, on_progress
        self._batch = Batch()
        self._long: dict[str, tuple[Document, int, list[EncodedDocument]]] = {}  # by location: number of pieces, pieces

    def batches(self, files: Iterable[Found]) -> Iterator[Batch]:
        """The documents of files and web addresses, where they are new or changed."""
        for found in files:
            try:
                yield from self._batches_of(found)
            except ReadError as error:
                self._fail(found, error)
            self._n_files_done += 1
            self._progress(found.source)
        yield self._take_batch()

    def batches_of_stored(self, documents: Iterable[tuple[Document, str]]) -> Iterator[Batch]:
        """Documents that are in the store already, each with its file."""
        for document, file in documents:
            self.report.replaced += 1
            yield from self._add(document, file)
            self._n_files_done += 1
        yield self._take_batch()

    def _batches_of(self, found: Found) -> Iterator[Batch]:
        """The new and changed documents of a file, and behind them the file's record."""
        location, content = found.location, _digest(found)
        before, key = self._writer.documents_of(location), self._writer.settings_key
        record = self._writer.file_record(location)
        if record and content and (record.digest, record.settings_key, record.status) == (content, key, "ok"):
            self.report.unchanged += len(before)
            return
        kept: set[str] = set()
        failures: list[str] = []
        for one in self._read(found):
            if isinstance(one, ReadError):
                failures.append(printable(str(one)))
                continue
            self.report.add_notes(one)
            kept.add(one.location)
            if self._writer.is_current(one.location, one.sha256):
                self.report.unchanged += 1
                continue
            self.report.replaced += one.location in before
            self.report.added += one.location not in before
            yield from self._add(one, location)
        reason = f"{len(failures)} documents failed; first: {failures[0]}" if failures else ""
        if failures and not kept:
            raise ReadError(reason if len(failures) > 1 else failures[0])
        if failures:
            self.report.failed.append((found.source, reason))
        self._batch.gone += [doc_id for place, doc_id in before.items() if place not in kept]
        status = "partial" if failures else "ok"
        self._batch.files.append(FileRecord(location, found.source, content, key, status, reason))

    def _add(self, document: Document, file: str) -> Iterator[Batch]:
        """Put a document into the batch, which comes back when it is full; a long one in pieces."""
        parts = pieces(document)
        if len(parts) > 1:
            self._long[document.location] = document, len(parts), []
        for part in parts:
            self._batch.add(part, file)
            is_full = self._batch.n_chars >= PIECE_CHARS or len(self._batch.documents) >= self._batch_documents
            if len(parts) > 1 or is_full:
                yield self._take_batch()

    def _whole(self, item: EncodedDocument) -> Iterator[EncodedDocument]:
        """The document that `item` is, or is the last piece of."""
        location = item.document.location
        if location not in self._long:
            yield item
            return
        document, n_pieces, encoded = self._long[location]
        encoded.append(item)
        if len(encoded) == n_pieces:
            del self._long[location]
            yield joined(document, encoded)

    def _take_batch(self) -> Batch:
        batch, self._batch = self._batch, Batch()
        return batch

    def _fail(self, found: Found, error: ReadError) -> None:
        """Log a failure; what was stored of this file before stays as it is, unless the file is gone."""
        location = found.location
        self.report.failed.append((printable(found.source), str(error)))
        if location != printable(location):
            return
        if not found.is_url and is_gone(location) and not Path(location).is_dir():
            self._batch.forgotten.append(location)
        else:
            record = FileRecord(location, found.source, "", self._writer.settings_key, "failed", str(error))
            self._batch.files.append(record)

    def store(self, batches: Iterable[Batch]) -> None:
        """Encode batches and store each in one transaction, after the removal of what its files no longer hold."""
        for batch in self._workers.encoded(batches):
            if batch.gone:
                self.report.deleted += self._writer.delete(batch.gone)
            if batch.forgotten:
                self.report.deleted += self._writer.forget_files(batch.forgotten)
            documents = [whole for item in batch.encoded for whole in self._whole(item)]
            if documents or batch.files:
                self._writer.upsert(documents, batch.files)
            self.report.n_passages += sum(len(item.passages) for item in batch.encoded)
            self._n_documents += len(documents)
            self._progress(batch.encoded[-1].document.source if batch.encoded else "")

    def done(self) -> IngestReport:
        """The report, once the vectors can be searched."""
        self._writer.refresh_vectors()
        self.report.seconds = time.monotonic() - self._started
        return self.report

    def _progress(self, source: str) -> None:
        if self._on_progress is not None:
            counts = self._n_files_done, self.n_files, self._n_documents, self.report.n_passages
            self._on_progress(Progress(*counts, time.monotonic() - self._started, source))


def _digest(found: Found) -> str:
    """That of a file's content; empty for a web address, which is always fetched."""
    if found.error is not None:
        raise found.error
    if found.location != printable(found.location):  # the store's text is UTF-8: such a file cannot even be logged
        raise ReadError("a file name that is not UTF-8", "one that is", "rename it")
    return "" if found.is_url else digest(found.path)


def _found(sources: Sequence[str], allow_url: bool, report: IngestReport) -> dict[str, Found]:
    """The files and web addresses that the sources name, by location, in order; counts what is skipped in folders."""
    off = ReadError("fetching from the web is off", "a file or folder", "add --allow-url")
    found: dict[str, Found] = {}
    for one in chain.from_iterable(discover(source, report.skipped) for source in sources):
        found.setdefault(one.location, replace(one, error=off) if one.is_url and not allow_url else one)
    return found


def _only_failures(place: IndexPlace, found: Collection[Found]) -> list[tuple[str, str]]:
    """(source, reason) of each file where all are sure to fail and there is no index: none is made for that."""
    failed = [(printable(one.source), str(one.error)) for one in found if one.error]
    with suppress(IndexMissing):
        if len(failed) == len(found):
            open_backend(place).close()
        return []
    return failed


def _forget_gone(writer: Writer, sources: Sequence[str], seen: Set[str]) -> int:
    """Remove what certainly is no longer in the folders among the sources; the number of documents."""
    gone = []
    for top in (os.path.realpath(source) for source in sources if Path(source).is_dir()):
        under = [*writer.files_under(top), *([top] if writer.file_record(top) else [])]  # it could not be listed before
        gone += [location for location in under if location not in seen and is_gone(location)]
    return writer.forget_files(gone) if gone else 0


def printable(text: str) -> str:
    """`text` with lone surrogates (of file names and JSON that are no UTF-8) written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_gone(location: str) -> bool:
    """Whether there certainly is no such file; one that only cannot be looked at is not gone."""
    try:
        return stat.S_ISDIR(Path(location).stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
