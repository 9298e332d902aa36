"""Ingest on many machines, by Ray Data: files are read and cut to documents anywhere, and every worker writes.

    files -> read (tasks) -> encode and upsert (actors, on a GPU where the encoder uses one) -> what became of each

The index is in a database, which takes many writers. A worker or a machine that is lost costs a repeat of
what it had in hand: an upsert that is repeated changes nothing. What a file is known by is logged when all of
its documents are stored, so that a run which was stopped goes on where it was.
"""

from __future__ import annotations

import logging
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.documents import Document, Removed
from index.encoders import load_encoder
from index.encoders.base import Encoder
from index.encoders.static import StaticEncoder
from index.errors import EngineMissing, ReadError, StoreError
from index.files import gone_files, printable, problem_of
from index.read import Found, digest, discover, is_url, passed_over, read_documents
from index.read.sandbox import ParserProcess
from index.report import IngestReport, OnProgress, Progress
from index.settings import IndexSettings, Limits
from index.store import open_writer
from index.store.base import FileRecord, IndexPlace, Writer
from index.workers import encode, fitted

_DOCUMENTS_AT_ONCE = 100  # that go from reading to encoding, and are one transaction
_CHARS_AT_ONCE = 500_000


@dataclass(frozen=True, slots=True)
class _FileRead:
    """The end of a file: what is to be known when all of its documents are stored."""

    found: Found
    content: str
    locations: tuple[str, ...]  # of its documents
    failures: tuple[str, ...]
    removed: tuple[tuple[str, Removed], ...]
    notes: tuple[tuple[str, str], ...]
    known: bool  # it is as the log has it: nothing was read


@dataclass(frozen=True, slots=True)
class _Planned:
    """A file to read, and the digest that the log has of it where it need not be read if it still has that."""

    found: Found
    digest: str


@dataclass(frozen=True, slots=True)
class _Given:
    """A document on its way from reading to encoding."""

    document: Document
    file: str


@dataclass(frozen=True, slots=True)
class _Stored:
    """What became of one document."""

    file: str
    location: str
    n_passages: int
    was: str  # "added", "replaced" or "unchanged"


Row = dict[str, Any]  # "payload": one of the classes above


def ingest_on_ray(
    place: IndexPlace,
    sources: Sequence[str],
    encoder_name: str,
    settings: IndexSettings | None = None,
    *,
    limits: Limits | None = None,
    n_workers: int | None = None,
    address: str | None = None,
    on_progress: OnProgress | None = None,
) -> IngestReport:
    """Bring the index at `place` up to date with `sources`, on all machines of a Ray cluster.

    Args:
        place: The address of a database that every machine reaches.
        sources: Files and folders that every machine sees under the same names.
        encoder_name: Loaded on each machine; the index's own (another is refused).
        settings: For a new index.
        limits: What may be read.
        n_workers: Actors that encode and write; half of the cluster's CPUs by default, or as many as it has GPUs.
        address: Of the cluster; without one the cluster that this process is connected to, or one on this machine.
        on_progress: Called as documents are stored.

    Raises:
        EngineMissing: Ray is not installed.
        StoreError: The place takes one writer only, or a source is a web address.
        SettingsMismatch, FormatTooNew: As they say.
    """
    if isinstance(place, Path):
        raise StoreError(
            f"{place} takes one writer at a time",
            "the address of a database, as postgresql://...",
            "leave --engine out: this machine's cores are used without it",
        )
    addresses = [source for source in sources if is_url(source)]
    if addresses:
        raise StoreError(f"{addresses[0]} is a web address", "files and folders", "index it without --engine")
    encoder = load_encoder(encoder_name)
    with _Cluster(address) as cluster, open_writer(place, encoder, settings) as writer:
        run = _Run(writer, on_progress)
        items = list(run.items(sources))
        for row in cluster.rows(items, place, encoder, limits or Limits(), writer.settings, n_workers):
            run.take(row)
        run.remove_gone(sources)
        writer.write_vectors()
        run.report.seconds = time.monotonic() - run.started
        return run.report


