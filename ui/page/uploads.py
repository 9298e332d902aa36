"""The files that a visitor adds, as the page shows them: which is being read, and what became of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO

from index.errors import IndexProblem
from rag.phrases import Part, phrase
from ui.page.corpus import inert
from ui.server.documents import Added, Documents

_MAX_FILES = 100  # at a time
_SIGNS = {"added": "✓", "partial": "◐", "unchanged": "=", "failed": "✗", "reading": "…"}
_WORDS = {"failed": "not_added", "reading": "being_read"}  # phrases with another name


def add_files(paths: Sequence[Path], documents: Documents) -> Iterator[list[Added]]:
    """The rows before each file and at the end; a failure of one stops no other."""
    taken, refused = paths[:_MAX_FILES], paths[_MAX_FILES:]
    done: list[Added] = []
    with closing(documents.adding(_opened(taken))) as adding:
        for path in taken:
            yield [*done, Added(path.name, "reading")]
            try:
                done.append(next(adding))
            except IndexProblem as error:
                done += [Added(left.name, "failed", reason=str(error)) for left in taken[len(done) :]]
                break
    too_many = f"more than {_MAX_FILES} files at a time"
    yield [*done, *(Added(path.name, "failed", reason=too_many) for path in refused)]


def _opened(paths: Sequence[Path]) -> Iterator[tuple[str, IO[bytes]]]:
    for path in paths:
        with path.open("rb") as content:
            yield path.name, content


def rows_markdown(rows: Sequence[Added], n_files: int, lang: str) -> str:
    """The files and what became of them, as Markdown in which names and reasons are text."""
    if not rows:
        return ""
    items = []
    for row in rows:
        became = phrase(_WORDS.get(row.status, row.status), lang, Part.INTERFACE)
        reason = f" ({inert(row.reason)})" if row.reason else ""
        items.append(f"- {_SIGNS[row.status]} {inert(row.name)}: {became}{reason}")
    n_done = sum(row.status != "reading" for row in rows)
    return "\n".join([f"**{n_done} / {n_files}**\n", *items])
