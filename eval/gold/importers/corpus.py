"""What an import gives: gold questions, the documents that they are about, and what became of the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from eval.errors import GoldError
from eval.gold.items import GoldItem


@dataclass(frozen=True, slots=True)
class CorpusDocument:
    """A document as `dragoman index` reads it from a line of a JSON lines file; `id` is its part name there."""

    id: str
    text: str
    title: str = ""
    lang: str = ""


class NoteKind(StrEnum):
    """What became of something that could not be taken as it was."""

    REPAIRED = "repaired"
    RENAMED = "renamed"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that was not taken as it was; `where` is its place in the file imported."""

    kind: NoteKind
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Imported:
    """Questions and documents of a set. The evidence names documents of a file called `corpus`."""

    corpus: str
    items: tuple[GoldItem, ...]
    documents: tuple[CorpusDocument, ...]
    notes: tuple[Note, ...]


def source_end(corpus: str, doc: str) -> str:
    """How the source ends that `dragoman index` gives document `doc` of the file `corpus`."""
    return f"{corpus}#{doc}"


def write_corpus(found: Imported, folder: Path) -> Path:
    """Write the documents to the file in `folder` that the evidence names; returns its path.

    Raises:
        GoldError: There are none, or it cannot be written.
    """
    if not found.documents:
        raise GoldError(f"no document to write to {found.corpus}; expected: a set that brings its articles")
    path = folder / found.corpus
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(_lines(found.documents))
    except (OSError, UnicodeEncodeError) as error:
        raise GoldError(f"{path} cannot be written ({error}); expected: a folder that may be written to") from error
    return path


def _lines(documents: Iterable[CorpusDocument]) -> Iterable[str]:
    for one in documents:
        values = {"id": one.id, "title": one.title, "lang": one.lang, "text": one.text}
        yield json.dumps({name: value for name, value in values.items() if value}, ensure_ascii=False) + "\n"


def load_json(path: Path) -> Any:
    """What the JSON file at `path` holds.

    Raises:
        GoldError: It cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise GoldError(f"{path} cannot be read ({error}); expected: JSON in UTF-8") from error


def json_lines(path: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    """(number from 1, object) of each line that is not blank, one at a time.

    Raises:
        GoldError: The file cannot be read, or a line is no object.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _object(line, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise GoldError(f"{path} cannot be read ({error}); expected: JSON lines in UTF-8") from error


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise GoldError(f"{where}: not JSON ({error}); expected: one object a line") from error
    if not isinstance(values, dict):
        raise GoldError(f"{where}: {type(values).__name__}; expected: an object")
    return values