class _Run:
    """What the one process does that speaks to the user: the plan, the log, and the report."""

    def __init__(self, writer: Writer, on_progress: OnProgress | None) -> None:
        self.report = IngestReport()
        self.started = time.monotonic()
        self._writer, self._on_progress = writer, on_progress
        self._seen: set[str] = set()
        self._stored: dict[str, list[_Stored]] = defaultdict(list)
        self._read: dict[str, _FileRead] = {}
        self._n_done = self._n_documents = 0

    def items(self, sources: Sequence[str]) -> Iterator[Row]:
        """The files to read, each with what the log has of it."""
        for source in sources:
            for found in discover(source):
                if found.location in self._seen:
                    continue
                self._seen.add(found.location)
                record = self._writer.file_record(found.location)
                current = record and record.status == "ok" and record.settings_key == self._writer.settings_key
                yield {"payload": _Planned(found, record.digest if record and current else "")}

    def take(self, row: Row) -> None:
        """Note what became of a document or a file."""
        value = row["payload"]
        if isinstance(value, _Stored):
            self._stored[value.file].append(value)
            self._n_documents += value.was != "unchanged"
            self.report.n_passages += value.n_passages
            file = value.file
        else:
            file = value.found.location
            self._read[file] = value
        read = self._read.get(file)
        if read is not None and len({one.location for one in self._stored[file]}) == len(read.locations):
            self._finish(read, self._stored.pop(file, []))
        if self._on_progress is not None:
            elapsed = time.monotonic() - self.started
            self._on_progress(
                Progress(self._n_done, len(self._seen), self._n_documents, self.report.n_passages, elapsed, file)
            )

    def _finish(self, read: _FileRead, stored: Sequence[_Stored]) -> None:
        """Log a file, all of whose documents are stored."""
        self._n_done += 1
        file, source = read.found.location, read.found.source
        before = self._writer.documents_of(file)
        if read.known:
            self.report.unchanged += len(before)
            return
        for was in ("added", "replaced", "unchanged"):
            setattr(self.report, was, getattr(self.report, was) + sum(one.was == was for one in stored))
        self.report.removed.extend(read.removed)
        self.report.notes.extend(read.notes)
        if read.failures:
            n = len(read.failures)
            first = read.failures[0]
            reason = f"{n} articles failed; first: {first}" if n > 1 or read.locations else first
            self.report.failed.append((source, reason))
            status, content = ("partial", read.content) if read.locations else ("failed", "")
        else:
            reason, status, content = "", "ok", read.content
        gone = [doc_id for location, doc_id in before.items() if location not in read.locations]
        if gone and read.locations:  # of a file that failed, what was stored before stays
            self.report.deleted += self._writer.delete(gone)
        self._writer.upsert([], [FileRecord(file, source, content, self._writer.settings_key, status, reason)])

    def remove_gone(self, sources: Sequence[str]) -> None:
        """Remove what is no longer in the folders among the sources."""
        for source in sources:
            if Path(source).is_dir():
                gone = gone_files(self._writer, source, self._seen)
                if gone:
                    self.report.deleted += self._writer.forget_files(gone)
                self.report.passed_over.update(passed_over(source))


