"""Files that a visitor adds to the index, one by one, with what became of each."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import regex

from index.build import IngestReport, ingest
from index.encoders.base import Encoder
from index.errors import IndexProblem
from index.read import SUFFIXES
from index.settings import Limits
from ui.chat.markup import flat
from ui.chat.texts import text

FOLDER = "uploads"
_MAX_FILES = 100  # at a time
_log = logging.getLogger(__name__)
Ingest = Callable[[Path], IngestReport]


@dataclass(slots=True)
class Row:
    """What became of one file: a key of the page's texts, and in words what was wrong."""

    name: str
    outcome: str
    reason: str = ""


@dataclass(slots=True)
class Progress:
    """How far an upload has come."""

    n_files: int
    rows: list[Row] = field(default_factory=list)


def ingest_into(folder: Path, encoder: Encoder, max_bytes: int) -> Ingest:
    """A function that brings one file into the index in `folder`."""
    limits = Limits(max_file_bytes=max_bytes)
    return lambda path: ingest(folder, [str(path)], encoder, limits=limits, n_workers=1)


def add_files(paths: Sequence[Path], folder: Path, max_bytes: int, ingest_one: Ingest) -> Iterator[Progress]:
    """The progress before each file and at the end; a failure of one stops no other."""
    progress = Progress(len(paths))
    for path in paths[:_MAX_FILES]:
        progress.rows.append(Row(path.name, "reading"))
        yield progress
        progress.rows[-1] = _add(path, folder, max_bytes, ingest_one)
    for path in paths[_MAX_FILES:]:
        progress.rows.append(Row(path.name, "failed", f"more than {_MAX_FILES} files at a time"))
    yield progress


def _add(path: Path, folder: Path, max_bytes: int, ingest_one: Ingest) -> Row:
    name = path.name
    if path.suffix.lower() not in SUFFIXES:
        return Row(name, "failed", f"{path.suffix or name}: not one of {', '.join(sorted(SUFFIXES))}")
    if path.stat().st_size > max_bytes:
        return Row(name, "failed", f"over {max_bytes:,} bytes")
    try:
        report = ingest_one(_kept(path, folder))
    except (IndexProblem, OSError) as error:
        _log.warning("an uploaded file could not be added: %s", error)
        return Row(name, "failed", str(error) if isinstance(error, IndexProblem) else error.strerror or "")
    if report.failed:
        return Row(name, "failed", "; ".join(reason for _, reason in report.failed))
    return Row(name, "added" if report.added or report.replaced else "unchanged")


def _kept(path: Path, folder: Path) -> Path:
    """A copy that stays, below the index: the same content always in the same place."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    safe = regex.sub(r"[^\p{L}\p{M}\p{N}._ -]", "_", path.name).lstrip(". ")[-100:] or f"file{path.suffix}"
    place = folder / FOLDER / digest
    place.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(path, place / safe))


def rows_html(progress: Progress, lang: str) -> str:
    """The files and what became of them, as escaped HTML."""
    signs = {"added": "✓", "unchanged": "=", "failed": "✗", "reading": "…"}
    rows = "".join(
        f'<li class="up-{row.outcome}"><b>{signs[row.outcome]}</b> <span dir="auto">{flat(row.name)}</span>: '
        f"{flat(text(row.outcome, lang))}{f' ({flat(row.reason)})' if row.reason else ''}</li>"
        for row in progress.rows
    )
    n_done = sum(row.outcome != "reading" for row in progress.rows)
    return f"<p><b>{n_done} / {progress.n_files}</b></p><ul>{rows}</ul>" if rows else ""
