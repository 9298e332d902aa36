"""The files of an ingest: documents that cannot be stored, and files that are gone."""

from __future__ import annotations

import os
import stat
from collections.abc import Set
from pathlib import Path

from index.documents import Cleaned
from index.store.base import Writer


def problem_of(one: Cleaned) -> str:
    """Why a document cannot be stored; empty where it can."""
    document, problem = one.document, ""
    try:
        document.doc_id  # noqa: B018 - made from everything that the store keeps as UTF-8
    except UnicodeEncodeError:
        problem = "a lone surrogate in its id or metadata: no UTF-8 can hold it"
    if not document.text:
        problem = problem or "no text is left after cleaning"
    return f"{one.part} {problem}".strip() if problem else ""


def gone_files(writer: Writer, folder: str, seen: Set[str]) -> list[str]:
    """Locations of what is logged of a folder, was not `seen` in it now, and certainly is not there."""
    top = os.path.realpath(folder)
    under = writer.files_under(top)
    if writer.file_record(top):  # it could not be listed the last time
        under.append(top)
    return [location for location in under if location not in seen and is_gone(location)]


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