class _Cluster:
    """A Ray cluster for the length of a block: one that was there is left as it is."""

    def __init__(self, address: str | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it calls what it recovers from by itself an error
        try:
            import ray
        except ImportError as error:
            raise EngineMissing("Ray is not installed", "", "pip install 'dragoman[ray]'") from error
        self._ray, self._address, self._is_ours = ray, address, False

    def __enter__(self) -> _Cluster:
        if not self._ray.is_initialized():
            # Without an address of its own Ray asks a public server how it is reached.
            local = {} if self._address else {"_node_ip_address": "127.0.0.1", "include_dashboard": False}
            self._ray.init(address=self._address, log_to_driver=False, logging_level="ERROR", **local)
            self._is_ours = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_ours:
            self._ray.shutdown()

    def rows(
        self,
        items: Sequence[Row],
        place: str,
        encoder: Encoder,
        limits: Limits,
        settings: IndexSettings,
        n_workers: int | None,
    ) -> Iterator[Row]:
        """What became of the files `items`, as it comes."""
        import ray.data

        if not items:
            return
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context.execution_options.preserve_order = False
        resources = self._ray.cluster_resources()
        n_gpus = 0 if isinstance(encoder, StaticEncoder) else int(resources.get("GPU", 0))
        n_workers = n_workers or n_gpus or max(1, int(resources.get("CPU", 2)) // 2)
        files = ray.data.from_items(list(items), override_num_blocks=min(len(items), 8 * n_workers))
        documents = files.map_batches(
            _read_files, fn_kwargs={"limits": limits}, batch_size=1, batch_format="numpy", num_cpus=0.5
        )
        stored = documents.map_batches(
            _Storer,
            fn_constructor_args=(place, encoder.name, settings),
            batch_size=_DOCUMENTS_AT_ONCE,
            batch_format="numpy",
            concurrency=n_workers,
            num_cpus=0.5,
            num_gpus=1 if n_gpus else 0,
        )
        yield from stored.iter_rows()


def _read_files(batch: dict[str, Any], limits: Limits) -> Iterator[dict[str, list[Any]]]:
    """The documents of files, in pieces, and behind those of each the end of it."""
    with ParserProcess(limits) as parser:
        for planned in batch["payload"]:
            yield from _read_file(planned, parser, limits)


def _read_file(planned: _Planned, parser: ParserProcess, limits: Limits) -> Iterator[dict[str, list[Any]]]:
    found = planned.found
    locations: list[str] = []
    failures: list[str] = []
    removed: list[tuple[str, Removed]] = []
    notes: list[tuple[str, str]] = []
    held: list[_Given] = []
    n_chars = 0
    content, is_known = "", False
    try:
        if found.error is not None:
            raise found.error
        if printable(found.location) != found.location:
            raise ReadError("a file name that is not UTF-8", "one that is", "rename it")
        content = digest(found.path)
        is_known = content == planned.digest
        for one in () if is_known else read_documents(found, parser, limits):
            if isinstance(one, ReadError):
                failures.append(str(one))
                continue
            document = one.document
            removed += [(document.source, entry) for entry in document.removed]
            notes += [(document.source, note) for note in one.notes]
            problem = problem_of(document, limits)
            if problem:
                failures.append(printable(f"{one.part} {problem}".strip()))
                continue
            locations.append(document.location)
            held.append(_Given(document, found.location))
            n_chars += len(document.text)
            if len(held) >= _DOCUMENTS_AT_ONCE or n_chars >= _CHARS_AT_ONCE:
                yield {"payload": held}
                held, n_chars = [], 0
    except ReadError as error:
        failures.append(str(error))
    ends = _FileRead(
        found, content, tuple(dict.fromkeys(locations)), tuple(failures), tuple(removed), tuple(notes), is_known
    )
    yield {"payload": [*held, ends]}


class _Storer:
    """An actor that encodes documents and writes them."""

    def __init__(self, place: str, encoder_name: str, settings: IndexSettings) -> None:
        self._encoder = load_encoder(encoder_name)
        self._settings = fitted(settings, self._encoder)
        self._writer = open_writer(place, self._encoder).__enter__()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """What became of each document; ends of files pass through."""
        given = [one for one in batch["payload"] if isinstance(one, _Given)]
        rows = [one for one in batch["payload"] if not isinstance(one, _Given)]
        rows += self._store(given)
        return {"payload": rows}

    def _store(self, given: Sequence[_Given]) -> Iterator[_Stored]:
        fresh: list[tuple[Document, str]] = []
        was: dict[str, str] = {}
        known: dict[str, dict[str, str]] = {}
        for one in given:
            document, file = one.document, one.file
            if self._writer.is_current(document.location, document.sha256):
                yield _Stored(file, document.location, 0, "unchanged")
                continue
            if file not in known:
                known[file] = self._writer.documents_of(file)
            was[document.location] = "replaced" if document.location in known[file] else "added"
            fresh.append((document, file))
        encoded = encode(fresh, self._encoder, self._settings)
        self._writer.upsert(encoded)
        for item in encoded:
            location = item.document.location
            yield _Stored(item.file, location, len(item.passages), was[location])
