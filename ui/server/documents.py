"""Documents over HTTP: what is there, what is added, what is removed."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import regex

from index.backends.base import StoredDocument
from index.backends.embedded import EmbeddedBackend, Writer
from index.build import IngestReport, ingest
from index.encoders.base import Encoder
from index.errors import ReadError
from index.read import SUFFIXES
from index.settings import Limits

UPLOADS = "uploads"  # below the index; the chat page keeps its own there too
_SHOWN = ("doc_id", "source", "title", "url", "author", "date", "language", "n_chars", "n_passages", "stale")
_UNSAFE = regex.compile(r"[^\p{L}\p{M}\p{N}._ -]")
_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it was sent: the name is the sender's word, the content is read only by the readers."""

    name: str
    content: IO[bytes]
    size: int


class Documents:
    """The documents of one index, changed by one request at a time."""

    def __init__(self, backend: EmbeddedBackend, encoder: Encoder, max_file_bytes: int) -> None:
        self._backend, self._encoder = backend, encoder
        self._limits = Limits(max_file_bytes=max_file_bytes)
        self._lock = threading.Lock()

    def page(self, offset: int, limit: int) -> dict[str, Any]:
        """Some of the documents in the order of ingest, and where the next ones begin; None after the last."""
        rows = list(islice(self._backend.documents(), offset, offset + limit + 1))
        return {
            "documents": [_shown(document) for document in rows[:limit]],
            "total": self._backend.stats().n_documents,
            "next_offset": offset + limit if len(rows) > limit else None,
        }

    def add(self, uploads: Sequence[Upload]) -> list[dict[str, Any]]:
        """What became of each file; a failure of one stops no other.

        Raises:
            IndexLocked: Another process is writing.
        """
        with self._lock:
            return [self._add(upload) for upload in uploads]

    def _add(self, upload: Upload) -> dict[str, Any]:
        name = _safe(upload.name)
        try:
            path = self._kept(name, upload)
        except ReadError as error:
            return _result(name, "failed", str(error))
        report = ingest(self._backend.folder, [str(path)], self._encoder, limits=self._limits, n_workers=1)
        place = os.path.realpath(path)
        ids = [one.doc_id for one in self._backend.documents() if one.location.partition("#")[0] == place]
        if not ids:
            path.unlink()
        reason = "; ".join(reason for _, reason in report.failed).replace(str(path), name).replace(place, name)
        return _result(name, _status(report, ids), reason, ids)

    def _kept(self, name: str, upload: Upload) -> Path:
        """A copy that stays, below the index: the same content always in the same place.

        Raises:
            ReadError: It is of no kind that is read.
        """
        suffix = Path(name).suffix.lower()
        if suffix not in SUFFIXES:
            raise ReadError(f"{suffix or 'a name without a suffix'}", f"one of {', '.join(sorted(SUFFIXES))}")
        digest = hashlib.file_digest(upload.content, "sha256").hexdigest()[:16]  # type: ignore[arg-type]
        folder = self._backend.folder / UPLOADS / digest
        folder.mkdir(parents=True, exist_ok=True)
        upload.content.seek(0)
        with (folder / name).open("wb") as file:
            while block := upload.content.read(_BLOCK):
                file.write(block)
        return folder / name

    def remove(self, doc_id: str) -> bool:
        """Remove a document for good; whether there was one.

        Raises:
            IndexLocked: Another process is writing.
        """
        with self._lock, Writer(self._backend.folder, self._encoder) as writer:
            row = writer.connection.execute("SELECT file FROM documents WHERE doc_id = ?", (doc_id,)).fetchone()
            if not writer.delete([doc_id]):
                return False
            writer.write_vectors()
            if row and not writer.documents_of(row[0]):
                self._forget_upload(Path(row[0]))
        return True

    def _forget_upload(self, file: Path) -> None:
        """Remove the copy of an upload; a file of anybody else stays where it is."""
        if file.is_relative_to(os.path.realpath(self._backend.folder / UPLOADS)):
            file.unlink(missing_ok=True)


def _status(report: IngestReport, ids: Sequence[str]) -> str:
    if report.failed:
        return "partial" if ids else "failed"
    return "added" if report.added or report.replaced else "unchanged"


def _result(name: str, status: str, reason: str = "", ids: Sequence[str] = ()) -> dict[str, Any]:
    return {"name": name, "status": status, "documents": list(ids), "reason": reason}


def _shown(document: StoredDocument) -> dict[str, Any]:
    """What is shown of a document; where it lies on the server's disk is not."""
    return {name: getattr(document, name) for name in _SHOWN} | {"tags": list(document.tags)}


def _safe(name: str) -> str:
    """The last part of a file name, without anything that a file system or a terminal acts on; never a path."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return _UNSAFE.sub("_", last).lstrip(". ")[-100:].strip() or "file"
