"""Ingest: from files, folders and URLs to stored documents, in small durable steps.

Every step can be repeated: what is stored already is left alone, what changed is replaced,
what is gone is removed, and what fails leaves its reason and stops nothing else.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from index.documents import Cleaned, Document
from index.encoders.base import Encoder
from index.errors import ReadError
from index.files import gone_files, is_gone, printable, problem_of
from index.read import (
    Found,
    cleaned,
    digest,
    discover,
    is_url,
    passed_over,
    read_documents,
    read_untrusted,
    read_url,
)
from index.read.sandbox import ParserProcess
from index.report import IngestReport, OnProgress, Progress
from index.settings import IndexSettings, Limits
from index.store import open_backend, open_writer
from index.store.base import EncodedDocument, FileRecord, IndexPlace, Writer
from index.workers import Pending, Workers

# A transaction: large enough that its sync costs little, small enough to lose little.
BATCH_DOCUMENTS = 500
_BATCH_CHARS = 1_000_000
# What a worker is given at once: so little that all of them have work to the end.
_GIVEN_SHARE = 4


Read = Callable[[Found, ParserProcess, Limits], Iterator[Cleaned | ReadError]]


def ingest(
    place: IndexPlace,
    sources: Sequence[str],
    encoder: Encoder,
    settings: IndexSettings | None = None,
    *,
    limits: Limits | None = None,
    allow_url: bool = False,
    n_workers: int | None = None,
    batch_documents: int = BATCH_DOCUMENTS,
    on_progress: OnProgress | None = None,
) -> IngestReport:
    """Bring the index at `place` up to date with `sources`.

    They are held to be one's own: all but PDF and DOCX is read in this process, which is faster.
    What others have sent goes through `ingest_untrusted`.

    Args:
        place: The index; made where there is none.
        sources: Files, folders and, with `allow_url`, web addresses, as typed.
        encoder: The index's own (another is refused).
        settings: For a new index.
        limits: What may be read.
        allow_url: Whether web addresses may be fetched.
        n_workers: Processes that cut and encode; as many as there are cores by default. They
            start only when there is work for them.
        batch_documents: Documents a transaction; what was committed before a kill is kept.
        on_progress: Called after every file and every transaction.

    Raises:
        IndexLocked, SettingsMismatch, StoreFull, StoreDamaged, FormatTooNew: As they say.
    """
    limits = limits or Limits()
    with (
        open_writer(place, encoder, settings) as writer,
        ParserProcess(limits) as parser,
        Workers(encoder, writer.settings, n_workers) as workers,
    ):
        run = _Run(writer, workers, limits, parser, batch_documents, on_progress)
        run.take(sources, allow_url)
        writer.refresh_vectors()
        run.report.seconds = time.monotonic() - run.started
        return run.report


def ingest_untrusted(
    place: IndexPlace, found: Found, encoder: Encoder, parser: ParserProcess, limits: Limits
) -> tuple[IngestReport, tuple[str, ...]]:
    """Bring one file that anybody may have made into the index; what was done, and the ids of its documents there.

    It is checked, read and cleaned by `parser`. A file of which nothing is stored leaves no trace in the log.

    Raises:
        IndexLocked, StoreFull, StoreDamaged, FormatTooNew: As they say.
    """
    with open_writer(place, encoder) as writer, Workers(encoder, writer.settings, 1) as workers:
        run = _Run(writer, workers, limits, parser, BATCH_DOCUMENTS, None, read_untrusted)
        run.take_found([found])
        doc_ids = tuple(writer.documents_of(found.location).values())
        if not doc_ids:
            writer.forget_files([found.location])
        writer.refresh_vectors()
        run.report.seconds = time.monotonic() - run.started
        return run.report, doc_ids


def ingest_files(writer: Writer, found: Sequence[Found], encoder: Encoder, limits: Limits) -> IngestReport:
    """Bring some files of the user's own into an index that is open for writing, in this process."""
    with ParserProcess(limits) as parser, Workers(encoder, writer.settings, 1) as workers:
        run = _Run(writer, workers, limits, parser, BATCH_DOCUMENTS, None)
        run.take_found(found)
        return run.report


