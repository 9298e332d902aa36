"""The files that a visitor adds, as the page shows them: which is being read, and what became of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from index.errors import IndexProblem
from rag.phrases import Part, phrase
from ui.page.markup import flat
from ui.server.documents import Documents, Upload

_MAX_FILES = 100  # at a time
_SIGNS = {"added": "✓", "partial": "◐", "unchanged": "=", "failed": "✗", "reading": "…"}


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one file: a key of the page's texts, and in words what was wrong."""

    name: str
    outcome: str
    reason: str = ""


def add_files(paths: Sequence[Path], documents: Documents) -> Iterator[list[Row]]:
    """The rows before each file and at the end; a failure of one stops no other."""
    taken, refused = paths[:_MAX_FILES], paths[_MAX_FILES:]
    done: list[Row] = []
    with closing(documents.adding(_opened(taken))) as adding:
        for path in taken:
            yield [*done, Row(path.name, "reading")]
            try:
                added = next(adding)
            except IndexProblem as error:
                done += [Row(left.name, "failed", str(error)) for left in taken[len(done) :]]
                break
            done.append(Row(added.name, added.status, added.reason))
    yield [*done, *(Row(path.name, "failed", f"more than {_MAX_FILES} files at a time") for path in refused)]


def _opened(paths: Sequence[Path]) -> Iterator[Upload]:
    for path in paths:
        with path.open("rb") as content:
            yield Upload(path.name, content, path.stat().st_size)


def rows_html(rows: Sequence[Row], n_files: int, lang: str) -> str:
    """The files and what became of them, as escaped HTML."""
    if not rows:
        return ""
    items = "".join(
        f'<li class="up-{row.outcome}"><b>{_SIGNS[row.outcome]}</b> <span dir="auto">{flat(row.name)}</span>: '
        f"{flat(phrase(row.outcome, lang, Part.PAGE))}{f' ({flat(row.reason)})' if row.reason else ''}</li>"
        for row in rows
    )
    n_done = sum(row.outcome != "reading" for row in rows)
    return f"<p><b>{n_done} / {n_files}</b></p><ul>{items}</ul>"
