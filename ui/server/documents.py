"""Documents of an index, for every interface: what is there, what is added, what is removed."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import threading
from collections import defaultdict
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import regex

from index.contextual import add_contextual
from index.encoders.base import Encoder
from index.errors import IndexLocked, IndexProblem, ReadError, TooLarge
from index.ingest import ingest_untrusted
from index.read import SUFFIXES, Found, Sandbox
from index.settings import Limits
from index.store import open_writer
from index.store.base import IndexPlace
from index.store.reading import Backend
from ui.render import shown_source

UPLOADS = "uploads"  # below the index, while they are read
_UNSAFE = regex.compile(r"[^\p{L}\p{M}\p{N}._ -]")
_MAX_NAME_BYTES = 200  # its end, where the suffix is
_PARSE_TIMEOUT_S = 60.0  # others wait meanwhile
_PARSE_MEMORY_BYTES = 2**30
_log = logging.getLogger(__name__)
_making = threading.Lock()  # contextual vectors
_locks = defaultdict[IndexPlace, threading.Lock](threading.Lock)  # the API and the page change the same index


@dataclass(frozen=True, slots=True)
class Added:
    """The result of a file.

    `status` is added, unchanged, partial (some documents in it failed), failed, or on the page also reading.
    """

    name: str
    status: str
    documents: tuple[str, ...] = ()  # ids of all documents that the index has of it
    reason: str = ""


class Documents:
    """The documents of one index, changed by one thread at a time."""

    def __init__(self, backend: Backend, encoder: Encoder, max_file_bytes: int) -> None:
        self._backend, self._encoder = backend, encoder
        self._limits = Limits(
            max_file_bytes=max_file_bytes, parse_timeout_s=_PARSE_TIMEOUT_S, parse_memory_bytes=_PARSE_MEMORY_BYTES
        )
        self._lock = _locks[backend.place]
        self._uploads = Path(os.path.realpath(backend.folder / UPLOADS))

    def page(self, offset: int, limit: int) -> dict[str, Any]:
        """Some of the documents in the order of ingest, and the offset of the next ones; None after the last."""
        rows = [asdict(row) for row in islice(self._backend.documents(), offset, offset + limit + 1)]
        for row in rows:
            del row["location"]  # where the server keeps it
            row["source"] = shown_source(row["source"])
        return {
            "documents": rows[:limit],
            "total": self._backend.stats().n_documents,
            "next_offset": offset + limit if len(rows) > limit else None,
        }

    def adding(self, files: Iterable[tuple[str, IO[bytes]]]) -> Generator[Added, None, None]:
        """The result of each file, a name and its content, as soon as it is known; a failure stops no other file.

        The name is the sender's text, and the content is read only in the sandbox.

        Raises:
            IndexLocked: Another process is writing, and nothing was added.
        """
        with Sandbox(self._limits) as sandbox:
            for number, (sent, content) in enumerate(files):
                name = _safe(sent)
                try:
                    added = self._add(name, content, sandbox)
                except IndexProblem as error:
                    if isinstance(error, IndexLocked) and not number:
                        raise
                    added = Added(name, "failed", reason=str(error))
                except OSError as error:
                    _log.warning("an uploaded file could not be stored: %r", error)
                    added = Added(name, "failed", reason=error.strerror or "it could not be stored")
                yield added
        if self._backend.meta().get("context"):
            threading.Thread(target=_add_contextual, args=(self._backend.place, self._encoder), daemon=True).start()

    def _add(self, name: str, content: IO[bytes], sandbox: Sandbox) -> Added:
        suffix = Path(name).suffix.lower()
        if suffix not in SUFFIXES:
            raise ReadError(suffix or "a name without a suffix", f"one of {', '.join(sorted(SUFFIXES))}")
        if (n_bytes := content.seek(0, os.SEEK_END)) > self._limits.max_file_bytes:
            raise TooLarge(f"{n_bytes:,} bytes", f"at most {self._limits.max_file_bytes:,}", "split it")
        content.seek(0)
        # To the index, a file is its place: the same for the same content and name. It is not kept there.
        digest = hashlib.file_digest(content, "sha256").hexdigest()[:16]  # type: ignore[arg-type]
        path = self._uploads / digest / name
        with self._lock:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                content.seek(0)
                with path.open("wb") as file:
                    shutil.copyfileobj(content, file)
                report, doc_ids = ingest_untrusted(self._backend.place, Found(path, name), self._encoder, sandbox)
            finally:
                shutil.rmtree(path.parent, ignore_errors=True)
        if report.failed:
            reason = "; ".join(reason for _, reason in report.failed).replace(str(path), name)
            return Added(name, "partial" if doc_ids else "failed", doc_ids, reason)
        return Added(name, "added" if report.added or report.replaced else "unchanged", doc_ids)

    def remove(self, doc_id: str) -> bool:
        """Remove a document for good; whether there was one.

        Raises:
            IndexLocked: Another process is writing.
        """
        with self._lock, open_writer(self._backend.place, self._encoder) as writer:
            if not writer.delete([doc_id]):
                return False
            writer.refresh_vectors()
        return True


def _add_contextual(place: IndexPlace, encoder: Encoder) -> None:
    """Make contextual vectors in the background, one run after the other."""
    with _making:
        try:
            add_contextual(place, encoder)
        except IndexProblem as error:
            _log.warning("contextual vectors could not be made: %s", error)


def _safe(name: str) -> str:
    """The last part of a file name, without anything that a file system or a terminal acts on; never a path."""
    last = name.replace("\\", "/").rpartition("/")[2]
    name = _UNSAFE.sub("_", last).lstrip(". ").encode()[-_MAX_NAME_BYTES:].decode("utf-8", "ignore").strip()
    return name or "file"