def refresh(
    place: IndexPlace,
    encoder: Encoder,
    settings: IndexSettings,
    *,
    n_workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> IngestReport:
    """Re-cut and re-encode the stored documents that were made with other settings.

    The sources are not read again: the store holds every text. Stopped, it goes on
    where it was; meanwhile the documents not yet done are found by their words only.

    Raises:
        IndexMissing: There is nothing to re-do.
        IndexLocked, StoreFull, StoreDamaged, FormatTooNew: As they say.
    """
    open_backend(place).close()
    with (
        open_writer(place, encoder, settings, adopt=True) as writer,
        ParserProcess(Limits()) as parser,
        Workers(encoder, writer.settings, n_workers) as workers,
    ):
        run = _Run(writer, workers, Limits(), parser, BATCH_DOCUMENTS, on_progress)
        run.n_files = writer.n_stale()
        while stale := writer.stale_documents(100):
            for document, file in stale:
                run.add(document, file)
                run.n_files_done += 1
                run.report.replaced += 1
            run.flush()
        writer.refresh_vectors()
        run.report.seconds = time.monotonic() - run.started
        return run.report


class _Run:
    """One ingest: a batch that fills up and is written, and the count of what was done."""

    def __init__(
        self,
        writer: Writer,
        workers: Workers,
        limits: Limits,
        parser: ParserProcess,
        batch_documents: int,
        on_progress: OnProgress | None,
        read: Read = read_documents,
    ) -> None:
        self.report = IngestReport()
        self.started = time.monotonic()
        self.n_files = self.n_files_done = 0
        self._n_documents = 0
        self._writer, self._limits, self._parser, self._read = writer, limits, parser, read
        self._batch_documents = batch_documents
        self._on_progress = on_progress
        self._key = writer.settings_key
        self._workers = workers
        self._pending: deque[tuple[Pending, list[FileRecord]]] = deque()
        self._documents: list[tuple[Document, str]] = []
        self._chars = 0
        self._files: list[FileRecord] = []
        self._encoded: list[EncodedDocument] = []
        self._encoded_chars = 0
        self._encoded_files: list[FileRecord] = []

    def take(self, sources: Sequence[str], allow_url: bool) -> None:
        """Ingest all sources, then remove what is gone from the folders among them."""
        found: list[Found | str] = []
        seen: set[str] = set()
        for source in sources:
            for item in [source] if is_url(source) else discover(source):
                key = item if isinstance(item, str) else item.location
                if key not in seen:
                    seen.add(key)
                    found.append(item)
        self.take_found(found, allow_url)
        for source in sources:
            if not is_url(source) and Path(source).is_dir():
                self._remove_gone(source, seen)
                self.report.passed_over.update(passed_over(source))

    def take_found(self, found: Sequence[Found | str], allow_url: bool = False) -> None:
        """Ingest files and web addresses."""
        self.n_files = len(found)
        for item in found:
            if isinstance(item, str):
                self._take_url(item, allow_url)
            else:
                self._take_file(item)
            self.n_files_done += 1
            self._tell(item if isinstance(item, str) else item.source)
        self.flush()

    def add(self, document: Document, file: str) -> None:
        """Put a document into the batch, which is given away when it is full."""
        self._documents.append((document, file))
        self._chars += len(document.text)
        n_given = max(1, self._batch_documents // _GIVEN_SHARE)
        if self._chars >= _BATCH_CHARS // _GIVEN_SHARE or len(self._documents) >= n_given:
            self._send()

    def flush(self) -> None:
        """Write all that has been added."""
        self._send()
        while self._pending:
            self._take_back()
        self._store()

    def _send(self) -> None:
        """Hand the batch to be cut and encoded, and store what has come back meanwhile."""
        if self._documents or self._files:
            self._pending.append((self._workers.submit(self._documents), self._files))
        self._documents, self._files, self._chars = [], [], 0
        # Order is kept: a file's record never comes before its documents.
        while len(self._pending) > self._workers.n_in_flight or (self._pending and self._pending[0][0].done()):
            self._take_back()

    def _take_back(self) -> None:
        """Take the oldest batch, and store what has come back when it is enough for a transaction."""
        future, files = self._pending.popleft()
        encoded = self._workers.result(future)
        self._encoded += encoded
        self._encoded_files += files
        self._encoded_chars += sum(len(item.document.text) for item in encoded)
        if self._encoded_chars >= _BATCH_CHARS or len(self._encoded) >= self._batch_documents:
            self._store()

    def _store(self) -> None:
        encoded, files = self._encoded, self._encoded_files
        self._encoded, self._encoded_files, self._encoded_chars = [], [], 0
        if not encoded and not files:
            return
        self._writer.upsert(encoded, files)
        self.report.n_passages += sum(len(item.passages) for item in encoded)
        self._n_documents += len(encoded)
        self._tell(encoded[-1].document.source if encoded else "")

    def _take_file(self, found: Found) -> None:
        location = found.location
        if location != printable(location):
            # The store's text is UTF-8: such a file cannot even be logged.
            reason = "a file name that is not UTF-8; expected: one that is; to mend: rename it"
            self.report.failed.append((printable(found.source), reason))
            return
        try:
            if found.error is not None:
                raise found.error
            content = digest(found.path)
            record = self._writer.file_record(location)
            if record and (record.digest, record.settings_key, record.status) == (content, self._key, "ok"):
                self.report.unchanged += len(self._writer.documents_of(location))
                return
            self._store_documents(self._read(found, self._parser, self._limits), found.location, found.source, content)
        except ReadError as error:
            self._fail(location, found.source, error)

    def _take_url(self, url: str, allow_url: bool) -> None:
        try:
            if not allow_url:
                raise ReadError("fetching from the web is off", "a file or folder", "add --allow-url")
            article = read_url(url, self._parser, self._limits)
            content = hashlib.sha256(repr(article).encode()).hexdigest()
            self._store_documents([cleaned(article, url, url)], url, url, content)
        except ReadError as error:
            self._fail(url, url, error)

    def _store_documents(self, documents: Iterable[Cleaned | ReadError], file: str, source: str, content: str) -> None:
        """Put a file's documents into the batch, and its record once all of them are in."""
        before = self._writer.documents_of(file)
        kept: set[str] = set()
        failures: list[str] = []
        for one in documents:
            if isinstance(one, ReadError):
                failures.append(str(one))
                continue
            document = one.document
            self.report.tell_of(one)
            problem = problem_of(document, self._limits)
            if problem:
                failures.append(printable(f"{one.part} {problem}".strip()))
                continue
            kept.add(document.location)
            if self._writer.is_current(document.location, document.sha256):
                self.report.unchanged += 1
                continue
            if document.location in before:
                self.report.replaced += 1
            else:
                self.report.added += 1
            self.add(document, file)
        if failures and not kept:
            raise ReadError(
                failures[0] if len(failures) == 1 else f"{len(failures)} articles failed; first: {failures[0]}"
            )
        gone = [doc_id for location, doc_id in before.items() if location not in kept]
        if gone:
            self.flush()
            self.report.deleted += self._writer.delete(gone)
        reason = f"{len(failures)} articles failed; first: {failures[0]}" if failures else ""
        if failures:
            self.report.failed.append((source, reason))
        status = "partial" if failures else "ok"
        self._files.append(FileRecord(file, source, content, self._key, status, reason))

    def _fail(self, location: str, source: str, error: ReadError) -> None:
        """Log a failure; what was stored of this source before stays as it is."""
        self.report.failed.append((source, str(error)))
        if not is_url(location) and is_gone(location) and not Path(location).is_dir():
            # Nothing to come back to: what was stored of it goes, and the log keeps no trace of a slip of the pen.
            self.flush()
            self.report.deleted += self._writer.forget_files([location])
            return
        self._files.append(FileRecord(location, source, "", self._key, "failed", str(error)))

    def _remove_gone(self, folder: str, seen: set[str]) -> None:
        gone = gone_files(self._writer, folder, seen)
        if gone:
            self.report.deleted += self._writer.forget_files(gone)

    def _tell(self, source: str) -> None:
        if self._on_progress is not None:
            elapsed = time.monotonic() - self.started
            self._on_progress(
                Progress(self.n_files_done, self.n_files, self._n_documents, self.report.n_passages, elapsed, source)
            )
